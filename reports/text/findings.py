"""The findings in sentences, each hedged by the numbers that it rests on."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from reports.analysis import statistics
from reports.analysis.results import Change, Results
from reports.records.plan import Arm
from reports.records.status import STATES
from reports.text.formatting import QUANTITIES, listing, p_value, plural, plus_minus, signed
from reports.text.headline import NO_BASELINE, all_lost, budget

NEAR_FRAMES = 10
"""A test frame this near to a training frame of its trajectory is hardly a new one."""


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
        return f"{percent}; {seed}, an anecdote: no difference can be told"
    seeds = f"{change.n} seeds{common}"
    ends = f"95 % CI {signed(change.low)} to {signed(change.high)} %, {seeds}, p {p_value(change.p)}"
    corrected = f", {p_value(change.p_holm)} corrected"
    return f"{percent}, {ends}{corrected}: {change.verdict or 'no difference can be told'}"


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
        return Finding(name, (f"No cell has finished ({listing(others)}): nothing can be said.",))
    sentences = [_sentence(results, arm, metric) for metric in results.headline_metrics(arm.dataset)]
    if others:
        sentences.append(f"Of its {sum(counts.values())} cells {listing(others)}: not in these means.")
    return Finding(name, tuple(sentences))


def findings(results: Results) -> list[tuple[str, list[Finding]]]:
    """(model on dataset, findings of its arms other than baselines), in the plan's order."""
    plan = results.run.plan
    found: dict[tuple[str, str], list[Finding]] = {pair: [] for pair in plan.pairs}
    for arm in plan.arms:
        if arm.strategy not in plan.baselines:
            found[arm.dataset, arm.model].append(finding(results, arm))
    return [(plan.heading(*pair), items) for pair, items in found.items()]


def data_warnings(results: Results) -> list[str]:
    """What the makers of the data, or of their reader, warn of: once each, with the datasets that it is about."""
    plan, about = results.run.plan, dict[str, dict[str, None]]()
    for cell in plan.cells:
        dataset = results.run.provenance.get(cell.key, {}).get("dataset")
        warnings = dataset.get("warnings") if isinstance(dataset, dict) else None
        for warning in [warnings] if isinstance(warnings, str) else warnings or []:
            about.setdefault(str(warning), {})[plan.datasets[cell.dataset].label] = None
    return [f"{listing(list(names))}: {warning}" for warning, names in about.items()]


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
    elif 1 < seeds < 5:
        t = statistics.t_factor(seeds)
        notes.append(
            f"With {seeds} seeds the 95 % interval reaches {t:.1f} standard errors to each side: only large and "
            "steady differences can be told."
        )
    cells = run.conflicts["cell_key"].nunique()
    if cells:
        have = "has" if cells == 1 else "have"
        notes.append(
            f"{plural(cells, 'cell')} {have} different results in different run folders (named below); those of the "
            "first folder in which it ended ok are shown."
        )
    commits = {commit for source in run.sources for commit in source.commits}
    if len(commits) > 1:
        notes.append(f"The cells were made at {len(commits)} commits: {', '.join(sorted(commits))}.")
    for dataset, model, seed in statistics.split_conflicts(run.records).itertuples(index=False):
        notes.append(
            f"{run.plan.heading(dataset, model)}, seed {seed}: the arms were trained on different splits. They are not "
            "paired: comparisons of arms whose splits differ leave this seed out."
        )
    nearest = run.records.loc[run.records["status"] == "ok", "audit_nearest_frames"].min()
    if pd.notna(nearest) and nearest <= NEAR_FRAMES:
        notes.append(
            f"Test frames lie as near as {plural(int(nearest), 'frame')} of the simulation to training frames: the "
            "errors say little about other trajectories."
        )
    if run.sweeps_differ:
        notes.append("The runs' ablation figures differ and are left out: report each run alone to see them.")
    return notes
