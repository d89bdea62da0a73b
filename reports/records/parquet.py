"""Reading the files of many cells at once: checked together, and one by one only to name the file that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from reports.records.atomic import RecordError
from reports.records.plan import PlannedCell
from reports.records.record import Record, check_rows

_ROWS = TypeAdapter(list[Record])


@dataclass(frozen=True)
class CellFile:
    """A file of a planned cell; one that is not `required` may be absent. `remedy`: what to do if it is damaged."""

    cell: PlannedCell
    path: Path
    remedy: str
    required: bool = False

    @property
    def expected(self) -> bool:
        return self.required or self.path.exists()


def _read_parquet(file: CellFile) -> pa.Table:
    try:
        # Of small files, threads cost more than they save.
        return pq.ParquetFile(file.path).read(use_threads=False)
    except FileNotFoundError as error:
        raise RecordError(f"{file.path} is missing: {file.remedy}") from error
    except (OSError, pa.ArrowException) as error:
        raise RecordError(f"{file.path} cannot be read ({error}): {file.remedy}") from error


def read_rows(files: Sequence[CellFile]) -> list[Record]:
    """Records of the files that exist, in order.

    Raises `RecordError` naming the file if one cannot be read, does not fit the schema, contradicts itself or
    is of another cell.
    """
    rows: list[dict[str, Any]] = []
    owners: list[CellFile] = []
    for file in files:
        if file.expected:
            found = _read_parquet(file).to_pylist()
            if not found:
                raise RecordError(f"{file.path} holds no row: {file.remedy}")
            rows += found
            owners += [file] * len(found)
    try:
        records = _ROWS.validate_python(rows)
    except ValidationError as error:
        first = error.errors()[0]
        index, *names = first["loc"]
        file, where = owners[int(index)], ".".join(map(str, names)) or "row"
        raise RecordError(
            f"{file.path} does not fit the schema of records ({where}: {first['msg']}): {file.remedy}"
        ) from error
    for row, file in zip(records, owners, strict=True):
        cell = file.cell
        found = (row.cell_key, row.dataset, row.model, row.strategy, row.seed)
        if found != (cell.key, *cell.arm, cell.seed):
            raise RecordError(
                f"{file.path} is the record of cell {found}, not of {(cell.key, *cell.arm, cell.seed)}: {file.remedy}"
            )
    if records:
        try:
            check_rows(records)
        except RecordError as error:
            # The message names the cell; its file is found by the same name.
            file = next((file for file in owners if file.cell.key in str(error)), owners[0])
            raise RecordError(f"{file.path}: {error}; {file.remedy}") from error
    return records


def _line(schema: pa.Schema) -> str:
    return str(schema).replace("\n", ", ")


def read_tables(files: Sequence[CellFile], schema: pa.Schema, check: Callable[[pd.DataFrame], None]) -> pd.DataFrame:
    """The rows of the files that exist, as one frame with the columns of `schema`.

    `check` raises `RecordError` for a frame that contradicts itself. Raises `RecordError` naming the file if
    one cannot be read, has other columns, is of another cell or does not pass.
    """
    parts: list[tuple[CellFile, pa.Table]] = []
    for file in files:
        if not file.expected:
            continue
        table = _read_parquet(file)
        remedy = file.remedy
        if not table.schema.equals(schema):
            raise RecordError(
                f"{file.path} has the columns {_line(table.schema)}; expected are {_line(schema)}: {remedy}"
            )
        if not pc.all(pc.equal(table["cell_key"], file.cell.key), skip_nulls=False, min_count=0).as_py():
            raise RecordError(f"{file.path} holds rows of other cells than {file.cell.key}: {remedy}")
        parts.append((file, table))
    if not parts:
        return schema.empty_table().to_pandas()
    frame = _frame(pa.concat_tables([table for _, table in parts]))
    try:
        check(frame)
    except RecordError:
        for file, table in parts:
            try:
                check(_frame(table))
            except RecordError as error:
                raise RecordError(f"{file.path}: {error}; {file.remedy}") from error
        raise
    return frame


def _frame(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get if _has_null_integers(table) else None)


def _has_null_integers(table: pa.Table) -> bool:
    return any(
        column.null_count and pa.types.is_integer(field.type)
        for field, column in zip(table.schema, table.columns, strict=True)
    )
