"""A run folder whose plan.json is lost: what it was, from the suite and from what its cells have left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from benchmark.errors import BenchmarkError
from benchmark.planning.cells import Cell
from benchmark.planning.config import Suite
from benchmark.planning.planner import make_plan
from reports.records.atomic import RecordError
from reports.records.folder import RunFolder
from reports.records.plan import PlannedCell, PlannedDataset


@dataclass(frozen=True)
class Recovered:
    """What later calls ask of a plan; its commands are lost."""

    cells: list[PlannedCell]
    data: Mapping[str, str]
    datasets: Mapping[str, PlannedDataset] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    until_percent: float | None = None


def recover(run: RunFolder, suite: Suite, data_dir: Path) -> Recovered:
    """The cells of a run folder that ended, and the data that they were computed with.

    Args:
        run: a folder with cells and without a plan that can be read.
        suite: which suite it is said to be of.
        data_dir: folder of all datasets.

    Raises:
        BenchmarkError: if any of its cells is not one of the suite.
    """
    rows = {job.path.name: row for job in run.begun("cells") if (row := _ended(job.record)) is not None}
    seeds = max((row.seed for row in rows.values()), default=0) + 1
    known: dict[str, Cell] = {cell.key: cell for cell in make_plan(suite, seeds, data_dir=data_dir)} if rows else {}
    foreign = [key for key, row in rows.items() if key != row.key or key not in known]
    if foreign:
        raise BenchmarkError(
            f"{run.plan} cannot be read, and of the {len(rows)} cells that ended in its folder {len(foreign)} are not "
            f"of suite {suite.name!r} at scale {suite.scale!r} as it is now ({foreign[0]}, for one): restore that one "
            "file, give the suite as it was, or choose another folder with --out. Nothing was changed"
        )
    data: dict[str, str] = {}
    for key in rows:
        try:
            contents = (run.cell(key).read_provenance() or {}).get("contents", [])
        except RecordError:
            continue  # it is set aside later, with a word
        own = known[key]
        names = [own.arm.dataset, *(f"{own.arm.dataset}/{extra}" for extra in own.dataset.extra_tests)]
        data.update(zip(names, contents, strict=False))
    return Recovered([cell.planned() for key, cell in known.items() if key in rows], data)


def _ended(record: Path) -> PlannedCell | None:
    """The cell that a record is of; None without one that can be read."""
    try:
        (row, *_) = pq.ParquetFile(record).read(use_threads=False).to_pylist()
        return PlannedCell(key=row.pop("cell_key"), **{n: row[n] for n in PlannedCell.model_fields if n != "key"})
    except (OSError, pa.ArrowException, ValidationError, KeyError, ValueError):
        return None
