"""All statistics of a run, computed once and looked up by arm."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd

from reports import statistics
from reports.run import Arm, Run


class Mean(NamedTuple):
    """Mean and standard deviation over `n` seeds."""

    n: int
    mean: float
    sd: float


class Change(NamedTuple):
    """Seed-paired change against a baseline, in %; see `statistics.paired_changes`."""

    n: int
    percent: float
    lowest: float
    highest: float
    agree: bool


class Results:
    """Statistics of a run on its test split; a lookup gives None where no cell has finished."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.means: dict[tuple[str, ...], Mean] = {}
        self.changes: dict[tuple[str, ...], Change] = {}
        for checkpoint in ("best", "last"):
            for row in _rows(statistics.summarise(run.records, checkpoint=checkpoint)):
                place = (row["dataset"], row["model"], row["strategy"], row["metric"], checkpoint)
                self.means[place] = Mean(row["n"], row["mean"], row["sd"])
            changes = statistics.paired_changes(run.records, run.plan.baselines, checkpoint=checkpoint)
            for row in _rows(changes):
                place = (row["dataset"], row["model"], row["strategy"], row["metric"], checkpoint)
                self.changes[(*place, row["baseline"])] = Change(
                    row["n"],
                    row["change_percent"],
                    row["lowest_percent"],
                    row["highest_percent"],
                    row["agree"],
                )

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
        return [baseline for baseline in baselines if arm._replace(strategy=baseline) in self.run.plan.arms]

    def finished(self, arm: Arm) -> int:
        """Number of cells of an arm that ended ok."""
        return self._finished[arm]

    @cached_property
    def _finished(self) -> dict[Arm, int]:
        counts = dict.fromkeys(self.run.plan.arms, 0)
        for state in self.run.states:
            counts[state.cell.arm] += state.state == "ok"
        return counts

    @cached_property
    def reach(self) -> dict[Arm, dict[str, Any]]:
        """`statistics.summarise_reach` by arm, against the first baseline."""
        if not self.run.plan.baselines:
            return {}
        baseline = self.run.plan.baselines[0]
        reached = statistics.epochs_to_reach(self.run.records, self.run.curves, baseline)
        summary = statistics.summarise_reach(reached)
        return {Arm(row["dataset"], row["model"], row["strategy"]): row for row in _rows(summary)}


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
