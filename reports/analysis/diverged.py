"""Cells that diverged although every number in them is finite."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from reports.analysis.escape import METRIC
from reports.records.record import FURTHER, METRICS
from reports.records.references import REFERENCES
from reports.records.run import Run

FAR = 10.0
"""Times the validation error of predicting no force: what ends above it has not just learned nothing, it ran away."""


def with_diverged(run: Run) -> Run:
    """The run, with cells whose forces ran away as the diverged ones that they are: one row each, without errors.

    Training ends a cell as diverged where a loss is not finite. Forces may also be 10¹⁰ times too large and stay so.
    The best checkpoint's force RMSE on validation frames decides, no test frame; a cell whose null is not known stays.
    """
    records, nulls = run.records, run.references
    null = nulls[(nulls["reference"] == REFERENCES[0]) & (nulls["split"] == "val") & (nulls["metric"] == METRIC)]
    ended = (records["status"] == "ok") & (records["split"] == "val") & (records["checkpoint"] == "best")
    cells = records.loc[ended, ["cell_key", "dataset", "seed", METRIC]]
    cells = cells.merge(null[["dataset", "seed", "value"]], on=["dataset", "seed"])
    times = (cells[METRIC] / cells["value"]).set_axis(cells["cell_key"])
    far = times[times >= FAR]
    if far.empty:
        return run
    gone = records["cell_key"].isin(far.index)
    rows = records[gone].drop_duplicates("cell_key")
    reasons = [
        f"its validation force error is {times:.2g} times that of no force at all" for times in far[rows["cell_key"]]
    ]
    rows = rows.assign(status="diverged", reason=reasons)
    rows[["split", "checkpoint", *METRICS, *FURTHER]] = None
    rows = rows.astype(records.dtypes)
    return replace(run, records=pd.concat([records[~gone], rows], ignore_index=True))
