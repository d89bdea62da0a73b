"""References that need no network, measured once for each dataset and seed of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd

from benchmark.cell.library import Library
from benchmark.planning.cells import Cell
from reports.records.folder import RunFolder
from reports.records.record import FURTHER, METRICS
from reports.records.references import REFERENCE_SCHEMA, read_references, write_references
from tasks.references import fit_references, reference_errors


def measure_references(
    cells: Sequence[Cell], library: Library, run: RunFolder, progress: Callable[[str, float], None]
) -> None:
    """Leave the errors of the references on the sets of each dataset and seed in the run folder.

    They are fitted to the frames that finetuning trains on: of a dataset of which a share is labelled, to that share.
    What the folder has is not measured again: it holds no other data.

    Args:
        cells: the plan.
        library: the data.
        run: the folder.
        progress: is told what is being measured, and how much of it is done.
    """
    known = read_references(run.references)
    there = set(zip(known["dataset"], known["seed"], strict=True))
    missing = {(cell.arm.dataset, cell.seed): cell.dataset for cell in cells}
    missing = {place: entry for place, entry in missing.items() if place not in there}
    tables = [known] if len(known) else []
    for done, ((dataset, seed), entry) in enumerate(missing.items()):
        progress(f"{dataset}, seed {seed}", done / len(missing))
        data, split, _ = library.load_sets(entry, seed)
        sets = {name: [data.samples[i] for i in frames] for name, frames in split.as_dict().items()}
        rows = [
            (dataset, seed, name, reference, metric, value)
            for reference, fitted in fit_references(sets["train"]).items()
            for name, samples in sets.items()
            for metric, value in reference_errors(fitted, samples).items()
            if metric in (*METRICS, *FURTHER) and math.isfinite(value)
        ]
        tables.append(pd.DataFrame(rows, columns=REFERENCE_SCHEMA.names))
        # After each: an interrupted run has what it waited for.
        write_references(pd.concat(tables, ignore_index=True), run.references)
