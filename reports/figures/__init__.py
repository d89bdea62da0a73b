"""Figures of a report: seaborn and matplotlib for the few, a small SVG writer for panels that come by the hundred."""

from reports.figures.comparison import comparisons
from reports.figures.detail import distributions, parity
from reports.figures.drawing import Drawing, Picture, compose, log_errors
from reports.figures.history import convergence
from reports.figures.palette import COLOURS, DARK_COLOURS, GRID, INK, look, markers, variables
from reports.figures.svg import STYLE

__all__ = [
    "COLOURS",
    "DARK_COLOURS",
    "GRID",
    "INK",
    "STYLE",
    "Drawing",
    "Picture",
    "comparisons",
    "compose",
    "convergence",
    "distributions",
    "log_errors",
    "look",
    "markers",
    "parity",
    "variables",
]
