"""The paper's comparisons (`published.yaml` says which): test errors of arms side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.analysis.published import published
from reports.analysis.results import Results
from reports.analysis.statistics import seed_values
from reports.figures.drawing import Drawing, compose, log_axis
from reports.figures.palette import INK, look, markers, pens
from reports.figures.svg import sample
from reports.records.plan import Arm
from reports.text.formatting import QUANTITIES, listing, plus_minus

MOST_ROWS = 16
"""Datasets and models in one figure."""


def _rows(results: Results, roles: Collection[str]) -> dict[tuple[str, str], list[Arm]]:
    """(dataset, model) -> arms, of those that have a finished cell of each of the roles."""
    plan = results.run.plan
    role = {name: strategy.role for name, strategy in plan.strategies.items()}
    found: dict[tuple[str, str], list[Arm]] = {}
    for arm in plan.arms:
        if role[arm.strategy] in roles and results.finished(arm):
            found.setdefault((arm.dataset, arm.model), []).append(arm)
    complete = [pair for pair, arms in found.items() if {role[arm.strategy] for arm in arms} == set(roles)]
    return {pair: found[pair] for pair in complete[:MOST_ROWS]}


def _labels(results: Results, pairs: Iterable[tuple[str, str]]) -> tuple[str, dict[tuple[str, str], str]]:
    """What all pairs have in common, for the title, and what to call each of them beside the axis."""
    pairs = list(pairs)
    plan, datasets = results.run.plan, {dataset for dataset, _ in pairs}
    shared = ""
    labels = {pair: plan.heading(*pair) for pair in pairs}
    if len(datasets) == 1:
        dataset = plan.datasets[pairs[0][0]].label
        shared = f" on {dataset}" if dataset else ""
        labels = {pair: plan.models[pair[1]].label for pair in pairs}
    if len(set(labels.values()) - {""}) < len(pairs):
        labels = {pair: " / ".join(pair) for pair in pairs}
    return shared, {pair: "\n".join(textwrap.wrap(label, 24)) for pair, label in labels.items()}


def _draw(axes: Axes, values: pd.DataFrame, results: Results, names: Sequence[str], labels: Sequence[str]) -> None:
    colours, _ = look(results.run.plan)
    shapes = markers(results.run.plan)
    common = {
        "x": "value", "y": "pair", "hue": "strategy", "hue_order": names, "order": labels, "orient": "h",
        "palette": [colours[name] for name in names], "legend": False, "ax": axes,
    }  # fmt: skip
    many = len(names) > 1
    sns.stripplot(values, dodge=many, jitter=False, size=5, alpha=0.4, **common)
    sns.pointplot(
        values, dodge=0.8 - 0.8 / len(names) if many else False, errorbar="sd", linestyle="none", markersize=6,
        markers=[shapes[name] for name in names], err_kws={"linewidth": 1.6}, **common,
    )  # fmt: skip
    axes.set_xscale("log")
    log_axis(axes.xaxis, values["value"].min(), values["value"].max())
    axes.grid(axis="x")
    for i in range(1, len(labels)):
        axes.axhline(i - 0.5, color=INK, linewidth=0.4, alpha=0.4)
    axes.set(ylabel="")


def _figure(
    values: Mapping[str, pd.DataFrame],
    results: Results,
    names: Sequence[str],
    labels: Sequence[str],
    metrics: Sequence[str],
    size: tuple[float, float],
) -> Figure:
    figure = Figure(figsize=size, layout="constrained")
    for metric, axes in zip(metrics, figure.subplots(1, len(metrics), squeeze=False)[0], strict=True):
        _draw(axes, values[metric], results, names, labels)
        axes.set_xlabel("test {} ({})".format(*QUANTITIES[metric]))
    return figure


def _describe(results: Results, rows: Mapping[tuple[str, str], Sequence[Arm]], metric: str) -> str:
    texts = []
    for pair, arms in rows.items():
        means = {arm.strategy: results.mean(arm, metric) for arm in arms}
        planned = {arm.strategy: len(results.run.plan.cells_of(arm)) for arm in arms}
        shown = [
            f"{name} {plus_minus(mean.mean, mean.sd)}"
            + (f" ({mean.n} of {planned[name]} seeds)" if mean.n < planned[name] else "")
            for name, mean in means.items()
            if mean is not None
        ]
        texts.append(f"{results.run.plan.heading(*pair)}: {listing(shown)}")
    words = "Test {} in {}".format(*QUANTITIES[metric])
    return f"{words}, best checkpoint, logarithmic; mean ± standard deviation over seeds. {'; '.join(texts)}."


def _values(results: Results, labels: Mapping[tuple[str, str], str], names: Sequence[str], metric: str) -> pd.DataFrame:
    """Test errors of these arms, one row a seed, with the label of its dataset and model."""
    values = seed_values(results.run.records, [metric])
    values["pair"] = [labels.get(pair, "") for pair in zip(values["dataset"], values["model"], strict=True)]
    return values[values["pair"].ne("") & values["strategy"].isin(names) & values["value"].gt(0)]


def _drawing(
    results: Results,
    name: str,
    title: str,
    metrics: tuple[str, str],
    rows: Mapping[tuple[str, str], Sequence[Arm]],
) -> Drawing | None:
    there = {arm.strategy for arms in rows.values() for arm in arms}
    names = [strategy for strategy in results.run.plan.strategies if strategy in there]
    shared, labels = _labels(results, rows)
    values = {metric: _values(results, labels, names, metric) for metric in metrics}
    panels = {metric: _describe(results, rows, metric) for metric, frame in values.items() if len(frame)}
    if not panels:
        return None
    look = pens(results.run.plan.strategies)
    return compose(
        name,
        f"{title}{shared}",
        panels,
        partial(_figure, values, results, names, list(labels.values())),
        size=(5.4, 0.8 + max(0.5, 0.2 * len(names)) * len(labels)),
        legend=tuple((sample(look[strategy]), strategy) for strategy in names),
    )


def comparisons(results: Results) -> list[Drawing]:
    """Figures of test errors by arm, seeds as faint points, means with their standard deviation.

    Only datasets and models of which every role of the figure has a finished cell; at most `MOST_ROWS`. None in an
    ablation over strategies.
    """
    sweep = results.run.plan.sweep
    if sweep is not None and sweep.over == "strategy":
        return []  # the figures of the sweep show the same arms in their order
    drawings = []
    for comparison in published().figures:
        # RMSE and MAE do not share an axis: a figure for the datasets of each.
        by_metrics: dict[tuple[str, str], dict[tuple[str, str], list[Arm]]] = {}
        for pair, arms in _rows(results, comparison.roles).items():
            by_metrics.setdefault(results.headline_metrics(pair[0]), {})[pair] = arms
        for i, (metrics, rows) in enumerate(by_metrics.items(), start=1):
            name = comparison.name if i == 1 else f"{comparison.name}-{i}"
            drawings.append(_drawing(results, name, comparison.title, metrics, rows))
    return [drawing for drawing in drawings if drawing is not None]
