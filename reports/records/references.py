"""`references.parquet`: errors of references that need no network, on the sets of each dataset and seed.

One table a run folder, since references depend on the training frames alone, and all arms of a seed share them. A run
of before they were measured has none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from reports.records.atomic import RecordError
from reports.records.parquet import read_exactly, versioned, write_frame
from reports.records.record import FURTHER, METRICS

REFERENCES = ("null", "one molecule")
"""No force and the reference energies of the species; each molecule as if it were alone. A dataset may have only the
first."""

SPLITS = ("train", "val", "test")

REFERENCE_SCHEMA = versioned(
    1,
    [
        pa.field("dataset", pa.string(), nullable=False),  # name within the suite
        pa.field("seed", pa.int64(), nullable=False),  # of the cells whose sets these are
        pa.field("split", pa.string(), nullable=False),  # one of SPLITS
        pa.field("reference", pa.string(), nullable=False),  # one of REFERENCES
        pa.field("metric", pa.string(), nullable=False),  # one of METRICS or FURTHER of the records
        pa.field("value", pa.float64(), nullable=False),
    ],
)

PLACE = ["dataset", "seed", "split", "reference", "metric"]
"""What a value is of."""


def no_references() -> pd.DataFrame:
    """An empty table."""
    return REFERENCE_SCHEMA.empty_table().to_pandas()


def check_references(frame: pd.DataFrame) -> None:
    """Raise `RecordError` unless `frame` has the columns, values and uniqueness of a table of references."""
    if sorted(frame.columns) != sorted(REFERENCE_SCHEMA.names):
        given = sorted(frame.columns)
        raise RecordError(f"references have the columns {given}; exactly {REFERENCE_SCHEMA.names} are expected")
    for column, allowed in (("split", SPLITS), ("reference", REFERENCES), ("metric", (*METRICS, *FURTHER))):
        unknown = sorted(set(map(str, frame[column].unique())) - set(allowed))
        if unknown:
            raise RecordError(f"references: {column} {unknown[0]!r} is not known; allowed are {', '.join(allowed)}")
    wrong = frame[~np.isfinite(frame["value"])]
    if len(wrong):
        raise RecordError(f"references: a value is not finite for {dict(wrong[PLACE].iloc[0])}; leave it out")
    repeated = frame.duplicated(PLACE)
    if repeated.any():
        first = dict(frame.loc[repeated, PLACE].iloc[0])
        raise RecordError(f"references: two values for {first}; give one value a {', '.join(PLACE)}")


def write_references(frame: pd.DataFrame, path: Path) -> None:
    """Write a table of references to the Parquet file `path`, whole or not at all.

    Raises `RecordError` on missing or further columns, unknown splits, references or metrics, values that are not
    finite, or two values for one place.
    """
    check_references(frame)
    write_frame(frame, path, REFERENCE_SCHEMA)


def read_references(path: Path) -> pd.DataFrame:
    """The table of a run folder; an empty one where there is none.

    Raises `RecordError` naming the file if it cannot be read, has a later version or contradicts itself.
    """
    if not path.exists():
        return no_references()
    remedy = f"delete {path} and run again; references are measured anew"
    frame = read_exactly(path, remedy, REFERENCE_SCHEMA).to_pandas()
    try:
        check_references(frame)
    except RecordError as error:
        raise RecordError(f"{path}: {error}; {remedy}") from error
    return frame
