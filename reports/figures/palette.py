"""The look of an arm: one colour, dash and marker, the same in every figure, on the page and beside the Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from reports.records.plan import Plan

INK, GRID = "#1b1c1d", "#d8d9da"
"""Drawn as near black and near white by matplotlib, replaced in its SVG by the page's own colours."""

COLOURS = ("#0072b2", "#c75300", "#00875f", "#b5598a", "#a87400", "#6b6f75")
"""Okabe & Ito's blue, vermilion, green, purple and orange, darkened to 3:1 against white; a grey for their black."""

DARK_COLOURS = ("#56b4e9", "#ff8c42", "#2fc79a", "#e29cc0", "#e6b422", "#a9aeb5")
"""The same hues, light enough for a dark page."""

DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1.2, 1.2), (6, 1.5, 1.2, 1.5))
"""In units of the line's width; () is a solid line."""

MARKERS = ("o", "s", "^", "D", "v", "P")
"""Matplotlib's names: circle, square, triangle, diamond, triangle pointing down, cross."""


class Pen(NamedTuple):
    """How an arm is drawn."""

    colour: int
    """Place in `COLOURS`, and in the page's variables `--arm-0`, `--arm-1`, ..."""
    dash: tuple[float, ...]
    marker: str


def pens(strategies: Iterable[str]) -> dict[str, Pen]:
    """The pen of every strategy by its place in the plan, so that a run of a few keeps the colours of all.

    Colours come again after six, then with another dash and marker: 24 arms differ.
    """
    found = {}
    for i, name in enumerate(strategies):
        again = i + i // len(COLOURS)
        found[name] = Pen(i % len(COLOURS), DASHES[again % len(DASHES)], MARKERS[again % len(MARKERS)])
    return found


def look(plan: Plan) -> tuple[dict[str, str], dict[str, tuple[float, ...] | str]]:
    """Colour and dash ('' for solid) of every strategy of the plan, as matplotlib and seaborn take them."""
    chosen = pens(plan.strategies)
    return {n: COLOURS[pen.colour] for n, pen in chosen.items()}, {n: pen.dash or "" for n, pen in chosen.items()}


def markers(plan: Plan) -> dict[str, str]:
    """Matplotlib's marker of every strategy of the plan."""
    return {name: pen.marker for name, pen in pens(plan.strategies).items()}


def variables(colours: Sequence[str]) -> str:
    """The arms' colours as CSS variables."""
    return " ".join(f"--arm-{i}: {colour};" for i, colour in enumerate(colours))


def themed(svg: str) -> str:
    """An SVG of matplotlib's with the page's colours in place of those that it was drawn in."""
    svg = svg.replace(INK, "currentColor").replace(GRID, "var(--rule)")
    for i, colour in enumerate(COLOURS):
        svg = svg.replace(colour, f"var(--arm-{i})")
    return svg
