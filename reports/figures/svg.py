"""A small SVG writer for panels that come by the hundred: axes, lines, bands, points with their numbers.

Matplotlib takes 0.1 s and 20 kB for such a panel, which is too much for a report of many models and datasets; this
takes a millisecond and a fifth of the bytes, and lets a point carry its numbers as a tooltip. Lengths are units of
the panel's view box.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from reports.figures.palette import COLOURS, DARK_COLOURS, DASHES, GRID, INK, Pen, variables

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 28, 42

STYLE = """\
.plot { font: 12px system-ui, "Liberation Sans", Arial, sans-serif; fill: currentColor; }
.plot .frame { fill: none; stroke: currentColor; }
.plot .grid { fill: none; stroke: var(--rule); }
.plot .y, .plot .end { text-anchor: end; }
.plot .x { text-anchor: middle; }
.plot .line { fill: none; stroke: var(--arm); stroke-width: 2; stroke-linejoin: round; }
.plot .band { fill: var(--arm); fill-opacity: .17; }
.crowded .band { fill-opacity: .07; }
.plot .mark { fill: var(--arm); stroke: var(--paper); }
.plot .dots { fill: none; stroke: var(--arm); stroke-width: 3.5; stroke-linecap: round; stroke-opacity: .6; }
.uncounted .arm { transform: translateX(var(--shift, 0)); }
"""
"""What panels look like; the page's variables `--paper`, `--rule` and `--arm-0`, ... give the colours."""
STYLE += "".join(f".arm-{i} {{ --arm: var(--arm-{i}); }}\n" for i in range(len(COLOURS)))
STYLE += "".join(
    f".dash-{i} .line {{ stroke-dasharray: {' '.join(f'{2 * length:g}' for length in dash)}; }}\n"
    for i, dash in enumerate(DASHES)
    if dash
)

_SHAPES = {
    "o": "a3.6,3.6 0 1 0 .01,0z",
    "s": "h6.4v6.4h-6.4z",
    "^": "l4.2,7.2h-8.4z",
    "D": "l4.4,4.4l-4.4,4.4l-4.4,-4.4z",
    "v": "h8.4l-4.2,7.2z",
    "P": "h2.6v2.6h2.6v2.6h-2.6v2.6h-2.6v-2.6h-2.6v-2.6h2.6z",
}
_STARTS = {"o": (0, -3.6), "s": (-3.2, -3.2), "^": (0, -4.6), "D": (0, -4.4), "v": (-4.2, -2.6), "P": (-1.3, -3.9)}


Values = Sequence[float] | NDArray[np.float64]


TICK_SPACE = 40
"""Smallest room for a tick's label, in pixels."""


def short(value: float) -> str:
    """A coordinate in few characters: one decimal, no needless zero."""
    text = f"{value:.1f}"
    text = text[:-2] if text.endswith(".0") else text
    return {"-0": "0"}.get(text, text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text)


def nice_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """About `count` multiples of 1, 2 or 5 times a power of ten, from `low` to `high`."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis from `low` to `high` (both above 0): 1, 2 and 5 times powers of ten.

    A range of less than a factor of four gets evenly spaced numbers, one of less than a decade 3 and 7 too, one of
    more than three decades powers of ten only.
    """
    if high < 4 * low:
        return nice_ticks(low, high, 4)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    span = math.log10(high / low)
    factors: tuple[int, ...] = (1, 2, 3, 5, 7) if span < 1 else (1, 2, 5) if span < 3 else (1,)
    every = [factor * 10.0**decade for decade in decades[:: max(1, len(decades) // 8)] for factor in factors]
    return [tick for tick in every if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


@dataclass(frozen=True)
class Scale:
    """From a value to a coordinate; `log`: by its logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        place = math.log(value) if self.log else value
        share = (place - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        if self.log:
            return log_ticks(self.low, self.high)
        return nice_ticks(self.low, self.high, max(2, min(6, int(abs(self.end - self.start) / TICK_SPACE))))


def _points(xs: Values, ys: Values) -> str:
    """A path's points after its M: the first, then the step to each further one, which takes fewer characters."""
    places = [(round(x, 1), round(y, 1)) for x, y in zip(xs, ys, strict=True)]
    steps = [f"{short(x - a)},{short(y - b)}" for (a, b), (x, y) in pairwise(places)]
    first = f"{short(places[0][0])},{short(places[0][1])}"
    return f"{first}l{' '.join(steps)}" if steps else first


@dataclass
class Panel:
    """One pair of axes. `xlabel` and `ylabel` name quantity and unit; ranges are of the values."""

    xlabel: str
    ylabel: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    log_x: bool = False
    log_y: bool = False
    crowded: bool = False
    """Whether bands are to be faint, because there are many."""
    width: int = WIDTH
    height: int = HEIGHT
    _parts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.x = Scale(*self.x_range, LEFT, self.width - RIGHT, self.log_x)
        self.y = Scale(*self.y_range, self.height - BOTTOM, TOP, self.log_y)

    def _places(self, xs: Values, ys: Values) -> tuple[list[float], list[float]]:
        return [self.x(value) for value in xs], [self.y(value) for value in ys]

    def band(self, xs: Values, low: Values, high: Values) -> str:
        """An area between two lines."""
        places = self._places([*xs, *xs[::-1]], [*low, *high[::-1]])
        return f'<path class="band" d="M{_points(*places)}z"/>'

    def line(self, xs: Values, ys: Values) -> str:
        return f'<path class="line" d="M{_points(*self._places(xs, ys))}"/>'

    def dots(self, xs: Values, ys: Values) -> str:
        """Many points as one path."""
        places = zip(*self._places(xs, ys), strict=True)
        return f'<path class="dots" d="{"".join(f"M{short(x)},{short(y)}h0" for x, y in places)}"/>'

    def mark(self, x: float, y: float, marker: str, title: str) -> str:
        """A point that tells its numbers when it is pointed at."""
        return _mark(self.x(x), self.y(y), marker, title)

    def diagonal(self) -> None:
        """The line of equal x and y."""
        low, high = max(self.x.low, self.y.low), min(self.x.high, self.y.high)
        places = _points(*self._places((low, high), (low, high)))
        self._parts.append(f'<path class="frame" stroke-dasharray="3 3" d="M{places}"/>')

    def arm(self, pen: Pen, parts: Sequence[str], shift: float = 0.0) -> None:
        """What is drawn of one arm. `shift`: how far (in x values) it moves where pretraining is not counted."""
        move = f' style="--shift: {short(self.x(self.x.low - shift) - self.x(self.x.low))}px"' if shift else ""
        dash = f" dash-{DASHES.index(pen.dash)}" if pen.dash else ""
        self._parts.append(f'<g class="arm arm-{pen.colour}{dash}"{move}>{"".join(parts)}</g>')

    def _axes(self, text: Callable[[float], str]) -> str:
        bottom, right = self.height - BOTTOM, self.width - RIGHT
        y_ticks = [(tick, short(self.y(tick))) for tick in self.y.ticks]
        x_ticks = [(tick, short(self.x(tick))) for tick in self.x.ticks]
        grid = "".join(f"M{LEFT},{y}H{right}" for _, y in y_ticks)
        ticks = "".join(f"M{x},{bottom}v4" for _, x in x_ticks)
        labels = [f'<text class="y" x="{LEFT - 6}" y="{y}" dy="4">{text(tick)}</text>' for tick, y in y_ticks]
        labels += [f'<text class="x" x="{x}" y="{bottom + 17}">{text(tick)}</text>' for tick, x in x_ticks]
        labels.append(f'<text x="2" y="13">{escape(self.ylabel)}</text>')
        labels.append(f'<text class="end" x="{right}" y="{self.height - 6}">{escape(self.xlabel)}</text>')
        frame = f"M{LEFT},{TOP}V{bottom}H{right}"
        return f'<path class="grid" d="{grid}"/><path class="frame" d="{frame}{ticks}"/>{"".join(labels)}'

    def svg(self, text: Callable[[float], str]) -> str:
        """The panel as an SVG element to stand in a page or in another SVG; `text` prints a tick."""
        classes = "plot crowded" if self.crowded else "plot"
        box = f'viewBox="0 0 {self.width} {self.height}"'
        return f'<svg class="{classes}" {box} aria-hidden="true">{self._axes(text)}{"".join(self._parts)}</svg>'


def _mark(x: float, y: float, marker: str, title: str) -> str:
    dx, dy = _STARTS[marker]
    inner = f"<title>{escape(title)}</title>" if title else ""
    return f'<path class="mark" d="M{short(x + dx)},{short(y + dy)}{_SHAPES[marker]}">{inner}</path>'


def sample(pen: Pen) -> str:
    """A piece of an arm's line with its marker, for a legend."""
    dash = f" dash-{DASHES.index(pen.dash)}" if pen.dash else ""
    return (
        f'<svg class="plot arm-{pen.colour}{dash}" viewBox="0 0 40 12" width="40" height="12" aria-hidden="true">'
        f'<path class="line" d="M0,6H40"/>{_mark(20, 6, pen.marker, "")}</svg>'
    )


def ink_sample() -> str:
    """The same of a thin line in the colour of the text, without a marker."""
    return (
        '<svg class="plot" viewBox="0 0 40 12" width="40" height="12" aria-hidden="true">'
        '<path d="M0,6H40" fill="none" stroke="currentColor"/></svg>'
    )


@dataclass(frozen=True)
class Row:
    """Panels side by side in a sheet: SVG elements with a view box."""

    panels: Sequence[str]
    note: str = ""
    """A line above."""
    uncounted: bool = False
    """Whether arms are moved to where they are without their pretraining (see `Panel.arm`)."""


def _size(svg: str) -> tuple[float, float]:
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if found is None:
        raise ValueError(f"an SVG element with a viewBox that starts at 0 0 is expected, not {svg[:80]!r}")
    return float(found[1]), float(found[2])


def _legend(items: Sequence[tuple[str, str]], width: float) -> tuple[str, float]:
    """Legend entries (sample, name) in lines no wider than `width`, and how high they are."""
    x, y, parts = 8.0, 0.0, []
    for piece, name in items:
        needed = 66 + 6.6 * len(name)
        if x > 8 and x + needed > width:
            x, y = 8.0, y + 20
        placed = piece.replace("<svg ", f'<svg x="{short(x)}" y="{short(y + 4)}" ', 1)
        parts.append(f'{placed}<text x="{short(x + 46)}" y="{short(y + 14)}">{escape(name)}</text>')
        x += needed
    return "".join(parts), y + 28 if items else 0.0


def sheet(rows: Sequence[Row], legend: Sequence[tuple[str, str]] = ()) -> str:
    """A file of its own: rows of panels under a legend of (sample, name), in the colours of a light or dark reader."""
    width = max(sum(_size(panel)[0] for panel in row.panels) for row in rows)
    drawn, y = _legend(legend, width)
    parts = [drawn]
    for row in rows:
        if row.note:
            parts.append(f'<text x="8" y="{short(y + 14)}">{escape(row.note)}</text>')
            y += 22
        x, pieces = 0.0, []
        for panel in row.panels:
            wide, high = _size(panel)
            place = f'x="{short(x)}" y="{short(y)}" width="{short(wide)}" height="{short(high)}"'
            pieces.append(panel.replace("<svg ", f"<svg {place} ", 1))
            x += wide
        parts.append(f'<g class="{"uncounted" if row.uncounted else "counted"}">{"".join(pieces)}</g>')
        y += max(_size(panel)[1] for panel in row.panels)
    light = f"color: {INK}; --paper: #ffffff; --rule: {GRID}; {variables(COLOURS)}"
    dark = f"color: #e7e8ea; --paper: #15171a; --rule: #3a3e44; {variables(DARK_COLOURS)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot sheet" viewBox="0 0 {short(width)} {short(y)}" '
        f'width="{short(width)}" height="{short(y)}">\n<style>\n'
        f".sheet {{ {light} background: var(--paper); }}\n"
        f"@media (prefers-color-scheme: dark) {{ .sheet {{ {dark} }} }}\n{STYLE}</style>\n{''.join(parts)}\n</svg>\n"
    )
