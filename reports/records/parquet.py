"""Tables of a run folder: Parquet files with a schema version, written and read, and their rows in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reports.records.atomic import RecordError, check_schema, replacing
from reports.records.plan import PlannedCell

VERSION = b"nnp_bench_schema"
"""Metadata of a Parquet file: the version of its schema; a file without it has 1."""


def versioned(version: int, fields: Sequence[pa.Field]) -> pa.Schema:
    """A schema that tells its version in the files that are written with it."""
    return pa.schema(fields, metadata={VERSION: str(version).encode()})


def _version(schema: pa.Schema) -> object:
    text = (schema.metadata or {}).get(VERSION, b"1").decode(errors="replace")
    return int(text) if text.isdecimal() else text


def _line(schema: pa.Schema) -> str:
    return str(schema.remove_metadata()).replace("\n", ", ")


def write_frame(frame: pd.DataFrame, path: Path, schema: pa.Schema) -> None:
    """Write `frame` as Parquet with exactly `schema` and its version, whole or not at all."""
    try:
        table = pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False)
        table = table.replace_schema_metadata(schema.metadata)
    except (pa.ArrowException, TypeError) as error:
        raise RecordError(f"{path}: the columns do not fit the schema ({_line(schema)}): {error}") from error
    with replacing(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


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


def read_table(path: Path, remedy: str, schema: pa.Schema) -> pa.Table:
    """The content of one file, whatever its columns; `remedy`: what to do if it is damaged.

    Raises `RecordError` naming the file if it cannot be read, or has a later version than `schema`.
    """
    try:
        # Of small files, threads cost more than they save.
        table = pq.ParquetFile(path, page_checksum_verification=True).read(use_threads=False)
    except FileNotFoundError as error:
        raise RecordError(f"{path} is missing: {remedy}") from error
    except (OSError, pa.ArrowException) as error:
        raise RecordError(f"{path} cannot be read ({error}): {remedy}") from error
    newest = _version(schema)
    assert isinstance(newest, int)
    check_schema(path, _version(table.schema), newest, remedy)
    return table


def read_exactly(
    path: Path, remedy: str, schema: pa.Schema, upgrade: Callable[[pa.Table], pa.Table] = lambda table: table
) -> pa.Table:
    """The content of one file with the columns of `schema`; raises `RecordError` as `read_table`, and for others.

    `upgrade` brings a table of an earlier schema into the form of today.
    """
    table = upgrade(read_table(path, remedy, schema))
    if not table.schema.equals(schema):
        raise RecordError(f"{path} has the columns {_line(table.schema)}; expected are {_line(schema)}: {remedy}")
    return table


def read_tables(
    files: Sequence[CellFile],
    schema: pa.Schema,
    check: Callable[[pd.DataFrame], None],
    upgrade: Callable[[pa.Table], pa.Table] = lambda table: table,
) -> pd.DataFrame:
    """The rows of the files that exist, as one frame with the columns of `schema`.

    The files of many cells are checked together, and one by one only to name the file that is wrong. `check` raises
    `RecordError` for a frame that contradicts itself; `upgrade` is as in `read_exactly`. Raises `RecordError` naming
    the file if one cannot be read, has a later version or other columns, is of another cell or does not pass.
    """
    parts: list[tuple[CellFile, pa.Table]] = []
    for file in files:
        if not file.expected:
            continue
        remedy = file.remedy
        table = read_exactly(file.path, remedy, schema, upgrade)
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
