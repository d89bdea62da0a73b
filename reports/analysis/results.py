"""All statistics of a run, computed once and looked up by arm."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from reports.analysis import convergence, statistics
from reports.records.frames import rows_of
from reports.records.plan import Arm
from reports.records.record import JUDGED
from reports.records.run import Run


class Mean(NamedTuple):
    """Mean and standard deviation over `n` seeds."""

    n: int
    mean: float
    sd: float


def _verdict(change: Change | Pooled) -> str:
    """`lower`, `higher`, or '' where no difference can be told."""
    if not change.p_holm < 1 - statistics.LEVEL:
        return ""
    return "lower" if change.percent < 0 else "higher"


class Change(NamedTuple):
    """Seed-paired change against a baseline, in %; see `statistics.paired_changes`.

    `low` and `high` are the ends of the 95 % interval and `p` the p-value, all NaN for one seed. `p_holm` is `p`
    corrected over the family of `Results.comparisons`, NaN for what is no part of it.
    """

    n: int
    percent: float
    low: float
    high: float
    p: float
    p_holm: float
    lowest: float
    highest: float
    agree: bool

    @property
    def verdict(self) -> str:
        """`lower`, `higher`, or '' where no difference can be told."""
        return _verdict(self)


class Pooled(NamedTuple):
    """Change averaged over molecules; see `statistics.pooled_changes`. Its own family is corrected apart."""

    datasets: tuple[str, ...]
    model: str
    strategy: str
    baseline: str
    metric: str
    n: int
    """Seeds."""
    molecules: int
    lower: int
    """Molecules whose change is negative."""
    percent: float
    low: float
    high: float
    p: float
    p_holm: float

    @property
    def verdict(self) -> str:
        """`lower`, `higher`, or '' where no difference can be told."""
        return _verdict(self)


class Results:
    """Statistics of a run on its test split; a lookup gives None where no cell has finished."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.means: dict[tuple[str, ...], Mean] = {}
        self.changes: dict[tuple[str, ...], Change] = {}
        for checkpoint in ("best", "last"):
            for row in rows_of(statistics.summarise(run.records, checkpoint=checkpoint)):
                place = (row["dataset"], row["model"], row["strategy"], row["metric"], checkpoint)
                self.means[place] = Mean(row["n"], row["mean"], row["sd"])
        for checkpoint, frame in (("best", self.comparisons), ("last", self._last_changes)):
            for row in rows_of(frame):
                place = (row["dataset"], row["model"], row["strategy"], row["metric"], checkpoint)
                self.changes[(*place, row["baseline"])] = Change(
                    row["n"],
                    row["change_percent"],
                    row["low_percent"],
                    row["high_percent"],
                    row["p"],
                    row["p_holm"],
                    row["lowest_percent"],
                    row["highest_percent"],
                    row["agree"],
                )

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """`statistics.paired_changes` of the best checkpoint, with `in_family` and `p_holm`.

        The family that Holm's correction is made over: every comparison of an arm that is no baseline with each
        baseline, in the two metrics that its dataset is judged by, for which there are two common seeds.
        """
        plan = self.run.plan
        frame = statistics.paired_changes(self.run.records, plan.baselines)
        judged = {dataset: self.headline_metrics(dataset) for dataset in frame["dataset"].unique()}
        headline = [
            metric in judged[dataset] for dataset, metric in zip(frame["dataset"], frame["metric"], strict=True)
        ]
        compared = ~frame["strategy"].isin(plan.baselines) & np.array(headline, dtype=bool)
        frame["in_family"] = compared & frame["p"].notna()
        frame["p_holm"] = statistics.holm(frame["p"].astype(float).where(frame["in_family"]))
        return frame

    @property
    def family_size(self) -> int:
        """Number of comparisons that Holm's correction is made over."""
        return int(self.comparisons["in_family"].sum())

    @cached_property
    def _last_changes(self) -> pd.DataFrame:
        frame = statistics.paired_changes(self.run.records, self.run.plan.baselines, checkpoint="last")
        return frame.assign(p_holm=np.nan)

    @cached_property
    def pooled(self) -> list[Pooled]:
        """Changes averaged over the molecules of a collection, corrected over all that were tested together."""
        plan = self.run.plan
        found = []
        for datasets in plan.pools:
            metrics = self.headline_metrics(datasets[0])
            frame = statistics.pooled_changes(self.run.records, plan.baselines, metrics, datasets)
            frame = frame[~frame["strategy"].isin(plan.baselines)]
            found += [(tuple(datasets), row) for row in rows_of(frame)]
        corrected = statistics.holm([row["p"] for _, row in found])
        return [
            Pooled(
                datasets,
                row["model"],
                row["strategy"],
                row["baseline"],
                row["metric"],
                row["n"],
                row["molecules"],
                row["lower"],
                row["change_percent"],
                row["low_percent"],
                row["high_percent"],
                row["p"],
                float(p),
            )
            for (datasets, row), p in zip(found, corrected, strict=True)
        ]

    def mean(self, arm: Arm, metric: str, checkpoint: str = "best") -> Mean | None:
        return self.means.get((*arm, metric, checkpoint))

    def change(self, arm: Arm, baseline: str, metric: str, checkpoint: str = "best") -> Change | None:
        if baseline not in self.references(arm):
            return None
        return self.changes.get((*arm, metric, checkpoint, baseline))

    def references(self, arm: Arm) -> list[str]:
        """Planned baselines that an arm is compared with; for a baseline, only those listed before it."""
        baselines = self.run.plan.baselines
        if arm.strategy in baselines:
            baselines = baselines[: baselines.index(arm.strategy)]
        return [baseline for baseline in baselines if arm._replace(strategy=baseline) in self._arms]

    def headline_metrics(self, dataset: str) -> tuple[str, str]:
        """(force, energy) metric that a dataset is judged by."""
        return JUDGED[self.run.plan.datasets[dataset].judged_by]

    @cached_property
    def _arms(self) -> set[Arm]:
        return set(self.run.plan.arms)

    def finished(self, arm: Arm) -> int:
        """Number of cells of an arm that ended ok."""
        return self.states(arm).get("ok", 0)

    def planned(self, arm: Arm) -> int:
        """Number of planned cells of an arm."""
        return sum(self.states(arm).values())

    def states(self, arm: Arm) -> dict[str, int]:
        """Number of cells of an arm by state; states without a cell are left out."""
        return self._states[arm]

    @cached_property
    def _states(self) -> dict[Arm, dict[str, int]]:
        counts: dict[Arm, dict[str, int]] = {arm: {} for arm in self.run.plan.arms}
        for state in self.run.states:
            counts[state.cell.arm][state.state] = counts[state.cell.arm].get(state.state, 0) + 1
        return counts

    @cached_property
    def frame_counts(self) -> dict[tuple[str, str], pd.DataFrame]:
        """`n_frames` and `n_atoms` of the finished cells by (dataset, split)."""
        records = self.run.records
        chosen = records[(records["status"] == "ok") & (records["checkpoint"] == "best")].dropna(subset=["n_frames"])
        groups = chosen.groupby(["dataset", "split"], sort=False)[["n_frames", "n_atoms"]]
        return {(str(dataset), str(split)): frame for (dataset, split), frame in groups}

    @cached_property
    def quantiles(self) -> pd.DataFrame:
        """`statistics.error_quantiles` by cell."""
        return statistics.error_quantiles(self.run.records, self.run.predictions)

    @cached_property
    def reached(self) -> pd.DataFrame:
        """`statistics.epochs_to_reach` by seed, against the first baseline, in each dataset's own force metric."""
        plan = self.run.plan
        parts = []
        for metric in dict.fromkeys(self.headline_metrics(arm.dataset)[0] for arm in plan.arms):
            datasets = [arm.dataset for arm in plan.arms if self.headline_metrics(arm.dataset)[0] == metric]
            records = self.run.records[self.run.records["dataset"].isin(datasets)]
            parts.append(convergence.epochs_to_reach(records, self.run.curves, plan.baselines[0], metric))
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def reach(self) -> dict[Arm, dict[str, Any]]:
        """`statistics.summarise_reach` by arm, against the first baseline."""
        if not self.run.plan.baselines or not self.run.plan.arms:
            return {}
        summary = convergence.summarise_reach(self.reached)
        return {Arm(row["dataset"], row["model"], row["strategy"]): row for row in rows_of(summary)}
