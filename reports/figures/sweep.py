"""Test errors along the axis of an ablation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reports.analysis.results import Results
from reports.analysis.statistics import ARM, seed_values
from reports.analysis.sweep import SWEPT, Group, groups, headline_metrics
from reports.figures.drawing import Drawing, compose, log_errors
from reports.figures.palette import INK, look
from reports.records.plan import Arm, Plan, Sweep
from reports.records.run import Run
from reports.text.formatting import QUANTITIES, listing, number, plain

Errors = Mapping[Arm, Sequence[float]]
"""Test errors of the finished seeds of every arm that has any."""


def _errors(run: Run, metric: str) -> Errors:
    values = seed_values(run.records, [metric]).groupby(ARM)["value"]
    return {Arm(*map(str, name)): seeds.tolist() for name, seeds in values}


def _ticks(values: Sequence[float], log: bool) -> list[float]:
    """The values themselves, without those too close to the one before for both numbers to be read."""
    places = np.log10(values) if log else np.asarray(values)
    kept: list[int] = []
    for i, place in enumerate(places):
        if not kept or place - places[kept[-1]] > 0.08 * (places[-1] - places[0]):
            kept.append(i)
    return [values[i] for i in kept]


def _draw(axes: Axes, group: Group, errors: Errors, plan: Plan, sweep: Sweep) -> None:
    colours, dashes = look(plan)

    def pen(name: str) -> dict[str, Any]:
        if name == SWEPT:
            return {"color": INK, "linestyle": "-", "linewidth": 1.8, "label": name}
        dash = dashes[name]
        return {"color": colours[name], "linestyle": (0, dash) if dash else "-", "linewidth": 1.8, "label": name}

    for name, points in group.lines.items():
        drawn = [(value, errors[arm]) for value, arm in points if arm in errors]
        if drawn:
            (line,) = axes.plot(
                [x for x, _ in drawn], [fmean(y) for _, y in drawn], marker="o", markersize=3.5, **pen(name)
            )
            for x, seeds in drawn:
                axes.scatter([x] * len(seeds), seeds, s=30, color=line.get_color(), alpha=0.35, linewidth=0)
    for arm in group.levels:
        if level := errors.get(arm):
            axes.axhspan(min(level), max(level), color=colours[arm.strategy], alpha=0.12, linewidth=0)
            axes.axhline(fmean(level), **pen(arm.strategy))


def _range(every: Sequence[Group], group: Group, errors: Errors) -> tuple[float, float]:
    """Smallest and largest error in this figure and in those of other models on the same data."""
    beside = [other for other in every if other.place.dataset == group.place.dataset]
    seeds = [error for other in beside for arm in (*other.on_axis, *other.levels) for error in errors.get(arm, ())]
    return min(seeds), max(seeds)


def _figure(
    every: Sequence[Group],
    group: Group,
    errors: Mapping[str, Errors],
    plan: Plan,
    sweep: Sweep,
    metrics: Sequence[str],
    size: tuple[float, float],
) -> Figure:
    figure = Figure(figsize=size, layout="constrained")
    ticks = _ticks(sorted({value for points in group.lines.values() for value, _ in points}), sweep.log)
    for metric, axes in zip(metrics, figure.subplots(1, len(metrics), squeeze=False)[0], strict=True):
        if sweep.log:
            axes.set_xscale("log")
        _draw(axes, group, errors[metric], plan, sweep)
        lowest, highest = _range(every, group, errors[metric])
        if lowest > 0:
            log_errors(axes, lowest, highest)
            margin = max(highest / lowest, 1.1) ** 0.06
            axes.set_ylim(lowest / margin, highest * margin)
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
        axes.grid(axis="y")
        axes.set(xlabel=sweep.label, ylabel="test {} ({})".format(*QUANTITIES[metric]))
        if metric == metrics[0]:
            axes.legend(title=None, handlelength=3)
    return figure


def _describe(plan: Plan, group: Group, errors: Errors, sweep: Sweep, metric: str) -> str:
    """What a panel shows, in words and numbers from the same values."""

    def mean(arm: Arm, where: str) -> str:
        seeds, planned = errors.get(arm, ()), len(plan.cells_of(arm))
        missing = f" ({len(seeds)} of {planned} seeds)" if len(seeds) < planned else ""
        return f"{number(fmean(seeds)) if seeds else 'nothing'} {where}{missing}"

    parts = [
        f"{name} {listing([mean(arm, f'at {plain(value)}') for value, arm in points])}"
        for name, points in group.lines.items()
    ]
    parts += [f"{arm.strategy} {mean(arm, 'as a horizontal line')}" for arm in group.levels]
    quantity, unit = QUANTITIES[metric]
    return (
        f"Test {quantity} in {unit} of the best checkpoint against {sweep.label}; means over all planned seeds "
        f"unless said otherwise: {'; '.join(parts)}."
    )


def explanation(sweep: Sweep) -> str:
    """How to read the figures."""
    text = (
        "Errors on the test split, best checkpoint. Faint points are single seeds, lines join their means. Only "
        "finished cells are drawn. Error axes are logarithmic"
    )
    text += "." if sweep.over == "model" else "; figures of different models share their range."
    if sweep.over == "strategy":
        text += " Arms off the axis are horizontal lines, with bands from the smallest to the largest seed."
    return text


def sweep_figures(results: Results) -> list[Drawing]:
    """Test force and energy RMSE of the best checkpoint against the swept quantity.

    A drawing for each dataset and model with a finished cell on the axis; for each model in a sweep over
    datasets, for each dataset in one over models. Faint points are seeds, lines join their means. In a sweep
    over strategies the arms on the axis are one line, the others horizontal lines with bands from the smallest
    to the largest seed. Drawings of different models share the range of their y axes.
    """
    plan, sweep = results.run.plan, results.run.plan.sweep
    if sweep is None:
        return []
    headlines = headline_metrics(results)
    errors = {metric: _errors(results.run, metric) for metric in headlines}
    every = groups(plan, sweep)
    drawings = []
    # Names of datasets and models come from outside: a number makes a safe file name.
    for number_of_group, group in enumerate(every, start=1):
        panels = {
            metric: _describe(plan, group, errors[metric], sweep, metric)
            for metric in headlines
            if any(arm in errors[metric] for arm in group.on_axis)
        }
        if panels:
            title = f"{plan.heading(group.place.dataset, group.place.model)}: test errors against {sweep.label}"
            draw = partial(_figure, every, group, errors, plan, sweep)
            drawings.append(compose(f"sweep-{number_of_group}", title, panels, draw))
    return drawings
