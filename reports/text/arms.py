"""What is said of an arm in the middle of a sentence: its epochs, its seeds, what it lost."""

from __future__ import annotations

from reports.analysis.results import Results
from reports.records.plan import Arm, Plan
from reports.text.formatting import listing, plural

NO_BASELINE = ": nothing to compare with"
"""What follows on a baseline that lost all its cells."""


def budget(plan: Plan, arm: Arm, baseline: Arm) -> str:
    """How the epochs of an arm and its baseline compare; begins with a space."""
    pretraining, finetuning = plan.epochs(arm)
    base_pretraining, base_finetuning = plan.epochs(baseline)
    if pretraining + finetuning == base_pretraining + base_finetuning:
        return f" at the same total of {pretraining + finetuning} epochs"
    if finetuning == base_finetuning:
        return f" with the same {finetuning} epochs of finetuning"
    return f" after {base_pretraining + base_finetuning} epochs"


def lost(results: Results, arm: Arm) -> str:
    """`1 diverged and 1 failed`; empty if the arm lost no cell."""
    counts = results.states(arm)
    found = [f"{counts[state]} {state}" for state in ("diverged", "failed") if counts.get(state)]
    return listing(found) if found else ""


def all_lost(results: Results, arm: Arm) -> str:
    """`diverged in 3 of 3 seeds`; empty unless every cell of the arm diverged or failed."""
    counts, planned = results.states(arm), results.planned(arm)
    ended = {state: counts[state] for state in ("diverged", "failed") if counts.get(state)}
    if sum(ended.values()) < planned:
        return ""
    return listing([f"{state} in {count} of {plural(planned, 'seed')}" for state, count in ended.items()])


def seeds_text(results: Results, arm: Arm, baseline: Arm, n: int) -> str:
    """`3 seeds`, or `2 of 3 seeds; masked: 1 diverged`: what a comparison rests on and what was lost."""
    planned = max(results.planned(arm), results.planned(baseline))
    text = plural(n, "seed") if n == planned else f"{n} of {plural(planned, 'seed')}"
    losses = [f"{place.strategy}: {lost(results, place)}" for place in (arm, baseline) if lost(results, place)]
    return "; ".join([text, *losses])
