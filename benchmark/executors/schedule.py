"""Which job is started when, wherever jobs run."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from reports.records.status import Unfinished

if TYPE_CHECKING:  # the command starts the workers' server before it imports all that a job needs
    from benchmark.cell.job import Job

OnChange: TypeAlias = "Callable[[Sequence[Job], Job | None], None]"
"""Called about twice a second with the running jobs, and once for each job that just ended."""

MayStart: TypeAlias = "Callable[[Job, Sequence[Job]], bool]"
"""Whether a job may be started, given those that run."""


class Pool(Protocol):
    """Where jobs run."""

    @property
    def taken(self) -> Sequence[Job]:
        """The jobs that it was given and that have not ended."""

    @property
    def running(self) -> Sequence[Job]:
        """Those of them that have begun; others wait for a place, as in a cluster's queue."""

    @property
    def has_room(self) -> bool:
        """Whether it takes another job now."""

    def take(self, job: Job) -> None:
        """Run a job, as soon as there is a place."""

    def withdraw(self, job: Job) -> None:
        """Give back a job that has not begun."""

    def wait(self) -> Sequence[Job]:
        """The jobs that ended within a moment, each with its end in its folder."""


def run_all(jobs: Sequence[Job], pool: Pool, on_change: OnChange, may_start: MayStart) -> None:
    """Run all jobs in a pool, a job after the one it needs; one whose pretraining did not succeed is recorded as such.

    Args:
        jobs: the work that is left; what a job needs is either among them or finished.
        pool: where they run.
        on_change: is told what is going on.
        may_start: what it refuses when nothing else runs is left undone.
    """
    waiting = list(jobs)
    while waiting or pool.taken:
        for job in _apart(_startable(waiting, pool.taken), pool):
            if not pool.has_room:
                break
            if not may_start(job, pool.running):
                continue
            waiting.remove(job)
            if job.needs is not None and not _pretraining_succeeded(job):
                on_change(pool.running, job)
                continue
            pool.take(job)
        if not pool.taken and not any(may_start(job, []) for job in _startable(waiting, [])):
            break
        for job in pool.wait():
            on_change(pool.running, job)
        running = pool.running
        for job in [job for job in pool.taken if job not in running and not may_start(job, running)]:
            pool.withdraw(job)
            waiting.insert(0, job)
        on_change(running, None)


def _startable(waiting: Sequence[Job], taken: Sequence[Job]) -> list[Job]:
    """Jobs whose pretraining is neither waiting nor running, in the plan's order."""
    unfinished = {job.key for job in [*waiting, *taken]}
    return [job for job in waiting if job.needs not in unfinished]


def _apart(jobs: Sequence[Job], pool: Pool) -> Iterator[Job]:
    """The same jobs, in each seed those last that would compile a function which another job is compiling now."""
    compiling = {job.to_compile for job in pool.taken} - {None}
    for _, of_seed in itertools.groupby(jobs, key=lambda job: job.seed):
        later = []
        for job in of_seed:
            if compiling and job.to_compile in compiling:
                later.append(job)
                continue
            yield job
            if job in pool.taken and job.to_compile is not None:
                compiling.add(job.to_compile)
        yield from later


def _pretraining_succeeded(job: Job) -> bool:
    """Whether the pretraining that a job needs is there; if not, the job is recorded with the reason."""
    assert job.needs is not None
    status = job.settings.run.pretraining(job.needs).status()
    if status.state == "ok":
        return True
    state: Unfinished = "diverged" if status.state == "diverged" else "failed"
    job.give_up(f"its pretraining {job.needs} {state}: {status.reason}", state)
    return False
