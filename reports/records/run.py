"""Reading a run folder: its plan, and what its cells have left so far."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from reports.records.atomic import RecordError
from reports.records.folder import RunFolder
from reports.records.parquet import CellFile, read_tables
from reports.records.plan import Plan, PlannedCell
from reports.records.record import CURVE_SCHEMA, check_curves, read_records, records_frame
from reports.records.references import no_references, read_references
from reports.records.samples import (
    ELEMENT_SCHEMA,
    PREDICTION_SCHEMA,
    check_elements,
    check_predictions,
    upgrade_predictions,
)
from reports.records.status import Status


class CellState(NamedTuple):
    """Where a planned cell stands."""

    cell: PlannedCell
    state: str
    note: str


@dataclass(frozen=True)
class Source:
    """A run folder that was read, by its name, and what its cells ran with (values in order of appearance)."""

    name: str
    command: str
    cells: int
    """Cells with a record."""
    commits: tuple[str, ...]
    versions: tuple[str, ...]
    """`name version` of each package."""
    hardware: tuple[str, ...]


def _no_conflicts() -> pd.DataFrame:
    return pd.DataFrame(columns=CONFLICT_COLUMNS)


CONFLICT_COLUMNS = ["cell_key", "dataset", "model", "strategy", "seed", "what", "kept", "kept_in", "other", "other_in"]
"""Of `Run.conflicts`: a cell found in two folders, and the first thing (`what`) in which its results differ."""


@dataclass(frozen=True)
class Run:
    """One or several run folders, read.

    `records`, `curves`, `elements` and `predictions` hold the columns of `Record`, `CURVE_SCHEMA`,
    `ELEMENT_SCHEMA` and `PREDICTION_SCHEMA`; the latter two are empty where no cell left any. `references` has those
    of `REFERENCE_SCHEMA`, and is empty for a run of before they were measured.
    """

    folder: Path
    plan: Plan
    records: pd.DataFrame
    curves: pd.DataFrame
    statuses: Mapping[str, Status]
    provenance: Mapping[str, dict[str, Any]]
    elements: pd.DataFrame = field(default_factory=lambda: ELEMENT_SCHEMA.empty_table().to_pandas())
    predictions: pd.DataFrame = field(default_factory=lambda: PREDICTION_SCHEMA.empty_table().to_pandas())
    references: pd.DataFrame = field(default_factory=no_references)
    sources: tuple[Source, ...] = ()
    conflicts: pd.DataFrame = field(default_factory=_no_conflicts)
    sweeps_differ: bool = False
    """Whether merged runs are ablations along different axes, none of which is then kept."""

    @cached_property
    def states(self) -> list[CellState]:
        """State of every planned cell, in the plan's order.

        A record decides; but a cell that did not end ok and was started again is what its status says.
        """
        ended = self.records.drop_duplicates("cell_key")[["cell_key", "status", "reason"]]
        found = {key: (status, reason) for key, status, reason in ended.itertuples(index=False)}
        states = []
        for cell in self.plan.cells:
            status = self.statuses[cell.key]
            state, reason = found.get(cell.key, (None, None))
            if state is not None and (state == "ok" or status.state not in ("pending", "running")):
                states.append(CellState(cell, state, "" if pd.isna(reason) else str(reason)))
            else:
                states.append(CellState(cell, status.state, status.reason or _progress(status)))
        return states

    def count(self, *states: str) -> int:
        """Number of planned cells in one of these states."""
        return sum(state.state in states for state in self.states)


def _progress(status: Status) -> str:
    if status.state != "running":
        return "not started" if status.state == "pending" else ""
    parts = [status.phase] if status.phase else []
    if status.epoch is not None and status.epochs is not None:
        parts.append(f"epoch {status.epoch} of {status.epochs}")
    return "under way or interrupted" + (f" ({', '.join(parts)})" if parts else "")


def _describe(folder: Path, plan: Plan, keys: int, provenance: Mapping[str, dict[str, Any]]) -> Source:
    def distinct(values: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(values))

    cells = list(provenance.values())
    return Source(
        name=folder.resolve().name,
        command=plan.command,
        cells=keys,
        commits=distinct([str(cell["git_commit"]) for cell in cells if cell.get("git_commit")]),
        versions=distinct(
            [f"{name} {value}" for cell in cells for name, value in (cell.get("versions") or {}).items()]
        ),
        hardware=distinct([hardware_text(cell["hardware"]) for cell in cells if cell.get("hardware")]),
    )


def hardware_text(hardware: Mapping[str, Any]) -> str:
    """The hardware of a cell in one line."""
    return ", ".join(f"{name} {value}" for name, value in hardware.items() if value is not None)


def without_home(command: str) -> str:
    """A command line as it may be published: folders of users are `~`, wherever the command was called."""
    own = re.escape(os.path.expanduser("~"))
    return re.sub(rf"(?<![\w/.])({own}|/home/[^/\s]+|/Users/[^/\s]+)(?=[/\s'\"]|$)", "~", command)


def read_run(folder: Path, whole: bool = True) -> Run:
    """Read a run folder; cells that the plan does not name are ignored, cells without a record are left out.

    Errors by element and sampled predictions are read where cells left them. What goes by records alone, `whole` being
    False, leaves these and the curves out: it takes a third of the time.

    Raises `RecordError` with the file and the remedy if the plan is missing, if a file is corrupt, or if a
    cell that ended ok lacks its record, curves or provenance.
    """
    run = RunFolder(Path(folder))
    plan = run.read_plan()
    plan = plan.model_copy(update={"command": without_home(plan.command)})
    places = [(cell, run.cell(cell.key)) for cell in plan.cells]
    statuses = {cell.key: place.status() for cell, place in places}
    rows = read_records([CellFile(cell, place.record, place.remedy) for cell, place in places])
    ended_ok = {row.cell_key for row in rows if row.status == "ok"}
    recorded = {row.cell_key for row in rows}
    provenance: dict[str, dict[str, Any]] = {}
    curves, elements, predictions = [], [], []
    for cell, place in places:
        ok = statuses[cell.key].state == "ok" or cell.key in ended_ok
        if ok and cell.key not in recorded:
            raise RecordError(f"{place.record} is missing though the cell ended ok: {place.remedy}")
        found = place.read_provenance()
        if found is not None:
            provenance[cell.key] = found
        elif ok:
            raise RecordError(f"{place.provenance} is missing though the cell ended ok: {place.remedy}")
        curves.append(CellFile(cell, place.curves, place.remedy, required=ok))
        elements.append(CellFile(cell, place.elements, place.remedy))
        predictions.append(CellFile(cell, place.predictions, place.remedy))
    if not whole:
        curves, elements, predictions = [], [], []
    return Run(
        folder=run.path,
        plan=plan,
        records=records_frame(rows),
        curves=read_tables(curves, CURVE_SCHEMA, check_curves),
        statuses=statuses,
        provenance=provenance,
        elements=read_tables(elements, ELEMENT_SCHEMA, check_elements),
        predictions=read_tables(predictions, PREDICTION_SCHEMA, check_predictions, upgrade_predictions),
        references=read_references(run.references),
        sources=(_describe(run.path, plan, len(recorded), provenance),),
    )
