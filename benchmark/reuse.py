"""Cells and pretrainings that another run has finished, taken over instead of being computed again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.cell import Settings, identity
from benchmark.files import read_json, write_json
from benchmark.jobs import Job, make_jobs
from benchmark.plan import PlannedCell
from reports.records import RECORD_SCHEMA, write_frame


def take_over(
    cells: Sequence[PlannedCell], settings: Settings, earlier: Sequence[Path], data: Mapping[str, dict[str, Any]]
) -> None:
    """Copy what earlier runs have finished and this one still needs; an equal key says that it is the same work.

    The copy keeps the provenance of the run that computed it, and names that run.

    Args:
        cells: the plan of this run.
        settings: this run's.
        earlier: run folders; the first that has finished a job gives it.
        data: provenance of the data that is there now, by the suite's names; work on other data is left alone.
    """
    described = {cell.cell.key: data[cell.dataset] for cell in cells}
    described |= {cell.cell.pretraining.key: data[cell.dataset] for cell in cells if cell.cell.pretraining is not None}
    for job in make_jobs(cells, settings):
        if job.finished:
            continue
        for run in earlier:
            source = replace(job, settings=replace(settings, run=run.absolute()))
            provenance = read_json(source.folder.provenance) or {}
            if source.finished and provenance.get("dataset") == described[job.key]:
                _copy(source, job, provenance)
                break


def _copy(source: Job, job: Job, provenance: dict[str, Any]) -> None:
    """Copy a finished job's folder; it appears at its place when it is whole."""
    target = job.folder.path
    staged = target.with_name(f".{target.name}.staged")
    shutil.rmtree(staged, ignore_errors=True)
    staged.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source.folder.path, staged)
    if isinstance(job.work, PlannedCell):
        # The same work may have other names in another suite.
        rows = pd.read_parquet(staged / "record.parquet").assign(**identity(job.work, job.settings))
        write_frame(rows, staged / "record.parquet", RECORD_SCHEMA)
    write_json(staged / "provenance.json", {**provenance, "taken_over_from": str(source.settings.run)})
    shutil.rmtree(target, ignore_errors=True)
    staged.rename(target)
