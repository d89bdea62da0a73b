"""Reading a run folder: its plan, and what its cells have left so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from pydantic import ValidationError

from reports.records.parquet import CellFile, CellPlace, read_json, read_rows, read_tables
from reports.records.plan import Plan, PlannedCell
from reports.records.record import CURVE_SCHEMA, RecordError, check_curves, records_frame
from reports.records.samples import ELEMENT_SCHEMA, PREDICTION_SCHEMA, check_elements, check_predictions

STATES = ("pending", "running", "ok", "diverged", "failed")


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
    `ELEMENT_SCHEMA` and `PREDICTION_SCHEMA`; the latter two are empty where no cell left any.
    """

    folder: Path
    plan: Plan
    records: pd.DataFrame
    curves: pd.DataFrame
    statuses: Mapping[str, dict[str, Any]]
    provenance: Mapping[str, dict[str, Any]]
    elements: pd.DataFrame = field(default_factory=lambda: ELEMENT_SCHEMA.empty_table().to_pandas())
    predictions: pd.DataFrame = field(default_factory=lambda: PREDICTION_SCHEMA.empty_table().to_pandas())
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
            if state is not None and (state == "ok" or status["state"] not in ("pending", "running")):
                states.append(CellState(cell, state, "" if pd.isna(reason) else str(reason)))
            else:
                states.append(CellState(cell, status["state"], status.get("reason") or _progress(status)))
        return states

    def count(self, *states: str) -> int:
        """Number of planned cells in one of these states."""
        return sum(state.state in states for state in self.states)


def _progress(status: Mapping[str, Any]) -> str:
    if status["state"] != "running":
        return "not started" if status["state"] == "pending" else ""
    parts = [str(status["phase"])] if status.get("phase") else []
    if status.get("epoch") is not None and status.get("epochs") is not None:
        parts.append(f"epoch {status['epoch']} of {status['epochs']}")
    return "under way or interrupted" + (f" ({', '.join(parts)})" if parts else "")


def read_plan(folder: Path) -> Plan:
    """The plan of a run folder; raises `RecordError` if it is missing or wrong."""
    remedy = "give a folder written by the benchmark's `run`, or start the run again into a new folder"
    path = folder / "plan.json"
    try:
        return Plan.model_validate(read_json(path, remedy))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "plan"
        raise RecordError(f"{path} is not a plan ({where}: {first['msg']}): {remedy}") from error


def _describe(folder: Path, plan: Plan, keys: int, provenance: Mapping[str, dict[str, Any]]) -> Source:
    def distinct(values: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(values))

    cells = list(provenance.values())
    return Source(
        folder.resolve().name,
        plan.command,
        keys,
        distinct([str(cell["git_commit"]) for cell in cells if cell.get("git_commit")]),
        distinct([f"{name} {value}" for cell in cells for name, value in (cell.get("versions") or {}).items()]),
        distinct([hardware_text(cell["hardware"]) for cell in cells if cell.get("hardware")]),
    )


def hardware_text(hardware: Mapping[str, Any]) -> str:
    """The hardware of a cell in one line."""
    return ", ".join(f"{name} {value}" for name, value in hardware.items() if value is not None)


def read_run(folder: Path) -> Run:
    """Read a run folder; cells that the plan does not name are ignored, cells without a record are left out.

    Errors by element and sampled predictions are read where cells left them.

    Raises `RecordError` with the file and the remedy if the plan is missing, if a file is corrupt, or if a
    cell that ended ok lacks its record, curves or provenance.
    """
    folder = Path(folder)
    plan = read_plan(folder)
    statuses: dict[str, dict[str, Any]] = {}
    provenance: dict[str, dict[str, Any]] = {}
    places = [CellPlace(folder / "cells" / cell.key, cell) for cell in plan.cells]
    for place in places:
        path = place.folder / "status.json"
        status = read_json(path, place.remedy) if path.exists() else {"state": "pending"}
        if status.get("state") not in STATES:
            raise RecordError(
                f"{path}: state {status.get('state')!r} is not one of {', '.join(STATES)}: {place.remedy}"
            )
        statuses[place.cell.key] = status
    rows = read_rows([CellFile(place, "record.parquet") for place in places])
    ended_ok = {row.cell_key for row in rows if row.status == "ok"}
    recorded = {row.cell_key for row in rows}
    curves = []
    for place in places:
        key = place.cell.key
        ok = statuses[key]["state"] == "ok" or key in ended_ok
        if ok and key not in recorded:
            raise RecordError(f"{place.folder / 'record.parquet'} is missing though the cell ended ok: {place.remedy}")
        curves.append(CellFile(place, "curves.parquet", required=ok))
        path = place.folder / "provenance.json"
        if ok or path.exists():
            provenance[key] = read_json(path, place.remedy)
    return Run(
        folder,
        plan,
        records_frame(rows),
        read_tables(curves, CURVE_SCHEMA, check_curves),
        statuses,
        provenance,
        read_tables([CellFile(place, "elements.parquet") for place in places], ELEMENT_SCHEMA, check_elements),
        read_tables([CellFile(place, "predictions.parquet") for place in places], PREDICTION_SCHEMA, check_predictions),
        (_describe(folder, plan, len(recorded), provenance),),
    )
