"""What is known of an arm after several seeds: means, and changes with their intervals and p-values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from reports.analysis.statistics import LEVEL


class Mean(NamedTuple):
    """Mean and standard deviation over `n` seeds."""

    n: int
    mean: float
    sd: float


@dataclass(frozen=True)
class Estimate:
    """A change in % with its uncertainty over `n` seeds; negative is better.

    `low` and `high` are the ends of the 95 % interval and `p` the p-value, all NaN for one seed. `p_holm` is `p`
    corrected over the family that it was tested in, NaN for what is no part of one.
    """

    n: int
    percent: float
    low: float
    high: float
    p: float
    p_holm: float

    @property
    def verdict(self) -> str:
        """`lower`, `higher`, or '' where no difference can be told."""
        if not self.p_holm < 1 - LEVEL:
            return ""
        return "lower" if self.percent < 0 else "higher"

    @property
    def tested(self) -> bool:
        """Whether there are seeds enough for an interval and a test."""
        return self.n > 1


def _estimate(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "n": row["n"],
        "percent": row["change_percent"],
        "low": row["low_percent"],
        "high": row["high_percent"],
        "p": row["p"],
        "p_holm": row["p_holm"],
    }


@dataclass(frozen=True)
class Change(Estimate):
    """Seed-paired change of one error of an arm against a baseline."""

    lowest: float
    """Of a single seed, %."""
    highest: float

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Change:
        """From a row of `statistics.paired_changes` with `p_holm`."""
        return cls(**_estimate(row), lowest=row["lowest_percent"], highest=row["highest_percent"])


@dataclass(frozen=True)
class Pooled(Estimate):
    """Change averaged over the members of a collection, each counting once; its family is corrected apart."""

    datasets: tuple[str, ...]
    """Of the collection."""
    model: str
    strategy: str
    baseline: str
    metric: str
    members: int
    """How many of the datasets are averaged over."""
    lower: int
    """Members whose change is negative."""

    @classmethod
    def of(cls, row: Mapping[str, Any], datasets: tuple[str, ...]) -> Pooled:
        """From a row of `statistics.pooled_changes` with `p_holm`."""
        places = {name: row[name] for name in ("model", "strategy", "baseline", "metric", "members", "lower")}
        return cls(**_estimate(row), **places, datasets=datasets)
