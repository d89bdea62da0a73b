"""Validation error while finetuning, against epochs, optimizer steps and seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reports.analysis.convergence import validation_curves
from reports.analysis.results import Results
from reports.analysis.statistics import ARM
from reports.figures.drawing import Drawing, Picture
from reports.figures.palette import Pen, pens
from reports.figures.svg import Panel, Row, sample, sheet
from reports.records.plan import Arm
from reports.text.formatting import QUANTITIES, listing, number, plain, plural

AXES = {"epoch": "epochs", "step": "optimizer steps", "seconds": "training time (s)"}
"""What an error is drawn against: column of `validation_curves` -> title of the axis."""

MOST_PAIRS = 32
"""Datasets and models that are drawn; a page of more would be too large to open."""
MOST_POINTS = 48
"""Epochs of an arm that are drawn, evenly spaced, with the first and the last."""
MARKS = 5
"""Points of an arm that carry their numbers."""


@dataclass(frozen=True)
class Trace:
    """An arm's validation error: one value an epoch, over the seeds that finished."""

    strategy: str
    pen: Pen
    seeds: int
    planned: int
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    own: dict[str, np.ndarray]
    """Finetuning's epochs, steps and seconds (mean over seeds), by the keys of `AXES`."""
    before: dict[str, float]
    """Pretraining's; NaN seconds where no seed recorded them."""

    @property
    def label(self) -> str:
        """Where the arm starts and ends."""
        first, last = (plain(self.own["epoch"][i]) for i in (0, -1))
        before = f" after {plain(self.before['epoch'])} of pretraining" if self.before["epoch"] else ""
        seeds = f"{self.seeds} of " if self.seeds < self.planned else ""
        return (
            f"{self.strategy} from {number(self.mean[0])} at epoch {first} to {number(self.mean[-1])} at epoch "
            f"{last}{before} ({seeds}{plural(self.planned, 'seed')})"
        )


def _over_seeds(results: Results, metric: str) -> dict[Arm, pd.DataFrame]:
    """Mean, smallest and largest value of every epoch, by arm."""
    values = validation_curves(results.run.records, results.run.curves, metric)
    values = values[values["value"] > 0].copy()
    statistics: dict[str, Any] = {"mean": ("value", "mean"), "low": ("value", "min"), "high": ("value", "max")}
    for name in AXES:
        if name != "epoch":
            statistics[name] = (name, "mean")
        values[f"before_{name}"] = (values[f"total_{name}"] - values[name]).astype(float)
        statistics[f"before_{name}"] = (f"before_{name}", "mean")
    grouped = values.groupby([*ARM, "epoch"], sort=True).agg(seeds=("seed", "nunique"), **statistics).reset_index()
    return {Arm(*map(str, place)): frame for place, frame in grouped.groupby(ARM, sort=False)}


def _trace(strategy: str, pen: Pen, frame: pd.DataFrame, planned: int) -> Trace:
    chosen = np.unique(np.linspace(0, len(frame) - 1, min(len(frame), MOST_POINTS)).round().astype(int))
    thin = frame.iloc[chosen]
    return Trace(
        strategy,
        pen,
        seeds=int(frame["seeds"].max()),
        planned=planned,
        mean=thin["mean"].to_numpy(float),
        low=thin["low"].to_numpy(float),
        high=thin["high"].to_numpy(float),
        own={name: thin[name].to_numpy(float) for name in AXES},
        before={name: float(frame[f"before_{name}"].mean()) for name in AXES},
    )


def _title(trace: Trace, i: int, axis: str, unit: str) -> str:
    """The numbers of a point."""
    own, before = trace.own[axis][i], trace.before[axis]
    digits = 1 if axis == "seconds" else 0
    name = {"epoch": "epoch", "step": "step", "seconds": "second"}[axis]
    where = f"{name} {number(own, digits)}" + (f" + {number(before, digits)} of pretraining" if before else "")
    spread = f" ({number(trace.low[i])} to {number(trace.high[i])})" if trace.seeds > 1 else ""
    return f"{trace.strategy}, {where}: {number(trace.mean[i])} {unit}{spread}"


def _panel(traces: list[Trace], metric: str, axis: str) -> Panel:
    quantity, unit = QUANTITIES[metric]
    low, high = min(trace.low.min() for trace in traces), max(trace.high.max() for trace in traces)
    margin = max(high / low, 1.2) ** 0.04
    end = max(trace.own[axis][-1] + trace.before[axis] for trace in traces)
    panel = Panel(
        AXES[axis], f"{quantity} ({unit})", (0.0, end or 1.0), (low / margin, high * margin),
        log_y=True, crowded=len(traces) > 5,
    )  # fmt: skip
    for trace in traces:
        xs = trace.own[axis] + trace.before[axis]
        parts = [panel.band(xs, trace.low, trace.high)] if trace.seeds > 1 else []
        parts.append(panel.line(xs, trace.mean))
        for i in np.unique(np.linspace(0, len(xs) - 1, min(len(xs), MARKS)).round().astype(int)):
            parts.append(panel.mark(xs[i], trace.mean[i], trace.pen.marker, _title(trace, i, axis, unit)))
        panel.arm(trace.pen, parts, trace.before[axis])
    return panel


def _words(traces: list[Trace], drawn: list[Trace], metric: str, axis: str) -> str:
    """What a panel shows; of arms that are not drawn it is not known what their pretraining took."""
    quantity, unit = QUANTITIES[metric]
    missing = [trace.strategy for trace in traces if trace not in drawn]
    if axis == "epoch":
        labels = listing([trace.label for trace in drawn])
        without = f"; without {listing(missing)}, whose epochs of pretraining are not known" if missing else ""
        return (
            f"Validation {quantity} in {unit}, logarithmic, against {AXES[axis]}; means over seeds: {labels}{without}."
        )
    without = f", without {listing(missing)}, whose pretraining time was not recorded" if missing else ""
    return f"The same {quantity} against {AXES[axis]}{without}."


def convergence(results: Results) -> list[Drawing]:
    """Validation force and energy error against each of `AXES`: a drawing for each dataset and model.

    Lines are means over the seeds that finished, bands reach from the smallest to the largest. An arm starts where
    its pretraining ended; the class `uncounted` around a panel moves it back to zero. The first `MOST_PAIRS` datasets
    and models with a finished cell are drawn, at most `MOST_POINTS` epochs of each arm.
    """
    plan = results.run.plan
    look = pens(plan.strategies)
    metrics = list(dict.fromkeys(m for dataset, _ in plan.pairs for m in results.headline_metrics(dataset)))
    over_seeds = {metric: _over_seeds(results, metric) for metric in metrics}
    drawings: list[Drawing] = []
    for i, (dataset, model) in enumerate(plan.pairs, start=1):
        traces = {
            metric: [
                _trace(arm.strategy, look[arm.strategy], over_seeds[metric][arm], len(plan.cells_of(arm)))
                for arm in (Arm(dataset, model, name) for name in plan.strategies)
                if arm in over_seeds[metric]
            ]
            for metric in results.headline_metrics(dataset)
        }
        traces = {metric: found for metric, found in traces.items() if found}
        if not traces or len(drawings) == MOST_PAIRS:
            continue
        names = [
            name for name in plan.strategies if any(t.strategy == name for found in traces.values() for t in found)
        ]
        pictures, rows = [], []
        by_metric: dict[str, list[str]] = {metric: [] for metric in traces}
        for axis in AXES:
            for metric, found in traces.items():
                timed = [trace for trace in found if not np.isnan(trace.before[axis])]
                if timed:
                    svg = _panel(timed, metric, axis).svg(plain)
                    pictures.append(Picture(svg, _words(found, timed, metric, axis), f"by-{axis}"))
                    by_metric[metric].append(svg)
        for metric, same in by_metric.items():
            if not same:
                continue
            quantity = QUANTITIES[metric][0]
            rows.append(Row(same, f"Validation {quantity}, pretraining counted"))
            if any(trace.before["epoch"] for trace in traces[metric]):
                rows.append(Row(same, f"Validation {quantity}, pretraining not counted", uncounted=True))
        if not pictures:
            continue
        legend = tuple((sample(look[name]), name) for name in names)
        # Names of datasets and models come from outside: a number makes a safe file name.
        name, heading = f"convergence-{i}", plan.heading(dataset, model)
        title = f"{heading}: validation error while finetuning"
        drawings.append(Drawing(name, title, tuple(pictures), sheet(rows, legend), legend))
    return drawings
