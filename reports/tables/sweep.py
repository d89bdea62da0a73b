"""Test errors along the axis of an ablation, as a table where the main one is not enough."""

from __future__ import annotations

from reports.analysis.results import Results
from reports.analysis.sweep import groups, headline_metrics
from reports.records.plan import Arm
from reports.tables.errors import error_columns, error_texts
from reports.tables.provenance import WORTH, frame_counts, value_range, worth
from reports.tables.table import Column, Table, finished_seeds, signs
from reports.text.formatting import NONE, plain


def sweep_table(results: Results) -> Table | None:
    """The numbers of a sweep over datasets or models side by side; None for others.

    A sweep over strategies has them side by side in the main table already.
    """
    plan, sweep = results.run.plan, results.run.plan.sweep
    if sweep is None or sweep.over == "strategy":
        return None
    columns, shown = error_columns(results, headline_metrics(results))
    trained = {arm: frame_counts(results, arm.dataset, "train") for arm in plan.arms}
    frames = {arm: value_range(counts["n_frames"]) for arm, counts in trained.items()}
    every = groups(plan, sweep)
    points = [point for group in every for points in group.lines.values() for point in points]
    # A sweep over datasets may be of their very number of frames.
    counted = sweep.over == "dataset" and any(frames[arm] not in (plain(value), NONE) for value, arm in points)

    def row(value: float, arm: Arm) -> list[str]:
        first = [plain(value), frames[arm], *worth(trained[arm])] if counted else [plain(value)]
        return [*first, finished_seeds(results, arm), *error_texts(results, arm, shown)]

    first = [Column(sweep.label), *([Column("labelled frames"), *WORTH] if counted else [])]
    return Table(
        f"Test errors of the best checkpoint against {sweep.label}: mean ± standard deviation over seeds; change "
        "in % (95 % interval).",
        [*first, Column("seeds"), *columns],
        [
            (f"{plan.heading(group.place.dataset, group.place.model)}: {name}", [row(*point) for point in points])
            for group in every
            for name, points in group.lines.items()
        ],
        (signs(results),),
        name="sweep",
    )
