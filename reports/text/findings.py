"""The findings arm by arm, in sentences that are hedged by the numbers that they rest on."""

from __future__ import annotations

from dataclasses import dataclass

from reports.analysis.estimates import Change
from reports.analysis.results import Results
from reports.records.plan import Arm
from reports.records.status import STATES
from reports.text.arms import NO_BASELINE, all_lost, budget
from reports.text.formatting import QUANTITIES, UNTOLD, listing, p_value, plural, plus_minus, signed


@dataclass(frozen=True)
class Finding:
    """What came out for one arm: its name with its epochs, and a sentence for each headline metric."""

    arm: str
    sentences: tuple[str, ...]


def verdict(change: Change, all_seeds: bool) -> str:
    """A change in % and what can be said about it; `all_seeds`: both arms have just these seeds."""
    percent = f"{signed(change.percent)} %"
    common = "" if all_seeds else " in common"
    if change.n == 1:
        seed = "one seed" if all_seeds else "one common seed"
        return f"{percent}; {seed}, an anecdote: {UNTOLD}"
    seeds = f"{change.n} seeds{common}"
    ends = f"95 % CI {signed(change.low)} to {signed(change.high)} %, {seeds}, p {p_value(change.p)}"
    corrected = f", {p_value(change.p_holm)} corrected"
    return f"{percent}, {ends}{corrected}: {change.verdict or UNTOLD}"


def _against(results: Results, arm: Arm, baseline: str, metric: str) -> str:
    base = arm._replace(strategy=baseline)
    mean, change = results.mean(base, metric), results.change(arm, baseline, metric)
    own = results.mean(arm, metric)
    if mean is None or own is None:
        lost = all_lost(results, base)
        return (
            f"{baseline}, which {lost}{NO_BASELINE}"
            if lost
            else f"nothing yet for {baseline}, of which no cell has finished"
        )
    text = f"{plus_minus(mean.mean, mean.sd)} for {baseline}{budget(results.run.plan, arm, base)}"
    if change is None:
        return f"{text} (no seed in common with the same split and errors above zero: not compared)"
    return f"{text} ({verdict(change, change.n == own.n == mean.n)})"


def _sentence(results: Results, arm: Arm, metric: str) -> str:
    name, unit = QUANTITIES[metric]
    own = results.mean(arm, metric)
    if own is None:
        return f"No {name} on the test set was recorded."
    planned = results.planned(arm)
    seeds = plural(own.n, "seed") if own.n == planned else f"{own.n} of {plural(planned, 'seed')}"
    text = f"Test {name} {plus_minus(own.mean, own.sd)} {unit} ({seeds})"
    baselines = results.references(arm)
    if not baselines:
        return f"{text}; no baseline was planned, so nothing is compared."
    return f"{text}, against {listing([_against(results, arm, baseline, metric) for baseline in baselines])}."


def finding(results: Results, arm: Arm) -> Finding:
    """The sentences for one arm."""
    pretraining, finetuning = results.run.plan.epochs(arm)
    name = f"{arm.strategy} ({pretraining} + {finetuning} epochs)"
    counts = results.states(arm)
    others = [f"{counts[state]} {state}" for state in STATES if counts.get(state) and state != "ok"]
    if not results.finished(arm):
        return Finding(name, (f"No cell has finished ({listing(others)}), so nothing can be said.",))
    sentences = [_sentence(results, arm, metric) for metric in results.headline_metrics(arm.dataset)]
    if others:
        sentences.append(f"Of its {sum(counts.values())} cells, {listing(others)}; these are not in the means.")
    return Finding(name, tuple(sentences))


def findings(results: Results) -> list[tuple[str, list[Finding]]]:
    """(model on dataset, findings of its arms other than baselines), in the plan's order."""
    plan = results.run.plan
    found: dict[tuple[str, str], list[Finding]] = {pair: [] for pair in plan.pairs}
    for arm in plan.arms:
        if arm.strategy not in plan.baselines:
            found[arm.dataset, arm.model].append(finding(results, arm))
    return [(plan.heading(*pair), items) for pair, items in found.items()]
