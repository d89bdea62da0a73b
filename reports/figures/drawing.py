"""What a figure is to a page, and figures by matplotlib and seaborn: SVG in the page's own colours."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from reports.figures.palette import GRID, INK, themed
from reports.figures.svg import Row, sheet

_STYLE: Any = {
    "svg.hashsalt": "nnp-pretrain-bench",
    "svg.fonttype": "none",  # text stays text: small files, selectable, follows the theme
    "font.family": "DejaVu Sans",  # shipped with matplotlib: the same picture on every machine
    "text.parse_math": False,  # names are text, whatever signs they hold
    "font.size": 10,
    "axes.titlesize": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "grid.linewidth": 0.7,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "axes.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color", "xtick.labelcolor", "ytick.labelcolor"), INK),
    "grid.color": GRID,
}


@dataclass(frozen=True)
class Picture:
    """One panel of a figure."""

    svg: str
    """An SVG element without ids that others have."""
    alt: str
    """What it shows, in words and numbers."""
    css: str = ""
    """A class of the page's style: `by-epoch` and the like where the reader chooses, `small` for many side by side."""


@dataclass(frozen=True)
class Drawing:
    """One figure: its panels for a page, and all of them as one SVG file."""

    name: str
    """File name without ending, and part of ids."""
    title: str
    panels: tuple[Picture, ...]
    file: str
    legend: tuple[tuple[str, str], ...] = ()
    """(sample of the line as SVG, name) of each arm, for figures whose panels have no legend of their own."""

    @property
    def alt(self) -> str:
        """Alternative text of the whole figure."""
        return " ".join(panel.alt for panel in self.panels)


@contextmanager
def _style() -> Iterator[None]:
    with sns.axes_style("ticks"), matplotlib.rc_context(_STYLE):
        yield


def log_axis(axis: Axis, lowest: float, highest: float) -> None:
    """Ticks that read as plain numbers, for a logarithmic axis from `lowest` to `highest`."""
    wide = highest > 4 * lowest
    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20) if wide else MaxNLocator(5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def log_errors(axes: Axes, lowest: float, highest: float) -> None:
    """A logarithmic y axis with ticks that read as plain numbers, for errors from `lowest` to `highest`."""
    axes.set_yscale("log")
    log_axis(axes.yaxis, lowest, highest)


def _shortened(svg: str) -> str:
    """Without comments, names of groups, space between elements, and digits of coordinates that no screen shows."""
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r">\s+<", "><", re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL))
    return re.sub(
        r'\b(?:d|x|y|transform)="[^"]*"',
        lambda found: re.sub(r"\s+", " ", re.sub(r"(\.\d\d)\d+", r"\1", found[0])),
        svg,
    )


def _svg(figure: Figure, prefix: str) -> str:
    """The figure as an SVG element to stand in a page: no ids shared with others, colours of the page."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :].rstrip()
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', text, count=1)
    text = _shortened(text)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(url\(#|xlink:href="#)', rf"\g<1>{prefix}-", text)
    return themed(text.replace("xlink:href", "href"))


def compose(
    name: str,
    title: str,
    panels: Mapping[str, str],
    draw: Callable[[Sequence[str], tuple[float, float]], Figure],
    size: tuple[float, float] = (5.4, 3.7),
    legend: tuple[tuple[str, str], ...] = (),
) -> Drawing:
    """The drawing of these panels: name (part of an id) -> alternative text.

    `draw` gives a figure of some of the panels side by side, of a size in inches. `legend`: see `Drawing`.
    """
    with _style():
        pictures = tuple(Picture(_svg(draw([panel], size), f"{name}-{panel}"), alt) for panel, alt in panels.items())
    return Drawing(name, title, pictures, sheet([Row([picture.svg for picture in pictures])], legend), legend)
