"""Which comparisons decide: Holm's correction over those that were declared before the run, no verdict on others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from reports.analysis.statistics import LEVEL, holm


class Primary(NamedTuple):
    """A comparison that was declared before anything ran: one arm, one baseline, one metric.

    `dataset` may be the name of an average over molecules (`blocked.geometric_means`): it is of the same family.
    """

    dataset: str
    model: str
    strategy: str
    baseline: str
    metric: str


def judged(
    changes: pd.DataFrame, primaries: Sequence[Primary], unlearned: Collection[tuple[str, str, str, str]] = ()
) -> pd.DataFrame:
    """Comparisons with what may be said of them.

    Args:
        changes: rows of `blocked.blocked_changes`, the averages over molecules among them.
        primaries: the family, each once.
        unlearned: (dataset, model, strategy, metric) of arms that do not beat the references: where both sides of a
            comparison are among them it stays in the family and gets no verdict.

    Returns:
        The rows with

        * `primary`: whether the comparison was declared; all others are exploratory,
        * `p_holm`: p of the primary ones after Holm's correction, NaN for others,
        * `verdict`: `lower` or `higher` where `p_holm` is below 0.05, else empty.

        The family is what was *declared*: one that could not be tested counts with p = 1, so that losing cells makes no
        test milder.

    Raises:
        ValueError: where a comparison or a primary is given twice.
    """
    places = pd.MultiIndex.from_frame(changes[list(Primary._fields)])
    repeated = [*places[places.duplicated()], *(primary for primary in primaries if primaries.count(primary) > 1)]
    if repeated:
        raise ValueError(f"the comparison {' / '.join(map(str, repeated[0]))} is given twice; a family has each once")
    declared = places.isin(list(primaries))
    p = changes["p"].to_numpy(dtype=float)
    untested = np.ones(len(primaries) - int(declared.sum()))
    corrected = holm(np.concatenate([np.nan_to_num(p[declared], nan=1.0), untested]))
    p_holm = np.full(len(changes), np.nan)
    p_holm[declared] = corrected[: int(declared.sum())]
    p_holm[np.isnan(p)] = np.nan
    nothing = [
        pd.MultiIndex.from_frame(changes[["dataset", "model", side, "metric"]]).isin(list(unlearned))
        for side in ("strategy", "baseline")
    ]
    told = (p_holm < 1 - LEVEL) & ~(nothing[0] & nothing[1])
    sign = np.where(changes["change_percent"] < 0, "lower", "higher")
    return changes.assign(primary=declared, p_holm=p_holm, verdict=np.where(told, sign, ""))
