"""A run that spends a wall time: no job is started that would not end within it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

from benchmark.cell.job import Job


class Budget:
    """What is left of a wall time, and which jobs fit.

    How long a job takes is taken from jobs of the same sort (`Job.pace_group`) in the run folder, by their
    seconds an epoch, or from one that is running; the first of a sort is started as long as any time is left. Jobs come
    seed by seed; where one does not fit, none of a later seed is started, so that seeds stay whole.

    Args:
        seconds: the wall time, from now on; None for no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds
        self._rates: dict[tuple[str, ...], float] = {}
        self._last_seed: int | None = None

    def know(self, jobs: Sequence[Job]) -> None:
        """Learn from jobs that have ended in the run folder."""
        for job in jobs:
            if job.finished:
                self.ended(job)

    def ended(self, job: Job) -> None:
        """Learn how long a job took, from its provenance; one that was interrupted says nothing."""
        provenance = job.folder.read_provenance() or {}
        if "finished_at" in provenance and not provenance.get("earlier_sittings"):
            started, finished = (datetime.fromisoformat(provenance[name]) for name in ("started_at", "finished_at"))
            # Times are noted in whole seconds.
            rate = ((finished - started).total_seconds() + 1) / job.epochs
            self._rates[job.pace_group] = max(rate, self._rates.get(job.pace_group, 0.0))

    def expected(self, job: Job, running: Sequence[Job]) -> float:
        """Wall time of a job in s; 0 where nothing is known of its sort."""
        if (rate := self._rates.get(job.pace_group)) is not None:
            return rate * job.epochs
        alike = [other.folder.status() for other in running if other.pace_group == job.pace_group]
        totals = [s.seconds_left / (1 - s.fraction) for s in alike if s.seconds_left is not None and s.fraction < 1]
        return max(totals, default=0.0)

    def allows(self, job: Job, running: Sequence[Job]) -> bool:
        """Whether a job may be started now."""
        if self._end is None:
            return True
        if self._last_seed is not None and job.seed > self._last_seed:
            return False
        left = self._end - time.monotonic()
        if left > 0 and self.expected(job, running) <= left:
            return True
        self._last_seed = job.seed if self._last_seed is None else min(self._last_seed, job.seed)
        return False

    @property
    def spent(self) -> bool:
        """Whether a job had to be left for lack of time, or none is left."""
        return self._last_seed is not None or (self._end is not None and time.monotonic() >= self._end)
