"""Errors of a finetuned potential on every set of frames: the first time that test frames are met."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch_geometric.data import Data

from benchmark.planning.cells import Cell
from benchmark.streams import stream_seed
from benchmark.training.loop import evaluate
from benchmark.training.modules.finetuning import FinetuneModule
from reports.records.folder import JobFolder
from reports.records.record import Record, write_records
from reports.records.samples import write_elements, write_predictions


def evaluate_cell(
    module: FinetuneModule,
    tested: Mapping[str, Sequence[Data]],
    extra: Mapping[str, Sequence[Data]],
    test_frames: NDArray[np.int64],
    origins: Sequence[tuple[str, int]] | None,
    row: Mapping[str, Any],
    cell: Cell,
    folder: JobFolder,
    device: str,
) -> None:
    """Write the record: a row for each checkpoint and set of frames.

    Errors by element and a sample of the predictions are left beside it.

    Args:
        module: the potential; its weights are those of the checkpoints in the folder.
        tested: normalised samples of the split's sets, by name.
        extra: those of further test sets, by name.
        test_frames: index in the dataset of each test frame, (F,).
        origins: the user's file of each frame of the dataset, and its index there; None if there is none.
        row: what the record says of the cell.
        cell: the cell.
        folder: its folder.
        device: ``cpu`` or ``cuda``.
    """
    sets: list[tuple[str, str | None, Sequence[Data]]] = [(name, None, samples) for name, samples in tested.items()]
    sets += [("extra", name, samples) for name, samples in extra.items()]
    rows, elements = [], []
    for checkpoint, (split, name, samples) in itertools.product(("best", "last"), sets):
        errors, found = evaluate(module, samples, cell.eval_batch_size, folder.checkpoint(checkpoint), device)
        place = {"split": split, "extra": name, "checkpoint": checkpoint}
        counts = {"n_frames": len(samples), "n_atoms": sum(sample.num_nodes for sample in samples)}
        rows.append(Record(**row, **errors, **place, **counts, status="ok"))
        elements.append(found.elements().assign(cell_key=cell.key, **place))
        if (split, checkpoint) == ("test", "best"):
            shown = found.predictions(test_frames, stream_seed(cell.seed, "predictions"))
            write_predictions(_with_origins(shown, origins).assign(cell_key=cell.key), folder.predictions)
    write_elements(pd.concat(elements, ignore_index=True), folder.elements)
    write_records(rows, folder.record)


def _with_origins(shown: pd.DataFrame, origins: Sequence[tuple[str, int]] | None) -> pd.DataFrame:
    """Predictions with the file that each frame is from and its index there, so that any can be looked up."""
    places = [(None, None) if origins is None else origins[frame] for frame in shown["frame"]]
    return shown.assign(
        file=pd.Series([file for file, _ in places], dtype=object),
        file_frame=pd.array([number for _, number in places], dtype="Int64"),
    )
