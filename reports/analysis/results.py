"""All statistics of a run, computed once and looked up by arm."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from reports.analysis import convergence, statistics
from reports.analysis.estimates import Change, Mean, Pooled
from reports.records.parquet import rows_of
from reports.records.plan import Arm
from reports.records.record import JUDGED
from reports.records.run import Run


class Results:
    """Statistics of a run on its test split; a lookup gives None where no cell has finished."""

    def __init__(self, run: Run) -> None:
        self.run = run
        last = statistics.paired_changes(run.records, run.plan.baselines, checkpoint="last").assign(p_holm=np.nan)
        self._means: dict[tuple[str, ...], Mean] = {}
        self._changes: dict[tuple[str, ...], Change] = {}
        for checkpoint, changes in (("best", self.comparisons), ("last", last)):
            for row in rows_of(statistics.summarise(run.records, checkpoint=checkpoint)):
                self._means[(*_place(row), checkpoint)] = Mean(row["n"], row["mean"], row["sd"])
            for row in rows_of(changes):
                self._changes[(*_place(row), checkpoint, row["baseline"])] = Change.of(row)

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
    def pooled(self) -> list[Pooled]:
        """Changes averaged over the members of a collection, corrected over all that were tested together."""
        plan = self.run.plan
        found = []
        for datasets in plan.pools:
            metrics = self.headline_metrics(datasets[0])
            frame = statistics.pooled_changes(self.run.records, plan.baselines, metrics, datasets)
            frame = frame[~frame["strategy"].isin(plan.baselines)]
            found += [(tuple(datasets), row) for row in rows_of(frame)]
        corrected = statistics.holm([row["p"] for _, row in found])
        return [
            Pooled.of({**row, "p_holm": float(p)}, datasets)
            for (datasets, row), p in zip(found, corrected, strict=True)
        ]

    def mean(self, arm: Arm, metric: str, checkpoint: str = "best") -> Mean | None:
        return self._means.get((*arm, metric, checkpoint))

    def change(self, arm: Arm, baseline: str, metric: str, checkpoint: str = "best") -> Change | None:
        if baseline not in self.references(arm):
            return None
        return self._changes.get((*arm, metric, checkpoint, baseline))

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
    def reach(self) -> dict[Arm, dict[str, Any]]:
        """`convergence.summarise_reach` by arm, against the first baseline, in each dataset's own force metric."""
        plan, records = self.run.plan, self.run.records
        if not plan.baselines or not plan.arms:
            return {}
        force = {arm.dataset: self.headline_metrics(arm.dataset)[0] for arm in plan.arms}
        parts = []
        for metric in dict.fromkeys(force.values()):
            cells = records[records["dataset"].map(force) == metric]
            parts.append(convergence.epochs_to_reach(cells, self.run.curves, plan.baselines[0], metric))
        summary = convergence.summarise_reach(pd.concat(parts, ignore_index=True))
        return {Arm(row["dataset"], row["model"], row["strategy"]): row for row in rows_of(summary)}


def _place(row: dict[str, Any]) -> tuple[str, ...]:
    return row["dataset"], row["model"], row["strategy"], row["metric"]
