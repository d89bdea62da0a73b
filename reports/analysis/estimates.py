"""What is known of an arm after several seeds: means, and changes with what they could have seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd

from reports.analysis.families import Primary
from reports.analysis.power import smallest_change


class Mean(NamedTuple):
    """Mean and standard deviation over `n` seeds."""

    n: int
    mean: float
    sd: float


@dataclass(frozen=True)
class Change:
    """Change in % of one error of an arm against a baseline, over `n` common seeds; negative is better.

    `low` and `high` are the ends of the 95 % interval, `p` is uncorrected; all NaN for one seed.
    """

    place: Primary
    """What is compared; its `dataset` may be the name of an average over members of a collection."""
    n: int
    percent: float
    low: float
    high: float
    p: float
    p_holm: float
    """Corrected over the primary comparisons; NaN for what is exploratory, and for one seed."""
    primary: bool
    """Whether it was declared before anything ran; all others are exploratory and get no verdict."""
    verdict: str
    """`lower`, `higher`, or '' where no difference can be told, or none is to be."""
    method: str
    """`blocked`, `paired` or `own`, see `blocked.blocked_changes`."""
    arms: int
    """Of which the spread was estimated."""
    sd: float
    """The spread: of the logarithm of the error of one cell."""
    error: float
    """Standard error of the change, in logarithms."""
    df: float
    family: int
    """With how many comparisons it is corrected; 1 for what is exploratory."""
    members: int | None
    """How many members of a collection it is averaged over; None for a single dataset."""

    @classmethod
    def of(cls, row: Mapping[str, Any], family: int) -> Change:
        """From a row of `families.judged`; `family`: number of primary comparisons."""
        members = row.get("molecules")
        return cls(
            place=Primary(*(row[name] for name in Primary._fields)),
            n=row["n"],
            percent=row["change_percent"],
            low=row["low_percent"],
            high=row["high_percent"],
            **{
                name: row[name] for name in ("p", "p_holm", "primary", "verdict", "method", "arms", "sd", "error", "df")
            },
            family=family if row["primary"] else 1,
            members=None if members is None or pd.isna(members) else int(members),
        )

    @property
    def tested(self) -> bool:
        """Whether there are seeds enough for an interval."""
        return not pd.isna(self.low)

    @cached_property
    def seen(self) -> tuple[float, float]:
        """Decrease (negative) and increase in % that it would have told with a chance of 80 %; NaN if untested."""
        return smallest_change(self.error, self.df, self.family)
