"""Whether a run knows enough: how wide the intervals of its primary comparisons are, and how many seeds are missing.

A run that adds seeds until something is *significant* claims too much: given enough looks, chance makes everything
significant once. The width of an interval depends on the spread and the number of seeds and not on where the interval
lies, so that stopping by it favours no verdict. It favours spreads that came out small by chance, which makes intervals
a little too narrow: with two arms, looked at after every seed from the third on, 9 to 10 % false claims instead of 5 %,
from the sixth on 6 to 7 %, by simulation. So a run goes on to `FEWEST_SEEDS` in any case, and more arms, which the
spread is pooled over, help further. Stopping by significance makes it 37 % with the same looks, up to a hundred seeds.

This is what the engine may ask of the statistics, and all of it: a run that stops when it knows enough and the report
that says what is known must go by the same intervals.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.analysis.blocked import blocked_changes, geometric_means
from reports.analysis.diverged import with_diverged
from reports.analysis.power import half_width, seeds_for_width
from reports.analysis.statistics import seed_values
from reports.records.parquet import rows_of
from reports.records.run import Run

AVERAGE = ""
"""What stands for a dataset where a comparison is of the average over the members of a collection."""

FEWEST_SEEDS = 6
"""Common seeds without which no interval is taken to be narrow enough."""

COMPARISON = ["dataset", "model", "strategy", "baseline", "metric"]


def primary_widths(run: Run, percent: float | None = None) -> pd.DataFrame:
    """How far the primary comparisons of a run are.

    Args:
        run: finished or under way.
        percent: the half-width that is aimed at.

    Returns:
        One row a declared comparison, in order: dataset (`AVERAGE` for an average), model, strategy, baseline, metric;
        `n`, common seeds, `half_width` of the 95 % interval in %, NaN before there is one, `sd` and `arms`, see
        `blocked.blocked_changes`; `enough`, whether `half_width` is at most `percent` with `FEWEST_SEEDS` or more;
        `needed`, the seeds with which that is expected, <NA> where it is not known or more than `power.MOST_SEEDS`.
    """
    plan = run.plan
    metrics = list(dict.fromkeys(primary.metric for primary in plan.primary))
    values = seed_values(with_diverged(run).records, metrics)
    members = plan.pools[0] if len(plan.pools) == 1 else []
    if members:
        values = pd.concat([values, geometric_means(values, members, AVERAGE)[values.columns]], ignore_index=True)
    baselines = list(dict.fromkeys(name for primary in plan.primary for name in primary.baselines))
    found = rows_of(blocked_changes(values, baselines, plan.spread))
    changes = {tuple(row[name] for name in COMPARISON): row for row in found}
    rows = []
    for primary in plan.primary:
        for baseline in primary.baselines:
            place = (primary.dataset or AVERAGE, primary.model, primary.strategy, baseline, primary.metric)
            row = changes.get(place)
            rows.append(
                (*place, 0, np.nan, np.nan, 0)
                if row is None
                else (*place, row["n"], half_width(row["error"], row["df"]), row["sd"], row["arms"])
            )
    widths = pd.DataFrame(rows, columns=[*COMPARISON, "n", "half_width", "sd", "arms"])
    enough = (widths["half_width"] <= (percent or 0)) & (widths["n"] >= FEWEST_SEEDS)
    needed = [
        None if percent is None or np.isnan(sd) else n if done else _expected(percent, sd, arms)
        for n, sd, arms, done in zip(widths["n"], widths["sd"], widths["arms"], enough, strict=True)
    ]
    return widths.assign(enough=enough, needed=pd.array(needed, dtype="Int64"))


def _expected(percent: float, sd: float, arms: int) -> int | None:
    seeds = seeds_for_width(percent, sd, arms)
    return None if seeds is None else max(FEWEST_SEEDS, seeds)
