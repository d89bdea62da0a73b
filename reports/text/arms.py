"""What is said of an arm in the middle of a sentence: what it is, its epochs, what it lost."""

from __future__ import annotations

from reports.analysis.results import Results
from reports.records.plan import Arm, Plan
from reports.text.formatting import listing, plural


def subject(plan: Plan, strategy: str) -> str:
    """What to call an arm: the kind of its pretext, if no other arm has it, else its name."""
    arm = plan.strategies[strategy]
    pretext = None if arm.variant else arm.pretext
    kinds = [planned.pretext for name, planned in plan.strategies.items() if name not in plan.baselines]
    return f"pretraining by {pretext}" if pretext and kinds.count(pretext) == 1 else strategy


def opening(plan: Plan, strategy: str) -> str:
    """The same at the start of a sentence; the name of a strategy stays as it is, after what it is the name of."""
    text = subject(plan, strategy)
    return f"The arm {strategy}" if text == strategy else text[0].upper() + text[1:]


def budget(plan: Plan, arm: Arm, baseline: Arm) -> str:
    """How the epochs of an arm and its baseline compare, after the name of the baseline."""
    pretraining, finetuning = plan.epochs(arm)
    base_pretraining, base_finetuning = plan.epochs(baseline)
    # Epochs over the frames of a file's pretraining, which may not even be known, are no measure of equal compute.
    files = any(plan.strategies[one.strategy].from_file for one in (arm, baseline))
    if not files and pretraining + finetuning == base_pretraining + base_finetuning:
        return " at equal compute"
    if finetuning == base_finetuning:
        return " with the same finetuning"
    return ""


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
