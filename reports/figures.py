"""Figures: SVG that follows the page's colours, PNG for the Markdown. Here their style and those of convergence."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import matplotlib
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from reports.formatting import QUANTITIES, listing, number
from reports.run import Plan, Run
from reports.statistics import validation_curves

# Drawn as near black and near white, replaced in the SVG by the page's own colours, light or dark.
INK, GRID = "#1b1c1d", "#d8d9da"
# Okabe & Ito's colours without black and yellow, which vanish on one of the two backgrounds.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES: tuple[str | tuple[float, ...], ...] = ("", (4, 1.5), (1.2, 1.2), (6, 1.5, 1.2, 1.5))
PANELS = {"epoch": "finetuning epochs only", "total_epoch": "pretraining epochs counted"}
PNG_DPI = 110

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
class Drawing:
    """One figure: its panels as SVG with a text for those who do not see them, all as one PNG."""

    name: str
    title: str
    panels: list[tuple[str, str]]
    """(SVG, alternative text) of each panel."""
    png: bytes
    alt: str
    """Alternative text of the PNG."""


@contextmanager
def _style() -> Iterator[None]:
    with sns.axes_style("ticks"), matplotlib.rc_context(_STYLE):
        yield


def look(plan: Plan) -> tuple[dict[str, str], dict[str, str | tuple[float, ...]]]:
    """Colour and dash of every strategy of the plan, by its place there; the same in every figure."""
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(plan.strategies)}
    dashes = {name: DASHES[(i + i // len(COLOURS)) % len(DASHES)] for i, name in enumerate(plan.strategies)}
    return colours, dashes


def log_errors(axes: Axes, lowest: float, highest: float) -> None:
    """A logarithmic y axis with ticks that read as plain numbers, for errors from `lowest` to `highest`."""
    axes.set_yscale("log")
    wide = highest > 4 * lowest
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20) if wide else MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw(axes: Axes, values: pd.DataFrame, plan: Plan, metric: str, x: str) -> None:
    colours, dashes = look(plan)
    order = [name for name in plan.strategies if name in set(values["strategy"])]
    over_seeds = values.groupby(["strategy", x])["value"].agg(["mean", "min", "max"]).reset_index()
    sns.lineplot(
        over_seeds, x=x, y="mean", hue="strategy", style="strategy", hue_order=order, style_order=order,
        palette=[colours[n] for n in order], dashes=[dashes[n] for n in order],
        estimator=None, linewidth=1.8, ax=axes,
    )  # fmt: skip
    for name in order:
        band = over_seeds[over_seeds["strategy"] == name]
        axes.fill_between(band[x], band["min"], band["max"], color=colours[name], alpha=0.18, linewidth=0)
    log_errors(axes, values["value"].min(), values["value"].max())
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True, steps=[1, 2, 5, 10]))
    axes.grid(axis="y")
    name, unit = QUANTITIES[metric]
    axes.set(xlabel="epoch", ylabel=f"validation {name} ({unit})", title=PANELS[x], xlim=(0, None))
    axes.legend(title=None, handlelength=3)


def _svg(figure: Figure, prefix: str) -> str:
    """The figure as an SVG element to stand in a page: no ids shared with others, colours of the page."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :].rstrip()
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', text, count=1)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(url\(#|xlink:href="#)', rf"\g<1>{prefix}-", text)
    text = text.replace("xlink:href", "href")
    return text.replace(INK, "currentColor").replace(GRID, "var(--rule)")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=PNG_DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def compose(
    name: str, title: str, panels: Mapping[str, str], draw: Callable[[Sequence[str], tuple[float, float]], Figure]
) -> Drawing:
    """The drawing of these panels: name (part of an id) -> alternative text.

    `draw` gives a figure of some of the panels side by side, of a size in inches.
    """
    with _style():
        single = [(_svg(draw([panel], (5.4, 3.7)), f"{name}-{panel}"), alt) for panel, alt in panels.items()]
        png = _png(draw(list(panels), (10.0, 3.8)))
    return Drawing(name, title, single, png, " ".join(panels.values()))


def _figure(values: pd.DataFrame, plan: Plan, metric: str, panels: Sequence[str], size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for panel, place in zip(panels, axes, strict=True):
        _draw(place, values, plan, metric, panel)
    for place in axes[1:]:
        place.set_ylabel("")
        place.get_legend().remove()
    return figure


def _describe(values: pd.DataFrame, plan: Plan, metric: str, x: str) -> str:
    """What a panel shows, in words and numbers from the same values."""
    parts = []
    for name in plan.strategies:
        means = values[values["strategy"] == name].groupby(x)["value"].mean()
        if len(means):
            parts.append(
                f"{name} from {number(means.iloc[0])} at epoch {means.index[0]} "
                f"to {number(means.iloc[-1])} at epoch {means.index[-1]}"
            )
    quantity, unit = QUANTITIES[metric]
    what = f"Validation {quantity} in {unit}, logarithmic, against epoch ({PANELS[x]})"
    return f"{what}; means over seeds: {listing(parts)}."


def convergence(run: Run, metric: str) -> list[Drawing]:
    """Validation `metric` against epoch, a drawing for each dataset and model with a finished cell.

    Lines are means over seeds, bands reach from the smallest to the largest seed. Of two panels the second
    shifts each arm by its pretraining epochs. Colours and dashes belong to the arm (see `look`).
    """
    every = validation_curves(run.records, run.curves, metric)
    drawings = []
    for number_of_pair, (dataset, model) in enumerate(run.plan.pairs, start=1):
        values = every[(every["dataset"] == dataset) & (every["model"] == model) & (every["value"] > 0)]
        if values.empty:
            continue
        # Names of datasets and models come from outside: a number makes a safe file name.
        name = f"convergence-{QUANTITIES[metric][0].split()[0]}-{number_of_pair}"
        panels = {panel: _describe(values, run.plan, metric, panel) for panel in PANELS}
        title = f"{run.plan.heading(dataset, model)}: validation {QUANTITIES[metric][0]} while finetuning"
        drawings.append(compose(name, title, panels, partial(_figure, values, run.plan, metric)))
    return drawings
