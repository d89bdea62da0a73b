"""The findings in sentences, each hedged by the numbers that it rests on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from reports import statistics
from reports.formatting import QUANTITIES, listing, plural, plus_minus, signed
from reports.results import Change, Results
from reports.run import STATES, Arm, Run

HEADLINES = ("force_rmse_mev_per_A", "energy_rmse_mev")
"""Metrics that the findings speak of."""


@dataclass(frozen=True)
class Finding:
    """What came out for one arm: its name with its epochs, and a sentence for each headline metric."""

    arm: str
    sentences: tuple[str, ...]


def verdict(change: Change, all_seeds: bool) -> str:
    """A change in % and what the seeds let us say about it; `all_seeds`: both arms have just these seeds."""
    percent = f"{signed(change.percent)} %"
    if change.n == 1:
        seed = "one seed" if all_seeds else "one common seed"
        return f"{percent}; {seed}, an anecdote: no difference can be told"
    if change.agree:
        seeds = "both seeds" if change.n == 2 else f"all {change.n} seeds"
        side = "lower" if change.percent < 0 else "higher"
        return f"{percent}; {side} in {seeds}{'' if all_seeds else ' in common'}"
    ends = f"{signed(change.lowest)} to {signed(change.highest)} %"
    return f"{percent} on average, {ends} by seed: the seeds disagree in sign, so no difference can be told"


def _budget(run: Run, arm: Arm, baseline: Arm) -> str:
    pretraining, finetuning = run.plan.epochs(arm)
    base_pretraining, base_finetuning = run.plan.epochs(baseline)
    if pretraining + finetuning == base_pretraining + base_finetuning:
        return f" at the same total of {pretraining + finetuning} epochs"
    if finetuning == base_finetuning:
        return f" with the same {finetuning} epochs of finetuning"
    return f" after {base_pretraining + base_finetuning} epochs"


def _against(results: Results, arm: Arm, baseline: str, metric: str) -> str:
    base = arm._replace(strategy=baseline)
    mean, change = results.mean(base, metric), results.change(arm, baseline, metric)
    own = results.mean(arm, metric)
    if mean is None or own is None:
        return f"nothing yet for {baseline}, of which no cell has finished"
    text = f"{plus_minus(mean.mean, mean.sd)} for {baseline}{_budget(results.run, arm, base)}"
    if change is None:
        return f"{text} (no seed in common: not compared)"
    return f"{text} ({verdict(change, change.n == own.n == mean.n)})"


def _sentence(results: Results, arm: Arm, metric: str) -> str:
    name, unit = QUANTITIES[metric]
    own = results.mean(arm, metric)
    if own is None:
        return f"No {name} on the test set was recorded."
    seeds = plural(own.n, "seed")
    text = f"Test {name} {plus_minus(own.mean, own.sd)} {unit} ({seeds})"
    baselines = results.references(arm)
    if not baselines:
        return f"{text}; no baseline was planned, so nothing is compared."
    return f"{text}, against {listing([_against(results, arm, baseline, metric) for baseline in baselines])}."


def finding(results: Results, arm: Arm) -> Finding:
    """The sentences for one arm."""
    pretraining, finetuning = results.run.plan.epochs(arm)
    name = f"{arm.strategy} ({pretraining} + {finetuning} epochs)"
    counts = Counter(state.state for state in results.run.states if state.cell.arm == arm)
    others = [f"{counts[state]} {state}" for state in STATES if counts[state] and state != "ok"]
    if not results.finished(arm):
        return Finding(name, (f"No cell has finished ({listing(others)}): nothing can be said.",))
    sentences = [_sentence(results, arm, metric) for metric in HEADLINES]
    if others:
        sentences.append(f"Of its {sum(counts.values())} cells {listing(others)}: not in these means.")
    return Finding(name, tuple(sentences))


def findings(results: Results) -> list[tuple[str, list[Finding]]]:
    """(model on dataset, findings of its arms other than baselines), in the plan's order."""
    plan = results.run.plan
    return [
        (
            plan.heading(dataset, model),
            [
                finding(results, arm)
                for arm in plan.arms
                if (arm.dataset, arm.model) == (dataset, model) and arm.strategy not in plan.baselines
            ],
        )
        for dataset, model in plan.pairs
    ]


def cautions(results: Results) -> list[str]:
    """What a reader must know before the findings: an unfinished run, too few seeds, splits that differ."""
    run = results.run
    notes = []
    unfinished = run.count("pending", "running")
    if unfinished:
        notes.append(
            f"Not finished yet: {unfinished} of {plural(len(run.plan.cells), 'cell')}. This is what there is so far."
        )
    lost = run.count("diverged", "failed")
    if lost:
        notes.append(
            f"{plural(lost, 'cell')} diverged or failed (named below). Means are over the cells that ended "
            "well, which flatters an arm that loses cells."
        )
    seeds = len({cell.seed for cell in run.plan.cells})
    if seeds == 1:
        notes.append("One seed was planned. One seed is an anecdote: it tells no difference between arms.")
    elif seeds > 1:
        notes.append(
            f"With {seeds} seeds, an arm without any effect would still have the same sign in all of them "
            f"once in {2 ** (seeds - 1)} comparisons. The sentences describe these seeds; they are no "
            "significance test."
        )
    for dataset, model, seed in statistics.split_conflicts(run.records).itertuples(index=False):
        notes.append(
            f"{run.plan.heading(dataset, model)}, seed {seed}: the arms were trained on different splits; "
            "their differences are not paired."
        )
    return notes
