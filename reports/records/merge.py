"""Several run folders as one run, and two runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import ValidationError

from reports.records.alike import check_alike
from reports.records.atomic import RecordError
from reports.records.parquet import rows_of
from reports.records.plan import Plan, PlannedPrimary, SpreadRule, Sweep
from reports.records.record import METRICS
from reports.records.references import PLACE
from reports.records.run import CONFLICT_COLUMNS, Run, read_run

T = TypeVar("T")

COMPARED = ("status", *METRICS, "n_frames", "n_atoms", "n_parameters", "split_hash", "finetune_steps", "best_epoch")
"""Columns of a record that say what came out; times, memory and names of suites may differ."""


def _first(values: Iterable[str], join: str) -> str:
    """The distinct values, in order of appearance."""
    return join.join(dict.fromkeys(value for value in values if value))


def _laid_under(first: Any, second: Any) -> Any:
    """`first`, with what only `second` has added; mappings are merged entry by entry."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        added = {name: value for name, value in second.items() if name not in first}
        return {name: _laid_under(value, second.get(name, value)) for name, value in first.items()} | added
    return first


def _sweeps(runs: Sequence[Run]) -> list[Sweep]:
    """The different ablation axes of these runs."""
    return list({run.plan.sweep.model_dump_json(): run.plan.sweep for run in runs if run.plan.sweep}.values())


def _merge_plans(runs: Sequence[Run], names: Sequence[str]) -> Plan:
    plans = [run.plan for run in runs]
    cells = {cell.key: cell for plan in reversed(plans) for cell in plan.cells}
    check_alike(plans, names)
    config: Any = {}
    for plan in plans:
        config = _laid_under(config, plan.config)
    if any(plan.config != plans[0].config for plan in plans):
        config = {**config, "merged_from": {name: plan.config for name, plan in zip(names, plans, strict=True)}}
    sweeps = _sweeps(runs)
    order = {key: None for plan in plans for key in (cell.key for cell in plan.cells)}
    try:
        return Plan(
            suite=_first((plan.suite for plan in plans), " + "),
            title=_first((plan.title for plan in plans), " + "),
            description=_first((plan.description for plan in plans), " "),
            scale=_first((plan.scale for plan in plans), " + "),
            command=_first((plan.command for plan in plans), "\n"),
            baselines=list(dict.fromkeys(name for plan in plans for name in plan.baselines)),
            primary=_merge_primaries(plans),
            spread=_one_rule(plans, names),
            until_percent=max((plan.until_percent for plan in plans if plan.until_percent), default=None),
            datasets=_laid_under_all([plan.datasets for plan in plans]),
            models=_laid_under_all([plan.models for plan in plans]),
            strategies=_laid_under_all([plan.strategies for plan in plans]),
            data=_laid_under_all([plan.data for plan in plans]),
            files=_laid_under_all([plan.files for plan in plans]),
            sweep=sweeps[0] if len(sweeps) == 1 else None,
            config=config,
            cells=[cells[key] for key in order],
        )
    except ValidationError as error:
        raise RecordError(f"the plans of {', '.join(names)} do not fit together: {error.errors()[0]['msg']}") from error


def _one_rule(plans: Sequence[Plan], names: Sequence[str]) -> SpreadRule:
    """The one rule for intervals that all have declared."""
    for plan, name in zip(plans, names, strict=True):
        if plan.spread != plans[0].spread:
            raise RecordError(
                f"{names[0]} declares `spread: {plans[0].spread}` and {name} `spread: {plan.spread}`: one report has "
                "one rule for its intervals. Report each run on its own, or put two of them side by side with --compare"
            )
    return plans[0].spread


def _merge_primaries(plans: Sequence[Plan]) -> list[PlannedPrimary]:
    """All that was declared, each comparison once: one report has one family."""
    entries: dict[str, tuple[PlannedPrimary, dict[str, None]]] = {}
    for primary in (primary for plan in plans for primary in plan.primary):
        _, baselines = entries.setdefault(primary.model_dump_json(exclude={"baselines"}), (primary, {}))
        baselines.update(dict.fromkeys(primary.baselines))
    return [entry.model_copy(update={"baselines": list(baselines)}) for entry, baselines in entries.values()]


def _merge_references(runs: Sequence[Run]) -> pd.DataFrame:
    """Those of all runs; where two measured the same, the first goes first."""
    filled = [run.references for run in runs if len(run.references)]
    return pd.concat(filled).drop_duplicates(PLACE, ignore_index=True) if filled else runs[0].references


def _laid_under_all(mappings: Sequence[Mapping[str, T]]) -> dict[str, T]:
    merged: dict[str, T] = {}
    for mapping in mappings:
        merged |= {name: value for name, value in mapping.items() if name not in merged}
    return merged


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """Names of the folders; with the folder above where they are equal, with a number where these are too."""
    names = [" + ".join(source.name for source in run.sources) or run.folder.name for run in runs]
    if len(set(names)) < len(names):
        paths = [run.folder.resolve() for run in runs]
        names = [f"{path.parent.name}/{path.name}" for path in paths]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, start=1)]
    return names


Rows = dict[tuple[Any, ...], dict[str, Any]]


def _by_cell(run: Run) -> dict[str, Rows]:
    """Rows of each cell by split, checkpoint and further dataset."""
    cells: dict[str, Rows] = {}
    for row in rows_of(run.records.astype(object).where(run.records.notna(), None)):
        cells.setdefault(row["cell_key"], {})[row["split"], row["checkpoint"], row["extra"]] = row
    return cells


def _difference(kept: Rows, other: Rows) -> tuple[str, Any, Any] | None:
    """The first thing in which two results of a cell differ: (what, value kept, other value)."""
    for place in dict.fromkeys([*kept, *other]):
        mine, theirs = kept.get(place), other.get(place)
        where = " ".join(str(part) for part in place if part)
        if mine is None or theirs is None:
            status = next(iter(kept.values()))["status"], next(iter(other.values()))["status"]
            if status[0] != status[1]:
                return ("status", *status)
            return (f"rows of {where}", "there" if mine else "missing", "there" if theirs else "missing")
        for name in COMPARED:
            if mine[name] != theirs[name]:
                return (f"{name} ({where})" if where else name, mine[name], theirs[name])
    return None


def read_runs(folders: Sequence[Path]) -> Run:
    """Read run folders and merge them into one run.

    A cell that several folders hold counts once: that of the first folder in which it ended ok, else the first that
    left a record. Where another folder's results differ in anything but times and memory, `conflicts` says so.
    `sources` describes each folder. The plan is the union; labels and configuration of the first folder go first.

    Raises `RecordError` as `read_run` does; if no folder is given; and if a dataset, model or strategy stands for
    different settings in two folders, see `check_alike`.
    """
    unique = list({Path(folder).resolve(): Path(folder) for folder in folders}.values())
    if not unique:
        raise RecordError("no run folder was given; give one or more folders written by the benchmark's `run`")
    runs = [read_run(folder) for folder in unique]
    if len(runs) == 1:
        return runs[0]
    names = distinct_names(runs)
    plan = _merge_plans(runs, names)
    found = [_by_cell(run) for run in runs]
    owners: dict[str, int] = {}
    conflicts = []
    for cell in plan.cells:
        holders = [i for i, cells in enumerate(found) if cell.key in cells]
        # The first that is ok; `min` keeps the order of equals.
        owner = min(holders, key=lambda i: next(iter(found[i][cell.key].values()))["status"] != "ok", default=None)
        if owner is None:
            planned = [i for i, run in enumerate(runs) if cell.key in run.statuses]
            started = [i for i in planned if runs[i].statuses[cell.key].state == "running"]
            owner = [*started, *planned][0]
        owners[cell.key] = owner
        for i in holders:
            difference = _difference(found[owner][cell.key], found[i][cell.key]) if i != owner else None
            if difference:
                what, kept, other = difference
                conflicts.append([cell.key, *cell.arm, cell.seed, what, kept, names[owner], other, names[i]])

    def merged(attribute: str) -> pd.DataFrame:
        parts = []
        for i, run in enumerate(runs):
            frame: pd.DataFrame = getattr(run, attribute)
            parts.append(frame[frame["cell_key"].map(owners) == i])
        filled = [part for part in parts if len(part)]
        return pd.concat(filled, ignore_index=True) if filled else getattr(runs[0], attribute)

    return Run(
        folder=unique[0],
        plan=plan,
        records=merged("records"),
        curves=merged("curves"),
        statuses={key: runs[i].statuses[key] for key, i in owners.items()},
        provenance={key: runs[i].provenance[key] for key, i in owners.items() if key in runs[i].provenance},
        elements=merged("elements"),
        predictions=merged("predictions"),
        references=_merge_references(runs),
        sources=tuple(replace(run.sources[0], name=name) for run, name in zip(runs, names, strict=True)),
        conflicts=pd.DataFrame(conflicts, columns=CONFLICT_COLUMNS),
        sweeps_differ=len(_sweeps(runs)) > 1,
    )
