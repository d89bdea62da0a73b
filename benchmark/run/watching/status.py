"""How far the jobs of a run folder are."""

from __future__ import annotations

import time
from pathlib import Path

from benchmark.run.length.duration import duration
from reports.records.folder import RunFolder
from reports.records.plan import PlannedCell
from reports.records.status import Status

SILENT_AFTER_S = 300.0
"""A running job that has noted nothing for so long is named: it may hang, or nobody may be at work on it any more."""


def read_statuses(path: Path) -> list[tuple[PlannedCell, Status]]:
    """Cells, each after the pretraining that it needs (as a row of its own), with their states.

    Raises:
        RecordError: if the folder holds no run, or a file in it is damaged.
    """
    run = RunFolder(path)
    found: dict[str, tuple[PlannedCell, Status]] = {}
    for cell in run.read_plan().cells:
        key = cell.pretraining_key
        if key is not None and key not in found:
            pretraining = cell.model_copy(update={"key": key, "strategy": f"pretraining for {cell.strategy}"})
            found[key] = pretraining, run.pretraining(key).status()
        found[cell.key] = cell, run.cell(cell.key).status()
    return list(found.values())


def describe_status(status: Status) -> str:
    """Phase, epoch, loss, force RMSE and time left of a running job, as far as they are known, and a long silence."""
    parts = []
    if status.epoch is not None:
        parts.append(f"{status.phase or 'fit'} epoch {status.epoch}/{status.epochs}")
    if status.loss is not None:
        parts.append(f"loss {status.loss:.3g}")
    if status.force_rmse_mev_per_A is not None:
        parts.append(f"validation force RMSE {status.force_rmse_mev_per_A:.1f} meV/Å")
    if status.seconds_left is not None:
        parts.append(f"{duration(status.seconds_left)} left")
    silence = time.time() - status.updated
    if status.state == "running" and status.updated and silence > SILENT_AFTER_S:
        parts.append(f"no progress noted for {duration(silence)}")
    return ", ".join(parts) or status.state
