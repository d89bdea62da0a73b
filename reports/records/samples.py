"""What a cell may leave beside its record: errors by element, and a sample of its test predictions.

Both are Parquet files in the cell's folder, `elements.parquet` and `predictions.parquet`, written through this
module. Both are optional: a cell that was run before they existed has none, and reports say so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from reports.records.atomic import RecordError
from reports.records.parquet import versioned, write_frame

ELEMENT_SCHEMA = versioned(
    1,
    [
        pa.field("cell_key", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # one of SPLITS
        pa.field("checkpoint", pa.string(), nullable=False),  # one of CHECKPOINTS
        pa.field("extra", pa.string(), nullable=True),  # name of the further dataset, where split is `extra`
        pa.field("element", pa.int64(), nullable=False),  # atomic number
        pa.field("n_atoms", pa.int64(), nullable=False),  # atoms of the element, summed over the frames of the split
        pa.field("force_rmse_mev_per_A", pa.float64(), nullable=False),  # over the force components of these atoms
        pa.field("force_mae_mev_per_A", pa.float64(), nullable=False),
    ],
)
"""Force errors by element: one row a split, checkpoint and element. Exact over atoms."""

PREDICTION_SCHEMA = versioned(
    2,
    [
        pa.field("cell_key", pa.string(), nullable=False),
        pa.field("quantity", pa.string(), nullable=False),  # one of QUANTITY_UNITS
        pa.field("frame", pa.int64(), nullable=False),  # index of the frame in the dataset
        pa.field("file", pa.string(), nullable=True),  # the user's file that the frame is from; null if there is none
        pa.field("file_frame", pa.int64(), nullable=True),  # index of the frame in that file
        pa.field("atom", pa.int64(), nullable=True),  # index of the atom in the frame; null for energies
        pa.field("axis", pa.string(), nullable=True),  # one of AXES; null for energies
        pa.field("element", pa.int64(), nullable=True),  # atomic number; null for energies
        pa.field("reference", pa.float64(), nullable=False),
        pa.field("predicted", pa.float64(), nullable=False),
    ],
)
"""Reference and prediction: one row an energy (meV/atom, the training set's reference energies of the elements
removed) or a force component (meV/Å). Test split, best checkpoint; a random sample of at most `MOST_PREDICTIONS` a
cell. Axes are those of the dataset: where box vectors had to be turned (the first along x, the second in the xy plane),
they are not the file's. Schema 1 did not have `file`, `file_frame`, `atom` and `axis`."""

AXES = ("x", "y", "z")

SPLITS = ("train", "val", "test", "extra")
CHECKPOINTS = ("best", "last")
QUANTITY_UNITS = {"energy": "meV/atom", "force": "meV/Å"}
MOST_PREDICTIONS = {"energy": 1000, "force": 2000}
"""Largest number of predictions of each quantity that a cell leaves."""


def _check_columns(frame: pd.DataFrame, schema: pa.Schema, what: str) -> None:
    if sorted(frame.columns) != sorted(schema.names):
        raise RecordError(f"{what} have the columns {sorted(frame.columns)}; exactly {schema.names} are expected")
    for field in schema:
        if not field.nullable and frame[field.name].isna().any():
            raise RecordError(f"{what}: {field.name} is empty in some row; give it a value in each")


def _check_names(frame: pd.DataFrame, column: str, allowed: tuple[str, ...], what: str) -> None:
    unknown = sorted(set(map(str, frame[column].unique())) - set(allowed))
    if unknown:
        raise RecordError(f"{what}: {column} {unknown[0]!r} is not known; allowed are {', '.join(allowed)}")


def _check_elements(values: pd.Series, what: str) -> None:
    wrong = values[(values < 1) | (values > 118)]
    if len(wrong):
        raise RecordError(f"{what}: element {wrong.iloc[0]} given; atomic numbers are 1 to 118")


def check_elements(frame: pd.DataFrame) -> None:
    """Raise `RecordError` unless `frame` has the columns, values and uniqueness of errors by element."""
    what = "errors by element"
    _check_columns(frame, ELEMENT_SCHEMA, what)
    _check_names(frame, "split", SPLITS, what)
    _check_names(frame, "checkpoint", CHECKPOINTS, what)
    _check_elements(frame["element"], what)
    if ((frame["split"] == "extra") != frame["extra"].notna()).any():
        raise RecordError(f"{what}: `extra` names the further dataset where split is 'extra', and is empty elsewhere")
    if (frame["n_atoms"] < 1).any():
        raise RecordError(f"{what}: n_atoms below 1 given; leave out an element that does not occur")
    errors = frame[["force_rmse_mev_per_A", "force_mae_mev_per_A"]].to_numpy(dtype=float)
    if not np.isfinite(errors).all() or (errors < 0).any():
        raise RecordError(f"{what}: errors must be finite and not negative")
    place = ["cell_key", "split", "checkpoint", "extra", "element"]
    repeated = frame.duplicated(place)
    if repeated.any():
        raise RecordError(f"{what}: two rows for {dict(frame.loc[repeated, place].iloc[0])}; give one")


def check_predictions(frame: pd.DataFrame) -> None:
    """Raise `RecordError` unless `frame` has the columns and values of predictions, and not too many of a cell."""
    what = "predictions"
    _check_columns(frame, PREDICTION_SCHEMA, what)
    _check_names(frame, "quantity", tuple(QUANTITY_UNITS), what)
    _check_elements(frame["element"].dropna(), what)
    if ((frame["quantity"] == "force") != frame["element"].notna()).any():
        raise RecordError(f"{what}: a force has the element of its atom, an energy has none")
    for column in ("atom", "axis"):
        # What schema 1 left has neither.
        known = frame[column].notna()
        if (known & (frame["quantity"] != "force")).any() or (known != frame["axis"].notna()).any():
            raise RecordError(f"{what}: a force has the atom and the axis that it is of, an energy has none")
    _check_names(frame[frame["axis"].notna()], "axis", AXES, what)
    if (frame["file"].notna() != frame["file_frame"].notna()).any():
        raise RecordError(f"{what}: a file and the index of the frame in it are given together")
    if (frame["frame"] < 0).any():
        raise RecordError(f"{what}: frame {frame['frame'].min()} given; frames count from 0")
    values = frame[["reference", "predicted"]].to_numpy(dtype=float)
    if not np.isfinite(values).all():
        raise RecordError(f"{what}: reference and predicted must be finite; a cell that diverged leaves none")
    for quantity, most in MOST_PREDICTIONS.items():
        counts = frame.loc[frame["quantity"] == quantity, "cell_key"].value_counts()
        if len(counts) and counts.iloc[0] > most:
            raise RecordError(
                f"{what}: {counts.iloc[0]} of quantity {quantity!r} given for cell {counts.index[0]}; "
                f"sample at most {most}"
            )


def upgrade_predictions(table: pa.Table) -> pa.Table:
    """Predictions of schema 1, which say of no atom, axis or file, in the form of schema 2; others as they are."""
    new = ("file", "file_frame", "atom", "axis")
    if not table.schema.equals(pa.schema([field for field in PREDICTION_SCHEMA if field.name not in new])):
        return table
    columns = [
        pa.nulls(len(table), field.type) if field.name in new else table[field.name] for field in PREDICTION_SCHEMA
    ]
    return pa.table(columns, schema=PREDICTION_SCHEMA)


def write_elements(frame: pd.DataFrame, path: Path) -> None:
    """Write errors by element (columns of `ELEMENT_SCHEMA`) to the Parquet file `path`, whole or not at all.

    Raises `RecordError` on missing or further columns, unknown splits, checkpoints or elements, errors that are
    negative or not finite, or two rows for one place.
    """
    check_elements(frame)
    write_frame(frame, Path(path), ELEMENT_SCHEMA)


def write_predictions(frame: pd.DataFrame, path: Path) -> None:
    """Write predictions (columns of `PREDICTION_SCHEMA`) to the Parquet file `path`, whole or not at all.

    Raises `RecordError` on missing or further columns, unknown quantities or elements, values that are not
    finite, or more than `MOST_PREDICTIONS` of a quantity for one cell.
    """
    check_predictions(frame)
    write_frame(frame, Path(path), PREDICTION_SCHEMA)
