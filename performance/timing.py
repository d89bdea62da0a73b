"""Two ways of doing the same, timed in alternation, A B A B ...: what else the machine does meets both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Action = Callable[[], object]

FEWEST, MOST = 5, 200
"""Pairs of a comparison."""


@dataclass(frozen=True)
class Pairs:
    """Seconds of both sides, in the order in which they were measured."""

    ours: tuple[float, ...]
    other: tuple[float, ...]

    @property
    def ours_s(self) -> float:
        """Median of our side."""
        return statistics.median(self.ours)

    @property
    def other_s(self) -> float:
        """Median of the other side."""
        return statistics.median(self.other)

    @property
    def ratio(self) -> float:
        """How many times as fast ours is: the ratio of the medians, other over ours."""
        return self.other_s / self.ours_s

    @property
    def quartiles(self) -> tuple[float, float]:
        """Quartiles of the ratios of single pairs; of a single pair its ratio."""
        ratios = [b / a for a, b in zip(self.ours, self.other, strict=True)]
        if len(ratios) < 2:
            return ratios[0], ratios[0]
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return low, high


def seconds(action: Action) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def turns(actions: Sequence[Action], budget_s: float, warm_up: int = 2, fewest: int = 3) -> list[tuple[float, ...]]:
    """Seconds of several actions that take turns until the budget is spent, but of each at least the fewest.

    Args:
        actions: each has to wait for what it started (on a GPU).
        budget_s: about how long, in s, warm-up apart.
        warm_up: calls of each beforehand: what is compiled or read once is not part of a step.
        fewest: calls of each, however long they take.
    """
    for _ in range(warm_up):
        for action in actions:
            action()
    times: list[list[float]] = [[] for _ in actions]
    began = time.perf_counter()
    while len(times[0]) < fewest or (len(times[0]) < MOST and time.perf_counter() - began < budget_s):
        for own, action in zip(times, actions, strict=True):
            own.append(seconds(action))
    return [tuple(own) for own in times]


def alternate(ours: Action, other: Action, budget_s: float, warm_up: int = 2, fewest: int = FEWEST) -> Pairs:
    """Time both in pairs; see `turns`."""
    return Pairs(*turns((ours, other), budget_s, warm_up, fewest))


def medians(actions: Sequence[Action], budget_s: float, warm_up: int = 2) -> list[float]:
    """Median seconds of several actions; see `turns`."""
    return [statistics.median(own) for own in turns(actions, budget_s, warm_up)]
