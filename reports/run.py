"""Reading a run folder: its plan, and what its cells have left so far."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from reports.records import CURVE_SCHEMA, Record, RecordError, check_curves, check_rows, records_frame

STATES = ("pending", "running", "ok", "diverged", "failed")


class Arm(NamedTuple):
    """What is averaged over seeds: a strategy for one dataset and model."""

    dataset: str
    model: str
    strategy: str


class PlannedCell(BaseModel):
    """One cell of the plan."""

    model_config = ConfigDict(frozen=True)

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    dataset: str
    model: str
    strategy: str
    seed: Annotated[int, Field(ge=0)]
    pretraining_key: str | None = None
    pretrain_epochs: Annotated[int, Field(ge=0)]
    finetune_epochs: Annotated[int, Field(ge=0)]

    @property
    def arm(self) -> Arm:
        return Arm(self.dataset, self.model, self.strategy)


class Labels(BaseModel):
    """What to call things in print; the order of `strategies` is the order (and colour) of arms."""

    datasets: dict[str, str] = {}
    models: dict[str, str] = {}
    strategies: dict[str, str] = {}


class Sweep(BaseModel):
    """The axis of an ablation: the names it goes over and the number that each stands for."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    over: Literal["dataset", "model", "strategy"]
    """What the names are."""
    label: Annotated[str, Field(min_length=1)]
    """Title of the axis, with its unit."""
    log: bool = False
    """Whether the axis is logarithmic."""
    values: Annotated[dict[str, float], Field(min_length=1)]
    """Name -> place on the axis; what is not named here is not on it."""

    @model_validator(mode="after")
    def _has_logarithms(self) -> Sweep:
        low = {name: value for name, value in self.values.items() if value <= 0}
        if self.log and low:
            raise ValueError(f"a logarithmic axis takes values above 0, not {low}; change them or set log to false")
        return self


class Plan(BaseModel):
    """`plan.json`: what was to be run. Everything that a report calls by name is named here."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = Field(alias="schema")
    suite: str
    title: str
    description: str = ""
    scale: str
    command: str
    """The command that repeats the run."""
    baselines: list[str]
    """Strategies that others are compared with, in order; the first sets the error to reach."""
    labels: Labels = Labels()
    sweep: Sweep | None = None
    """What the report draws the test errors against, if it is an ablation."""
    config: dict[str, Any] = {}
    cells: list[PlannedCell]

    @model_validator(mode="after")
    def _cells_are_distinct(self) -> Plan:
        for what, seen in (
            ("key", Counter(cell.key for cell in self.cells)),
            ("dataset, model, strategy and seed", Counter((*cell.arm, cell.seed) for cell in self.cells)),
        ):
            for value, count in seen.items():
                if count > 1:
                    raise ValueError(f"{count} cells share the {what} {value}; give each its own")
        return self

    @cached_property
    def arms(self) -> list[Arm]:
        """The arms: by dataset and model as they first appear, strategies in the order of the labels."""
        datasets = list(dict.fromkeys(cell.dataset for cell in self.cells))
        models = list(dict.fromkeys(cell.model for cell in self.cells))
        return sorted(
            {cell.arm for cell in self.cells},
            key=lambda a: (
                datasets.index(a.dataset),
                models.index(a.model),
                self.strategies.index(a.strategy),
            ),
        )

    @cached_property
    def strategies(self) -> list[str]:
        """All strategies named in the plan, also those that a filter left without cells, in order."""
        return list(dict.fromkeys([*self.labels.strategies, *(cell.strategy for cell in self.cells)]))

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """(dataset, model), in order."""
        return list(dict.fromkeys((arm.dataset, arm.model) for arm in self.arms))

    def cells_of(self, arm: Arm) -> list[PlannedCell]:
        return [cell for cell in self.cells if cell.arm == arm]

    def epochs(self, arm: Arm) -> tuple[int, int]:
        """(pretraining epochs, finetuning epochs) of an arm; the largest, should its cells differ."""
        cells = self.cells_of(arm)
        return max(c.pretrain_epochs for c in cells), max(c.finetune_epochs for c in cells)

    def heading(self, dataset: str, model: str) -> str:
        """What to call a model on a dataset; only one of them if the other is empty."""
        names = (self.labels.models.get(model, model), self.labels.datasets.get(dataset, dataset))
        return " on ".join(name for name in names if name)


class CellState(NamedTuple):
    """Where a planned cell stands."""

    cell: PlannedCell
    state: str
    note: str


@dataclass(frozen=True)
class Run:
    """A run folder, read: `records` and `curves` hold the columns of `Record` and `CURVE_SCHEMA`."""

    folder: Path
    plan: Plan
    records: pd.DataFrame
    curves: pd.DataFrame
    statuses: Mapping[str, dict[str, Any]]
    provenance: Mapping[str, dict[str, Any]]

    @cached_property
    def states(self) -> list[CellState]:
        """State of every planned cell, in the plan's order.

        A record decides; but a cell that did not end ok and was started again is what its status says.
        """
        ended = self.records.drop_duplicates("cell_key").set_index("cell_key")[["status", "reason"]].T.to_dict()
        states = []
        for cell in self.plan.cells:
            status = self.statuses[cell.key]
            record = ended.get(cell.key)
            if record and (record["status"] == "ok" or status["state"] not in ("pending", "running")):
                states.append(CellState(cell, record["status"], record["reason"] or ""))
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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; its keys must differ, where `json` alone would keep the last of equal ones."""
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"the name {twice[0]!r} is listed twice; give it once")
    return dict(pairs)


def _read_json(path: Path, remedy: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_object)
    except FileNotFoundError as error:
        raise RecordError(f"{path} is missing: {remedy}") from error
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} cannot be read ({error}): {remedy}") from error
    if not isinstance(content, dict):
        raise RecordError(f"{path} holds a {type(content).__name__}, a JSON object was expected: {remedy}")
    return content


def _read_parquet(path: Path, remedy: str) -> pa.Table:
    try:
        return pq.ParquetFile(path).read()
    except FileNotFoundError as error:
        raise RecordError(f"{path} is missing: {remedy}") from error
    except (OSError, pa.ArrowException) as error:
        raise RecordError(f"{path} cannot be read ({error}): {remedy}") from error


def _read_rows(path: Path, cell: PlannedCell, remedy: str) -> list[Record]:
    try:
        rows = [Record.model_validate(row) for row in _read_parquet(path, remedy).to_pylist()]
        check_rows(rows)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "row"
        raise RecordError(f"{path} does not fit the schema of records ({where}: {first['msg']}): {remedy}") from error
    except RecordError as error:
        raise error if str(path) in str(error) else RecordError(f"{path}: {error}; {remedy}") from error
    for row in rows:
        found = (row.cell_key, row.dataset, row.model, row.strategy, row.seed)
        if found != (cell.key, *cell.arm, cell.seed):
            raise RecordError(
                f"{path} is the record of cell {found}, not of {(cell.key, *cell.arm, cell.seed)}: {remedy}"
            )
    return rows


def _line(schema: pa.Schema) -> str:
    return str(schema).replace("\n", ", ")


def _read_curves(path: Path, cell: PlannedCell, remedy: str) -> pd.DataFrame:
    table = _read_parquet(path, remedy)
    if not table.schema.equals(CURVE_SCHEMA):
        raise RecordError(f"{path} has the columns {_line(table.schema)}; expected are {_line(CURVE_SCHEMA)}: {remedy}")
    frame = table.to_pandas()
    try:
        check_curves(frame)
    except RecordError as error:
        raise RecordError(f"{path}: {error}; {remedy}") from error
    if set(frame["cell_key"]) - {cell.key}:
        raise RecordError(f"{path} holds curves of other cells than {cell.key}: {remedy}")
    return frame


def _merge(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    empty = CURVE_SCHEMA.empty_table().to_pandas()
    frames = [frame for frame in frames if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else empty


def read_run(folder: Path) -> Run:
    """Read a run folder; cells that the plan does not name are ignored, cells without a record are left out.

    Raises `RecordError` with the file and the remedy if the plan is missing, if a file is corrupt, or if a
    cell that ended ok lacks its record, curves or provenance.
    """
    folder = Path(folder)
    remedy = "give a folder written by the benchmark's `run`, or start the run again into a new folder"
    try:
        plan = Plan.model_validate(_read_json(folder / "plan.json", remedy))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "plan"
        raise RecordError(f"{folder / 'plan.json'} is not a plan ({where}: {first['msg']}): {remedy}") from error
    rows: list[Record] = []
    curves: list[pd.DataFrame] = []
    statuses: dict[str, dict[str, Any]] = {}
    provenance: dict[str, dict[str, Any]] = {}
    for cell in plan.cells:
        here = folder / "cells" / cell.key
        remedy = f"delete the folder {here} and run again; only this cell is repeated"
        path = here / "status.json"
        status = _read_json(path, remedy) if path.exists() else {"state": "pending"}
        if status.get("state") not in STATES:
            raise RecordError(f"{path}: state {status.get('state')!r} is not one of {', '.join(STATES)}: {remedy}")
        statuses[cell.key] = status
        found = _read_rows(here / "record.parquet", cell, remedy) if (here / "record.parquet").exists() else []
        rows += found
        ended_ok = status["state"] == "ok" or any(row.status == "ok" for row in found)
        if ended_ok and not found:
            raise RecordError(f"{here / 'record.parquet'} is missing though the cell ended ok: {remedy}")
        if ended_ok or (here / "curves.parquet").exists():
            curves.append(_read_curves(here / "curves.parquet", cell, remedy))
        if ended_ok or (here / "provenance.json").exists():
            provenance[cell.key] = _read_json(here / "provenance.json", remedy)
    return Run(folder, plan, records_frame(rows), _merge(curves), statuses, provenance)
