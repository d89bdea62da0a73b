"""What a comparison could have seen, and how many seeds a change of given size needs: the power of t-tests."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import brentq

from reports.analysis.statistics import LEVEL

POWER = 0.8
"""Chance of telling a difference that there is: the usual one (Cohen 1988)."""

CHANGES = (10.0, 20.0, 40.0)
"""Decreases in % for which reports give the number of seeds."""

MOST_SEEDS = 2000
"""Above this many the number is not looked for."""


def power(effect: ArrayLike, error: ArrayLike, df: ArrayLike, family: int = 1) -> NDArray[np.float64]:
    """Chance that a two-sided t-test tells a difference.

    The test statistic has the non-central t distribution of parameter δ = effect / error, and its square the
    non-central F distribution of 1 and `df` degrees of freedom and δ², whose upper tail this is. (SciPy's non-central t
    gives NaN for many δ and few degrees of freedom, scipy/scipy#25106; its non-central F does not.)

    Args:
        effect: true difference of log errors.
        error: standard error of its estimate.
        df: degrees of freedom of `error`, above 0.
        family: number of tests that are corrected together. The first step of Holm's correction tests at 0.05 divided
            by it; later steps are milder, so this is a lower bound where several differences are true.
    """
    alpha = (1 - LEVEL) / family
    with np.errstate(divide="ignore"):
        noncentrality = np.square(np.asarray(effect) / np.asarray(error))
    tail = stats.ncf.sf(np.square(stats.t.isf(alpha / 2, df)), 1, df, noncentrality)
    # SciPy's upper tail is wrong without non-centrality, scipy/scipy#26188, and NaN where that is infinite.
    return np.select([noncentrality == 0, np.isinf(noncentrality)], [alpha, 1.0], tail)


def smallest_effect(error: float, df: float, family: int = 1) -> float:
    """Difference of log errors that is told with the chance `POWER`; arguments as in `power`.

    NaN where there is no test: `error` is NaN, or no degree of freedom is left. 0 for an `error` of 0.
    """
    if not df > 0 or np.isnan(error):
        return np.nan

    return error * _ratio(df, family)


@cache
def _ratio(df: float, family: int) -> float:
    """The smallest effect in standard errors; a report asks for the same few again and again."""

    def missing(ratio: float) -> float:
        return float(power(ratio, 1.0, df, family)) - POWER

    # Twice the critical value and more is enough: √(χ²/df), by which the statistic is divided, seldom reaches 2.
    high = 2 * float(stats.t.isf((1 - LEVEL) / family / 2, df)) + 2
    return float(brentq(missing, 0.0, high))


def smallest_change(error: float, df: float, family: int = 1) -> tuple[float, float]:
    """Decrease (negative) and increase in % that are told with the chance `POWER`: `smallest_effect` to each side."""
    effect = smallest_effect(error, df, family)
    return 100 * float(np.expm1(-effect)), 100 * float(np.expm1(effect))


def half_width(error: float, df: float) -> float:
    """Half the width of the 95 % interval of a change: the factor to each side of the estimate, less one, in %.

    NaN where there is no interval.
    """
    return 100 * float(np.expm1(stats.t.ppf((1 + LEVEL) / 2, df) * error))


@cache
def seeds_needed(percent: float, sd: float, arms: int = 2, family: int = 1) -> int | None:
    """Fewest seeds with which a decrease is told with the chance `POWER`.

    Args:
        percent: the decrease, above 0 and below 100.
        sd: spread of the log errors of one cell (`sd` of `blocked.blocked_changes`); of the paired t-test the standard
            deviation of the log ratios divided by √2.
        arms: arms that the spread is pooled over, all with these seeds; 2 is the paired t-test.
        family: as in `power`.

    Returns:
        The number, at least 2; None if it is above `MOST_SEEDS`.
    """

    def enough(seeds: int) -> bool:
        error, df = _of_seeds(seeds, sd, arms)
        return bool(power(np.log1p(-percent / 100), error, df, family) >= POWER)

    found = bisect_left(range(2, MOST_SEEDS + 1), True, key=enough) + 2
    return found if found <= MOST_SEEDS else None


def seeds_for_width(percent: float, sd: float, arms: int = 2) -> int | None:
    """Fewest seeds with which `half_width` is expected to be at most `percent`; arguments as in `seeds_needed`."""
    seeds = np.arange(2, MOST_SEEDS + 1)
    error, df = _of_seeds(seeds, sd, arms)
    enough = stats.t.ppf((1 + LEVEL) / 2, df) * error <= np.log1p(percent / 100)
    return int(seeds[np.argmax(enough)]) if enough.any() else None


def seeds_table(changes: pd.DataFrame, family: int, percents: Sequence[float] = CHANGES) -> pd.DataFrame:
    """Rows of `blocked.blocked_changes` with a column for each of `percents`: `seeds_needed`, <NA> if unknown.

    Args:
        changes: with `sd` and `arms`; a row without a spread stays empty.
        family: number of comparisons that are corrected together.
        percents: decreases.
    """
    needed = {
        percent: pd.array(
            [
                None if np.isnan(sd) else seeds_needed(percent, sd, arms, family)
                for sd, arms in zip(changes["sd"], changes["arms"], strict=True)
            ],
            dtype="Int64",
        )
        for percent in percents
    }
    return changes.assign(**{f"seeds_{percent:g}": column for percent, column in needed.items()})


def _of_seeds(seeds: ArrayLike, sd: float, arms: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Standard error of a difference of two arms, and its degrees of freedom, of complete blocks."""
    number = np.asarray(seeds)
    return sd * np.sqrt(2 / number), (arms - 1) * (number - 1)
