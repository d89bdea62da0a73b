"""Runs that stop when they know enough: seeds are added to the primary comparisons until their intervals are narrow."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from benchmark.planning.config import Suite
from benchmark.planning.primaries import members_of
from benchmark.run.length.duration import duration
from reports.analysis.stopping import AVERAGE, primary_widths
from reports.records.folder import RunFolder
from reports.records.parquet import rows_of
from reports.records.plan import Arm, PlannedCell
from reports.records.run import read_run

MOST_SEEDS = 100
"""Of an arm, in a run that adds seeds: what is not narrow then is a matter of another plan."""


def planned_seeds(cells: Iterable[PlannedCell]) -> dict[Arm, int]:
    """Seeds of each arm that cells of a plan have."""
    numbers: dict[Arm, int] = {}
    for cell in cells:
        numbers[cell.arm] = max(numbers.get(cell.arm, 0), cell.seed + 1)
    return numbers


def more_seeds(
    suite: Suite, folder: Path, percent: float, before: pd.DataFrame | None
) -> tuple[dict[Arm, int], pd.DataFrame]:
    """How many seeds the arms of the primary comparisons should have next.

    Where an interval is too wide, half of the seeds that are expected to be missing are added, and at least one: the
    spread they are reckoned from is itself uncertain. Where new seeds brought no new pair, since cells are lost, none
    are added any more. (One that was narrow enough got none: other arms' seeds may widen it, as all share one spread.)

    Args:
        suite: what declares the comparisons.
        folder: the run folder, whose cells have ended.
        percent: the half-width that is aimed at.
        before: the widths of the round before; None in the first.

    Returns:
        The numbers, of those arms alone that get more; and the widths.
    """
    widths = primary_widths(read_run(folder, whole=False), percent)
    numbers = planned_seeds(RunFolder(folder).read_plan().cells)
    wanted: dict[Arm, int] = {}
    for place, row in enumerate(rows_of(widths)):
        last = None if before is None else before.iloc[place]
        if row["enough"] or (last is not None and not last["enough"] and row["n"] <= last["n"]):
            continue
        for dataset in members_of(suite, row["dataset"] or None):
            arms = [Arm(dataset, row["model"], row[side]) for side in ("strategy", "baseline")]
            if all(arm in numbers for arm in arms):
                have = min(numbers[arm] for arm in arms)
                missing = 1 if pd.isna(row["needed"]) else row["needed"] - have
                target = min(MOST_SEEDS, have + max(1, missing // 2))
                wanted |= {arm: max(wanted.get(arm, 0), target) for arm in arms}
    return {arm: number for arm, number in wanted.items() if number > numbers[arm]}, widths


def describe_widths(folder: Path) -> list[str]:
    """A line for each primary comparison of a run folder: seeds, half-width of the interval, and what is missing."""
    if not RunFolder(folder).read_plan().primary:
        return []
    run = read_run(folder, whole=False)
    percent, lines = run.plan.until_percent, []
    for row in rows_of(primary_widths(run, percent)):
        width, needed = row["half_width"], row["needed"]
        where = f"{row['model']} on {row['dataset'] or 'average'}, {row['metric']}"
        text = f"{row['strategy']} against {row['baseline']} ({where}): {row['n']} seeds, "
        text += "no interval yet" if pd.isna(width) else f"95 % interval ±{width:.1f} %"
        if percent is not None:
            text += f"; ±{percent:g} % is asked for"
        if not pd.isna(needed) and needed > row["n"]:
            text += f" and expected with {needed} seeds"
            arms = {row["strategy"], row["baseline"]}
            seconds = seconds_a_seed(run.records, row["dataset"], row["model"], arms)
            if seconds is not None:
                text += f", {duration(seconds * (needed - row['n']))} of training from now, one cell at a time"
        lines.append(text)
    return lines


def seconds_a_seed(records: pd.DataFrame, dataset: str, model: str, strategies: set[str]) -> float | None:
    """Mean training time of one seed of these arms, s; None where one of them has not finished a cell."""
    chosen = records[(records["model"] == model) & records["strategy"].isin(strategies) & (records["status"] == "ok")]
    chosen = chosen if dataset == AVERAGE else chosen[chosen["dataset"] == dataset]
    cells = chosen.drop_duplicates("cell_key")
    seconds = cells[["pretrain_seconds", "finetune_seconds"]].sum(axis=1).groupby([cells["dataset"], cells["strategy"]])
    means = seconds.mean()
    return float(means.sum()) if set(cells["strategy"]) == strategies else None
