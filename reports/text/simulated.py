"""Means of what was measured in simulations, in words."""

from __future__ import annotations

from reports.analysis.simulations import Used
from reports.records.plan import Arm
from reports.text.formatting import plus_minus


def mean_words(used: Used, arm: Arm, quantity: str, place: str = "") -> tuple[str, float] | None:
    """`mean ± sd` of an arm, with the number of seeds where some have no value, and the mean; None where none has.

    Seeds without a value ended too early: the mean is of those that lasted.
    """
    mean, seeds = used.mean(arm, quantity, place), used.seeds(arm)
    if mean is None:
        return None
    few = f" ({mean.n} of {seeds})" if mean.n < seeds else ""
    return plus_minus(mean.mean, mean.sd) + few, mean.mean
