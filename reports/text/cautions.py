"""What a reader must know before the findings: warnings of the data, and what weakens this run."""

from __future__ import annotations

import pandas as pd

from reports.analysis import statistics
from reports.analysis.results import Results
from reports.text.formatting import listing, plural

NEAR_FRAMES = 10
"""A test frame this near to a training frame of its trajectory is hardly a new one."""


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
    lost = run.count("diverged", "failed")
    if lost:
        notes.append(
            f"{plural(lost, 'cell')} diverged or failed (listed below). Means are over the other cells, which flatters "
            "an arm that loses cells."
        )
    seeds = len({cell.seed for cell in run.plan.cells})
    if seeds == 1:
        notes.append("Only one seed was planned. One seed is an anecdote: it cannot tell arms apart.")
    elif 1 < seeds < 5:
        t = statistics.t_factor(seeds)
        notes.append(
            f"With {seeds} seeds the 95 % interval reaches {t:.1f} standard errors to each side: only large and "
            "consistent differences can be told."
        )
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
    nearest = run.records.loc[run.records["status"] == "ok", "audit_nearest_frames"].min()
    if pd.notna(nearest) and nearest <= NEAR_FRAMES:
        notes.append(
            f"Some test frames lie only {plural(int(nearest), 'frame')} of the simulation away from training frames: "
            "the errors say little about other trajectories."
        )
    if run.sweeps_differ:
        notes.append("The runs are different ablations; their figures are left out: report each run alone to see them.")
    return notes
