"""What a reader must know before the findings: warnings of the data, and what weakens this run."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from reports.analysis import statistics
from reports.analysis.convergence import untold_cost
from reports.analysis.results import EFFECTIVE, Results
from reports.records.plan import Arm
from reports.text.formatting import listing, number, plural, rough, spread

NEAR_FRAMES = 10
"""A test frame this near to a training frame of its trajectory is hardly a new one."""
RUNAWAY = 10.0
"""Forces so many times too large at the beginning of finetuning are said: what that costs is part of the comparison."""
FURTHER = 5.0
"""Where longer training lowers the error by more than so many %, training was not over."""


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
            f"{unfinished} of {plural(len(run.plan.cells), 'cell')} have not finished yet: this report is preliminary."
        )
    stuck = sum(results.stuck(arm) for arm in run.plan.arms)
    if stuck:
        notes.append(
            f"{plural(stuck, 'finished cell')} never left the plateau on which training begins (see Escape from the "
            f"plateau): {'its' if stuck == 1 else 'their'} errors are those of a network that learned nothing."
        )
    lost = run.count("diverged", "failed")
    if lost:
        notes.append(
            f"{plural(lost, 'cell')} diverged or failed (listed below). Means are over the other cells, which flatters "
            "an arm that loses cells."
        )
    seeds = len({cell.seed for cell in run.plan.cells})
    if seeds == 1:
        notes.append("Only one seed was planned. One seed is an anecdote: it cannot tell arms apart.")
    cells = run.conflicts["cell_key"].nunique()
    if cells:
        have = "has" if cells == 1 else "have"
        notes.append(
            f"{plural(cells, 'cell')} {have} different results in different run folders (listed below); shown is the "
            "first folder in which the cell ended ok."
        )
    commits = {commit for source in run.sources for commit in source.commits}
    if len(commits) > 1:
        notes.append(f"The cells were made at {len(commits)} commits: {', '.join(sorted(commits))}.")
    for dataset, model, seed in statistics.split_conflicts(run.records).itertuples(index=False):
        notes.append(
            f"{run.plan.heading(dataset, model)}, seed {seed}: the arms were trained on different splits, so "
            "comparisons between them leave this seed out."
        )
    notes += _files(results)
    notes += _left_out(results)
    notes += _mixed(results)
    notes += _effective(results)
    notes += _runaway(results)
    notes += _undertrained(results)
    nearest = run.records.loc[run.records["status"] == "ok", "audit_nearest_frames"].min()
    if pd.notna(nearest) and nearest <= NEAR_FRAMES:
        notes.append(
            f"Some test frames lie only {plural(int(nearest), 'frame')} of the simulation away from training frames: "
            "the errors say little about other trajectories."
        )
    if run.sweeps_differ:
        notes.append("The runs are different ablations; their figures are left out: report each run alone to see them.")
    return notes


def _files(results: Results) -> list[str]:
    """What is not known of bodies that came in files."""
    records = results.run.records
    finished = records[(records["status"] == "ok") & records["pretrained_file"].notna()].drop_duplicates("cell_key")
    unseen = list(dict.fromkeys(finished.loc[finished["audit_unknown"] > 0, "strategy"]))
    untold = list(dict.fromkeys(finished.loc[untold_cost(finished), "strategy"]))
    counts = finished.groupby(["dataset", "model", "strategy"], sort=False)[["pretrained_file", "seed"]].nunique()
    shared = counts[(counts["pretrained_file"] == 1) & (counts["seed"] > 1)].reset_index()["strategy"]
    notes = []
    if unseen:
        notes.append(
            f"{listing(unseen)}: the file that cells started from does not say which structures it was pretrained on. "
            "Whether test frames were among them is not known, and the audit could not look."
        )
    if untold:
        notes.append(
            f"{listing(untold)}: the file that cells started from does not say what its pretraining has cost. No "
            "comparison with it is at equal compute."
        )
    if len(shared):
        notes.append(
            f"{listing(list(dict.fromkeys(shared)))}: all seeds started from one pretrained body. Intervals hold "
            "nothing of what another pretraining would have given."
        )
    return notes


def _left_out(results: Results) -> list[str]:
    """Arms that pretrain on fewer structures than those which train longer instead are matched to."""
    plan, shares = results.run.plan, dict[str, float]()
    for cell in plan.cells:
        frames = results.run.provenance.get(cell.key, {}).get("pretraining_frames")
        left = frames.get("left_out", 0) if isinstance(frames, dict) else 0
        if frames and left:
            share = 100 * left / (left + frames["train"] + frames["val"])
            shares[cell.strategy] = max(share, shares.get(cell.strategy, 0.0))
    extended = [name for name, strategy in plan.strategies.items() if strategy.role == "extended"]
    if not shares or not extended:
        return []
    percent = listing([f"{number(share, 0)} %" for share in shares.values()])
    return [
        f"{listing(list(shares))}: pretraining left out up to {percent} of the structures, to which its pretext cannot "
        f"be applied. {listing(extended)} trained longer for all of them: at equal compute it is favoured."
    ]


def _mixed(results: Results) -> list[str]:
    """Models on data whose cells were computed in several ways, where cells say it: how many in which."""
    records = results.run.records
    if "computed" not in records:
        return []
    finished = records[records["status"] == "ok"].drop_duplicates("cell_key").dropna(subset=["computed"])
    ways: dict[tuple[str, str], Counter[str]] = {}
    for dataset, model, way in finished[["dataset", "model", "computed"]].itertuples(index=False):
        ways.setdefault((dataset, model), Counter())[way] += 1
    return [
        f"{results.run.plan.heading(*pair)}: the cells were computed in different ways ("
        + listing([f"{count} {way}" for way, count in found.most_common()])
        + "), which may add to differences between them."
        for pair, found in ways.items()
        if len(found) > 1
    ]


def _runaway(results: Results) -> list[str]:
    """Arms whose pretraining let the size of the forces run away: what they lose may be that, and not knowledge."""
    cells = results.run.records.drop_duplicates("cell_key").dropna(subset=["handover_force_rms"])
    sizes = cells.groupby(["dataset", "model", "strategy"], sort=False)["handover_force_rms"].median()
    far: dict[str, list[float]] = {}
    for strategy, size in (
        sizes[sizes > RUNAWAY].reset_index()[["strategy", "handover_force_rms"]].itertuples(index=False)
    ):
        far.setdefault(str(strategy), []).append(float(size))
    return [
        f"{strategy}: finetuning begins with forces {listing([rough(size) for size in found])} times too large. "
        "Comparisons with it are of that as well."
        for strategy, found in far.items()
    ]


def _undertrained(results: Results) -> list[str]:
    """Training from scratch that was not over, as the same for longer is surely better: by its whole interval."""
    plan, notes = results.run.plan, []
    epochs = results.run.records.groupby(["dataset", "model", "strategy"])["finetune_epochs"].mean()
    roles = {name: strategy.role for name, strategy in plan.strategies.items()}
    for longer in (name for name in roles if roles[name] == "extended"):
        for base in (name for name in plan.baselines if roles.get(name) == "scratch"):
            gains: dict[str, tuple[float, float]] = {}
            for pair in plan.pairs:
                change = results.change(Arm(*pair, longer), base, results.headline_metrics(pair[0])[0])
                if change and change.high < -FURTHER:
                    gains[plan.heading(*pair)] = -change.percent, epochs[(*pair, longer)] / epochs[(*pair, base)]
            if gains:
                lower, times = zip(*gains.values(), strict=True)
                where = f" ({listing(list(gains))})" if len(gains) < len(plan.pairs) else ""
                notes.append(
                    f"Training of {base} was not over: {longer}, {spread(min(times), max(times), 1)} times as long, "
                    f"has a force error lower by {spread(min(lower), max(lower))} %{where}. Of a gain over {base} at "
                    "the same finetuning, some may be what any further training gives."
                )
    return notes


def _effective(results: Results) -> list[str]:
    """Where training frames are worth less than half of what they are counted as."""
    plan, notes = results.run.plan, []
    for dataset in dict.fromkeys(arm.dataset for arm in plan.arms):
        here = results.frame_counts.get((dataset, "train"))
        worth = [] if here is None else [here[name].dropna().min() for name in EFFECTIVE if here[name].notna().any()]
        if worth and here is not None and min(worth) < 0.5 * here["n_frames"].min():
            notes.append(
                f"{plan.datasets[dataset].label}: the {int(here['n_frames'].min())} training frames follow each other "
                f"so closely that they are worth about {number(float(min(worth)), 0)} independent ones."
            )
    return notes
