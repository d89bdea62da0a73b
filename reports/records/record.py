"""The schema of records and curves: what a cell leaves behind, field by field, and how it is written.

A *record* is one flat row a cell, split and checkpoint. A *curve* row is one value of one metric at one
epoch. Both are Parquet files, `record.parquet` and `curves.parquet` in the cell's folder; both are written through
this module and nowhere else.
"""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from reports.records.atomic import RecordError
from reports.records.parquet import CellFile, read_table, versioned, write_frame

METRICS = (
    "force_rmse_mev_per_A",
    "force_mae_mev_per_A",
    "energy_rmse_mev",
    "energy_mae_mev",
    "energy_rmse_mev_per_atom",
    "energy_mae_mev_per_atom",
)
"""The error columns of a record, in the order in which reports show them."""

FURTHER = (
    "energy_sd_mev",
    "energy_bias_mev",
    "molecule_force_rmse_mev_per_A",
    "molecule_torque_rmse_mev",
)
"""Further errors of a checkpoint on a split, which came after the first runs and may be missing; not among `METRICS`,
since curves and the tables of all errors do not have them, and a bias has a sign."""

HANDOVER = ("handover_force_rms", "handover_cosine", "handover_force_rmse_mev_per_A")
"""What finetuning started from: of a cell, the same in all its rows."""

JUDGED = {
    "rmse": ("force_rmse_mev_per_A", "energy_rmse_mev"),
    "mae": ("force_mae_mev_per_A", "energy_mae_mev"),
}
"""(force, energy) metric that a dataset is judged by, by what its plan says."""

CURVE_METRICS = ("loss", "learning_rate", *METRICS)
PHASES = ("pretrain", "finetune")
CURVE_SPLITS = ("train", "val")

Error = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]


class Record(BaseModel):
    """One row: the errors of one checkpoint of one cell on one split, with what the cell cost.

    A cell that ended as `diverged` or `failed` is exactly one row: `split`, `checkpoint` and all errors are
    None, `reason` says why. Errors are exact over the split: squares (or absolute values) are averaged over
    all force components of all atoms, respectively over all frames, never over batches.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    cell_key: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    """Hash of all that determines the cell: 12 hexadecimal digits."""
    suite: Name
    """Name of the suite."""
    scale: Name
    """Scale of the suite (how long, how wide)."""
    dataset: Name
    """Name of the dataset within the suite."""
    model: Name
    """Name of the model within the suite."""
    strategy: Name
    """Name of the arm: how the potential was pretrained, or not."""
    seed: Count
    """Seed from which split, initial weights, data order and corruption derive."""
    split: Literal["train", "val", "test", "extra"] | None
    """Frames on which the errors were measured; `extra` is a further dataset that was never trained on."""
    extra: Name | None = None
    """Name of that further dataset, where `split` is `extra`."""
    checkpoint: Literal["best", "last"] | None
    """`best`: lowest validation loss; `last`: end of finetuning."""
    force_rmse_mev_per_A: Error | None = None
    """Root mean square error over force components, meV/Å."""
    force_mae_mev_per_A: Error | None = None
    """Mean absolute error over force components, meV/Å."""
    energy_rmse_mev: Error | None = None
    """Root mean square error of the total energy, meV per structure (simulation box or molecule)."""
    energy_mae_mev: Error | None = None
    """Mean absolute error of the total energy, meV per structure (simulation box or molecule)."""
    energy_rmse_mev_per_atom: Error | None = None
    """Root mean square, over frames, of the energy error divided by the frame's number of atoms, meV/atom."""
    energy_mae_mev_per_atom: Error | None = None
    """Mean, over frames, of the absolute energy error divided by the frame's number of atoms, meV/atom."""
    energy_sd_mev: Error | None = None
    """Standard deviation over frames of the error of the total energy, meV per cell (simulation box or molecule): the
    RMSE without its constant, which neither dynamics nor relative energies feel. RMSE² = sd² + bias²."""
    energy_bias_mev: Finite | None = None
    """That constant: mean over frames of the error of the total energy, predicted less reference, meV per cell. It
    may be negative."""
    molecule_force_rmse_mev_per_A: Error | None = None
    """Root mean square error of the net forces on molecules, over their components, meV/Å: what molecules do to each
    other. None where a frame is one molecule, or molecules are not known."""
    molecule_torque_rmse_mev: Error | None = None
    """Root mean square error of the torques on molecules about their centres of mass, over their components, meV; None
    where the net forces have none."""
    handover_force_rms: Error | None = None
    """Root mean square of the forces predicted before the first step of finetuning, divided by that of the true forces,
    on validation frames: of the pretrained network, or of the untrained one without pretraining. A pretext may leave
    the scale of forces open, and one with a head of its own does not train their readout."""
    handover_cosine: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)] | None = None
    """Cosine between these forces and the true ones, all components of all validation frames as one vector; None where
    the network predicts none."""
    handover_force_rmse_mev_per_A: Error | None = None
    """Root mean square error of these forces, meV/Å."""
    effective_train_frames_energy: Error | None = None
    """How many independent frames those that finetuning trains on are worth by the autocorrelation of their energies;
    None where it is not known which frames follow each other."""
    effective_train_frames_structure: Error | None = None
    """The same by distances between oxygen atoms; None where there are no two."""
    n_frames: Count | None = None
    """Frames in the split."""
    n_atoms: Count | None = None
    """Atoms summed over the frames of the split."""
    n_parameters: Count | None = None
    """Trainable parameters of the potential that was finetuned."""
    pretraining_key: str | None = None
    """Key of the pretraining that the cell started from; None without pretraining in the run."""
    pretrained_file: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")] | None = None
    """Hash of the file of the pretrained body that the cell started from; None where none was given. Epochs, steps and
    seconds of pretraining are then what the file says, spent on the machine that made it; where it does not say,
    `pretrain_epochs` and `pretrain_steps` are 0 and `pretrain_seconds` is None."""
    split_hash: str | None = None
    """Hash of the index arrays of the split; equal hashes mean equal frames."""
    audit_seen_frames: Count | None = None
    """Leakage audit: frames that training and pretraining saw."""
    audit_checked_frames: Count | None = None
    """Leakage audit: validation and test frames that were looked for among them, by identity and by geometry."""
    audit_duplicates: Count | None = None
    """Leakage audit: how many of those were found. More than 0 fails the cell."""
    audit_nearest_frames: Count | None = None
    """Smallest distance between a test and a training frame of one trajectory, in frames of the trajectory as it was
    simulated; None where test and training frames share no trajectory, or none is known."""
    audit_unknown: Count | None = None
    """Leakage audit: pretrainings whose structures could not be looked through, as the file that they came in does not
    say which these were; 0 where all are known. None in records of before there were such files."""
    pretrain_epochs: Count
    """Epochs of pretraining; 0 without."""
    finetune_epochs: Count
    """Epochs of finetuning (of training, without pretraining)."""
    pretrain_steps: Count
    """Optimizer steps of pretraining; of a pretraining on the pool of several datasets, this dataset's part: the whole
    divided by their number."""
    finetune_steps: Count
    """Optimizer steps of finetuning."""
    pretrain_seconds: Seconds | None = None
    """Wall time of pretraining, s; of a pretraining on the pool of several datasets, this dataset's part: the whole
    divided by their number. One that cells share otherwise is counted in each of them."""
    label_seconds: Seconds | None = None
    """Processor time of making the labels that pretraining learned, s on one core; this cell's part as of
    `pretrain_seconds`. None where none were made for it."""
    finetune_seconds: Seconds | None = None
    """Wall time of finetuning, s."""
    best_epoch: Count | None = None
    """Finetuning epoch (from 1) of the best checkpoint."""
    peak_memory_mb: Error | None = None
    """Largest memory use while training, MB: of the accelerator if there was one, else of the process."""
    computed: Annotated[str, Field(pattern=r"^(eager|compiled|captured)(, \d+ devices)?$")] | None = None
    """How the steps of finetuning were computed: `eager`, by torch's operations one by one, `compiled`, by one that
    torch compiled of them, or `captured`, by a GPU's recording of them; `eager, 2 devices` on that many at a time,
    each for a part of every batch. Sums are taken in another order, so trajectories differ as they do between
    processors; errors are always computed eagerly. None in records of versions that knew only `eager`, and without
    any step."""
    status: Literal["ok", "diverged", "failed"]
    """How the cell ended."""
    reason: str | None = None
    """Why the cell diverged or failed; None for `ok`."""

    @model_validator(mode="after")
    def _status_agrees(self) -> Record:
        if (self.split == "extra") != (self.extra is not None):
            raise ValueError(f"cell {self.cell_key}: split {self.split!r} and extra {self.extra!r}; both or neither")
        if self.status == "ok":
            wrong = [name for name in ("split", "checkpoint") if getattr(self, name) is None]
            if wrong or self.reason is not None:
                raise ValueError(
                    f"cell {self.cell_key} has status ok: it needs split and checkpoint and no reason, but "
                    f"split={self.split!r}, checkpoint={self.checkpoint!r}, reason={self.reason!r}"
                )
            return self
        filled = [name for name in ("split", "checkpoint", *METRICS, *FURTHER) if getattr(self, name) is not None]
        if filled or not (self.reason or "").strip():
            raise ValueError(
                f"cell {self.cell_key} has status {self.status}: its one row needs a reason and "
                f"leaves split, checkpoint and errors empty, but reason={self.reason!r} and filled are "
                f"{filled or 'none'}"
            )
        return self


def _arrow_type(annotation: Any) -> pa.DataType:
    """Arrow type of a field's annotation: the first leaf of `Annotated`, `Literal` and `X | None`."""
    while arguments := get_args(annotation):
        annotation = arguments[0]
    leaf = annotation if isinstance(annotation, type) else type(annotation)
    return {str: pa.string(), int: pa.int64(), float: pa.float64()}[leaf]


RECORD_SCHEMA = versioned(
    1,
    [
        pa.field(name, _arrow_type(info.annotation), nullable=types.NoneType in get_args(info.annotation))
        for name, info in Record.model_fields.items()
    ],
)

CURVE_SCHEMA = versioned(
    1,
    [
        pa.field("cell_key", pa.string(), nullable=False),
        pa.field("phase", pa.string(), nullable=False),  # one of PHASES
        pa.field("epoch", pa.int64(), nullable=False),  # from 1 within the phase
        pa.field("step", pa.int64(), nullable=False),  # optimizer steps within the phase
        pa.field("seconds", pa.float64(), nullable=False),  # training seconds within the phase
        pa.field("split", pa.string(), nullable=False),  # one of CURVE_SPLITS
        pa.field("metric", pa.string(), nullable=False),  # one of CURVE_METRICS, which name their units
        pa.field("value", pa.float64(), nullable=True),  # null is NaN: the last word of a diverged cell
    ],
)

_ROWS = TypeAdapter(list[Record])


def records_frame(rows: Sequence[Record]) -> pd.DataFrame:
    """Rows as a DataFrame with the columns of `Record`; whole numbers are `Int64`, which knows None."""
    table = pa.Table.from_pylist([row.model_dump() for row in rows], schema=RECORD_SCHEMA)
    return table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)


def check_rows(rows: Sequence[Record]) -> None:
    """Raise `RecordError` unless a cell has one row a set of frames and checkpoint, or one if it did not end ok."""
    if not rows:
        raise RecordError("no row was given: a finished cell leaves at least one record; write its rows together")
    places = Counter((row.cell_key, row.split, row.checkpoint, row.extra) for row in rows)
    repeated = [place for place, count in places.items() if count > 1]
    if repeated:
        raise RecordError(f"rows given twice for (cell, split, checkpoint, extra) {repeated[0]}: give each once")
    cells = Counter(row.cell_key for row in rows)
    for row in rows:
        if row.status != "ok" and cells[row.cell_key] > 1:
            raise RecordError(
                f"cell {row.cell_key} has status {row.status} and {cells[row.cell_key]} rows: a cell that "
                "did not end ok is exactly one row; leave the others out"
            )


def check_curves(frame: pd.DataFrame) -> None:
    """Raise `RecordError` unless `frame` has the columns, values and uniqueness of a curves table."""
    names = CURVE_SCHEMA.names
    if sorted(frame.columns) != sorted(names):
        raise RecordError(f"curves have the columns {sorted(frame.columns)}; exactly {names} are expected")
    for column, allowed in (("phase", PHASES), ("split", CURVE_SPLITS), ("metric", CURVE_METRICS)):
        unknown = sorted(set(map(str, frame[column].unique())) - set(allowed))
        if unknown:
            raise RecordError(f"curves: {column} {unknown[0]!r} is not known; allowed are {', '.join(allowed)}")
    needed = frame[[name for name in names if name != "value"]]
    if needed.isna().to_numpy().any():
        column = needed.columns[needed.isna().any()][0]
        raise RecordError(f"curves: {column} is empty in some row; only value may be (for NaN)")
    if len(frame) and frame["epoch"].min() < 1:
        raise RecordError(f"curves: epoch {frame['epoch'].min()} given; epochs count from 1 within their phase")
    if len(frame) and (
        frame["step"].min() < 0 or not np.isfinite(frame["seconds"]).all() or frame["seconds"].min() < 0
    ):
        raise RecordError("curves: step and seconds must be finite and not negative")
    place = ["cell_key", "phase", "epoch", "split", "metric"]
    repeated = frame.duplicated(place)
    if repeated.any():
        first = dict(frame.loc[repeated, place].iloc[0])
        raise RecordError(f"curves: two values for {first}; give one value a cell, phase, epoch, split and metric")


def write_records(rows: Sequence[Record], path: Path) -> None:
    """Write the rows of one or more cells to the Parquet file `path`, whole or not at all.

    Raises `RecordError` if a (cell, split, checkpoint, extra) is given twice, if a diverged or failed cell has more
    than one row, or if there is no row.
    """
    check_rows(rows)
    write_frame(records_frame(rows), Path(path), RECORD_SCHEMA)


def write_curves(frame: pd.DataFrame, path: Path) -> None:
    """Write a curves table (columns of `CURVE_SCHEMA`) to the Parquet file `path`, whole or not at all.

    Raises `RecordError` on missing or further columns, unknown phases, splits or metrics, epochs below 1, or
    two values for one place.
    """
    check_curves(frame)
    write_frame(frame, Path(path), CURVE_SCHEMA)


def read_records(files: Sequence[CellFile]) -> list[Record]:
    """Records of the files that exist, in order.

    Raises `RecordError` naming the file if one cannot be read, has a later version, does not fit the schema,
    contradicts itself or is of another cell.
    """
    rows: list[dict[str, Any]] = []
    owners: list[CellFile] = []
    for file in files:
        if file.expected:
            found = read_table(file.path, file.remedy, RECORD_SCHEMA).to_pylist()
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
        place = (row.cell_key, row.dataset, row.model, row.strategy, row.seed)
        if place != (cell.key, *cell.arm, cell.seed):
            raise RecordError(
                f"{file.path} is the record of cell {place}, not of {(cell.key, *cell.arm, cell.seed)}: {file.remedy}"
            )
    if records:
        try:
            check_rows(records)
        except RecordError as error:
            # The message names the cell; its file is found by the same name.
            file = next((file for file in owners if file.cell.key in str(error)), owners[0])
            raise RecordError(f"{file.path}: {error}; {file.remedy}") from error
    return records
