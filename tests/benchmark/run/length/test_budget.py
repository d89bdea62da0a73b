"""A run that spends a time: what is known of a sort of jobs says which of them fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from benchmark.cell.job import Job
from benchmark.planning.config import Entry
from benchmark.run.length.budget import Budget
from reports.records.status import Status


@dataclass
class Made:
    """A job of so many epochs, whose folder says what is given."""

    seed: int = 0
    epochs: int = 10
    model: str = "egnn"
    provenance: dict | None = None
    status: Status = field(default_factory=Status)
    phase: str = "finetune"

    @property
    def work(self):
        data = Entry(kind="tip3p", options={"molecules": 8, "seed": self.seed})
        return SimpleNamespace(model=Entry(kind=self.model), batch_size=2, trains_on=(data,))

    pace_group = Job.pace_group

    @property
    def folder(self):
        return SimpleNamespace(read_provenance=lambda: self.provenance, status=lambda: self.status)

    @property
    def finished(self):
        return self.provenance is not None


def ended(seconds, **more):
    minutes, rest = divmod(seconds, 60)
    times = {"started_at": "2026-01-01T10:00:00+00:00", "finished_at": f"2026-01-01T10:{minutes:02d}:{rest:02d}+00:00"}
    return Made(provenance=times | more.pop("provenance", {}), **more)


def test_a_job_takes_as_long_an_epoch_as_the_slowest_of_its_sort():
    budget = Budget(1000.0)
    budget.know([ended(99), ended(49, epochs=5, seed=1), ended(9), Made()])
    assert budget.expected(Made(seed=3, epochs=20), []) == pytest.approx(200)
    assert budget.expected(Made(model="gns"), []) == 0
    assert budget.expected(Made(phase="pretrain"), []) == 0
    # An interrupted job was timed in its last sitting alone.
    budget.know([ended(9, model="gns", provenance={"earlier_sittings": [{}]})])
    assert budget.expected(Made(model="gns"), []) == 0
    running = Made(model="gns", status=Status(state="running", fraction=0.25, seconds_left=30.0))
    assert budget.expected(Made(model="gns"), [running]) == pytest.approx(40)


def test_what_would_not_end_in_time_is_not_started_and_seeds_stay_whole():
    budget = Budget(100.0)
    budget.know([ended(49), ended(9, phase="pretrain")])  # 5 s and 1 s an epoch
    assert budget.allows(Made(seed=4, epochs=15), [])
    assert not budget.spent
    assert not budget.allows(Made(seed=5, epochs=30), [])
    assert budget.spent
    assert budget.allows(Made(seed=5, phase="pretrain"), [])
    assert not budget.allows(Made(seed=6, phase="pretrain"), [])


def test_without_a_limit_everything_is_started_and_without_time_nothing():
    assert Budget(None).allows(Made(), [])
    assert not Budget(0.0).allows(Made(), [])
