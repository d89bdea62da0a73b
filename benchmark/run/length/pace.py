"""How long what is left will take, learned from what has been measured: networks differ in their pace by far."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from benchmark.cell.job import Job

EARLIEST = 0.05
"""Fraction of a fit from which on its own pace says how long the rest of it takes."""


class Pace:
    """Seconds an epoch, by network, phase and data; of what has not run yet, that of the same network, else of all.

    Args:
        jobs: what is to be run.
        clock: seconds.
    """

    def __init__(self, jobs: Sequence[Job], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = {job.key: job for job in jobs}
        self._groups = {job.key: job.pace_group for job in jobs}
        self._started: dict[str, tuple[float, float]] = {}
        self._measured: dict[tuple[str, ...], list[float]] = {}

    def begin(self, job: Job, fraction: float) -> None:
        """Note when a job was first seen to run, and how far it was then."""
        self._started.setdefault(job.key, (self._clock(), fraction))

    def end(self, job: Job) -> None:
        """Learn from a job that has ended."""
        self._left.pop(job.key, None)
        began = self._started.pop(job.key, None)
        if began is not None:
            self._learn(job, began, 1.0)

    def seconds_left(self, fractions: Mapping[str, float], workers: int) -> float | None:
        """Until all is done, s; None as long as nothing has been measured.

        Args:
            fractions: of each running job, by key, how much of it is done.
            workers: jobs at a time.
        """
        now = {group: list(values) for group, values in self._measured.items()}
        for key, fraction in fractions.items():
            began = self._started.get(key)
            if key in self._left and began is not None and fraction - began[1] > EARLIEST:
                seconds = (self._clock() - began[0]) / ((fraction - began[1]) * self._left[key].epochs)
                now.setdefault(self._groups[key], []).append(seconds)
        if not now:
            return None
        means = {group: sum(values) / len(values) for group, values in now.items()}
        left = {
            key: (1 - fractions.get(key, 0.0)) * job.epochs * _pace(self._groups[key], means)
            for key, job in self._left.items()
        }
        return max(
            sum(left.values()) / max(workers, 1), max((left[key] for key in fractions if key in left), default=0)
        )

    def _learn(self, job: Job, began: tuple[float, float], fraction: float) -> None:
        done = fraction - began[1]
        if done > EARLIEST:
            self._measured.setdefault(self._groups[job.key], []).append(
                (self._clock() - began[0]) / (done * job.epochs)
            )


def _pace(group: tuple[str, ...], means: Mapping[tuple[str, ...], float]) -> float:
    """Seconds an epoch of a group: measured, else that of what it has most in common with."""
    for common in range(len(group), -1, -1):
        alike = [mean for other, mean in means.items() if other[:common] == group[:common]]
        if alike:
            return sum(alike) / len(alike)
    raise AssertionError("some pace has been measured")
