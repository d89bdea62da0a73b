"""The primary comparisons in one figure: change, interval and seeds, and what each was too weak to see."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reports.analysis.estimates import Change
from reports.analysis.results import Results
from reports.figures.drawing import Drawing, compose
from reports.figures.palette import GRID, INK, look, markers, pens
from reports.figures.svg import sample
from reports.text.formatting import brief, interval, listing
from reports.text.verdicts import errors_of, where

MOST_ROWS = 16
"""Comparisons in one figure."""
WIDEST = (0.2, 4.0)
"""Factors that the axis reaches at most: −80 and +300 %. What is beyond stands at its edge, as arrows."""
TICKS = (-80, -65, -50, -30, -20, -10, 0, 10, 25, 50, 100, 200, 300)
"""In %."""

Group = tuple[str, list[Change]]


def _factor(percent: float) -> float:
    return 1 + percent / 100


def _chosen(results: Results) -> tuple[list[Change], str]:
    """What is drawn, and what to call it."""
    primaries = [results.changes[place] for place in results.primaries if place in results.changes]
    if results.primaries:
        return primaries, "The primary comparisons"
    plan = results.run.plan
    averages = [change for change in results.averaged() if _is_force(results, change)]
    single = [
        results.change(arm, baseline, results.headline_metrics(arm.dataset)[0])
        for arm in plan.arms
        if arm.strategy not in plan.baselines
        for baseline in results.references(arm)
    ]
    found = [*averages, *(change for change in single if change is not None)]
    return [change for change in found if change.tested], "Exploratory comparisons"


def _is_force(results: Results, change: Change) -> bool:
    return change.place.metric == results.headline_metrics(results.datasets(change.place.dataset)[0])[0]


def _groups(results: Results, changes: Sequence[Change]) -> tuple[list[Group], str]:
    """Comparisons of one arm with its baselines in one error, under what it differs in from others; what all share."""
    plan = results.run.plan

    def parts(change: Change) -> tuple[str, ...]:
        place = change.place
        data = where(results, place).removeprefix(plan.models[place.model].label).strip(" ,").removeprefix("on ")
        return plan.models[place.model].label, data, place.strategy, errors_of(place.metric)

    every = [parts(change) for change in changes]
    varies = [len(set(column)) > 1 for column in zip(*every, strict=True)]
    varies[2] = True  # an arm is always named
    groups: dict[str, list[Change]] = {}
    for change, names in zip(changes, every, strict=True):
        groups.setdefault(", ".join(name for name, differs in zip(names, varies, strict=True) if differs), []).append(
            change
        )
    common = [name for name, differs in zip(every[0], varies, strict=True) if not differs and name]
    return list(groups.items()), ", ".join(common)


def _text(change: Change) -> str:
    ends = interval(change.low, change.high, brief)
    return f"{brief(change.percent)} %" + (f" ({ends})" if ends else ", one seed")


def _range(results: Results, changes: Sequence[Change]) -> tuple[float, float]:
    """Factors that the axis goes from and to."""
    ends = [_factor(end) for change in changes for end in (change.low, change.high) if not pd.isna(end)]
    ends += [_factor(percent) for change in changes for percent in results.single_seeds(change).values()]
    low, high = np.clip([min([0.9, *ends]), max([1.1, *ends])], *WIDEST)
    margin = (high / low) ** 0.04
    return low / margin, high * margin


def _draw_row(axes: Axes, change: Change, y: float, colour: str, marker: str, seeds: Sequence[float]) -> None:
    low, high = change.seen
    if not pd.isna(low):
        axes.fill_betweenx([y - 0.32, y + 0.32], _factor(low), _factor(high), color=GRID, linewidth=0, zorder=0)
    first, last = axes.get_xlim()
    if not pd.isna(change.low):
        ends = np.array([_factor(change.low), _factor(change.high)])
        axes.plot(ends.clip(first, last), [y, y], color=colour, linewidth=1.8, solid_capstyle="butt")
        for shape, cut in (("<", ends[0] < first), (">", ends[1] > last)):
            if cut:
                edge = first if shape == "<" else last
                axes.plot(edge, y, marker=shape, color=colour, markersize=4.5, linestyle="none", clip_on=False)
    factors = np.array([_factor(seed) for seed in seeds])
    for shape, here in (("<", factors < first), ("o", (factors >= first) & (factors <= last)), (">", factors > last)):
        if not here.any():
            continue
        points = pd.DataFrame({"factor": factors[here].clip(first, last), "y": y + 0.16})
        sns.scatterplot(
            points, x="factor", y="y", color=colour, s=14, alpha=0.6, linewidth=0, ax=axes, legend=False, marker=shape,
            clip_on=False,
        )  # fmt: skip
    factor = _factor(change.percent)
    shape = "<" if factor < first else ">" if factor > last else marker
    axes.plot(
        np.clip(factor, first, last), y, marker=shape, color=colour, markersize=6.5, linestyle="none", clip_on=False
    )


def _figure(results: Results, groups: Sequence[Group], _: Sequence[str], size: tuple[float, float]) -> Figure:
    colours, _dashes = look(results.run.plan)
    shapes = markers(results.run.plan)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    changes = [change for _, found in groups for change in found]
    low, high = _range(results, changes)
    axes.set(xscale="log", xlim=(low, high))
    y, left = 0.0, axes.get_yaxis_transform()
    for heading, found in groups:
        axes.text(0, y, heading, transform=left, va="center")
        axes.plot([1, 1], [y + 0.5, y + len(found) + 0.5], color=INK, linewidth=1)
        for change in found:
            y += 1
            name = change.place.baseline
            seeds = list(results.single_seeds(change).values())
            _draw_row(axes, change, y, colours[name], shapes[name], seeds)
            axes.text(1.01, y, _text(change), transform=left, va="center")
        y += 1.3
    axes.set(ylim=(y - 0.7, -0.7), ylabel="", yticks=[])
    axes.spines["left"].set_visible(False)
    ticks = _ticks(low, high)
    axes.xaxis.set_major_locator(FixedLocator([_factor(tick) for tick in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda factor, _: brief(round(100 * (factor - 1)))))
    axes.set_xlabel("change of the test error (%); left of 0 is better")
    return figure


def _ticks(low: float, high: float) -> list[float]:
    """Those within the range that do not run into each other; 0 always."""
    room = 0.09 * np.log(high / low)
    kept: list[float] = [0]
    for tick in sorted(TICKS, key=abs, reverse=False):
        if low <= _factor(tick) <= high and all(abs(np.log(_factor(tick) / _factor(one))) > room for one in kept):
            kept.append(tick)
    return sorted(kept)


def _describe(results: Results, groups: Sequence[Group]) -> str:
    rows = []
    for heading, found in groups:
        for change in found:
            seeds = listing([f"{brief(percent)}" for percent in results.single_seeds(change).values()])
            rows.append(f"{heading} against {change.place.baseline} {_text(change)}, single seeds {seeds} %")
    return f"Changes of the test error with 95 % intervals, logarithmic; beyond the axis, arrows. {'; '.join(rows)}."


def forest(results: Results) -> list[Drawing]:
    """The primary comparisons; where none was declared, the exploratory ones of the force errors, at most `MOST_ROWS`.

    Of each its change with the 95 % interval, its seeds as faint points, and in grey the changes that it would have
    missed (power below 80 %). Colour and marker are those of the baseline.
    """
    every, title = _chosen(results)
    changes = every[:MOST_ROWS]
    if not changes:
        return []
    if len(changes) < len(every):
        title += f", {len(changes)} of {len(every)}: the tables have all"
    groups, shared = _groups(results, changes)
    pen = pens(results.run.plan.strategies)
    names = list(dict.fromkeys(change.place.baseline for change in changes))
    lines = len(changes) + 1.3 * len(groups)
    legend = tuple((sample(pen[name]), f"against {name}") for name in names)
    title += f" ({shared})" if shared else ""
    return [
        compose(
            "forest",
            f"{title}: change, 95 % interval, single seeds (points), and in grey what would have been missed",
            {"changes": _describe(results, groups)},
            partial(_figure, results, groups),
            size=(5.2, 0.75 + 0.25 * lines),
            legend=legend,
        )
    ]
