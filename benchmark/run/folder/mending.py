"""What a crash, a power cut or a hand has damaged in a run folder: set aside before a run, and done again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmark.cell.job import Job, Settings
from benchmark.planning.cells import Cell
from benchmark.run.jobs import make_jobs
from benchmark.training.weights import read_weights
from reports.records.atomic import RecordError, set_aside, sweep
from reports.records.check import all_readable, failing
from reports.records.folder import JobFolder, RunFolder
from reports.records.status import FINISHED

TOGETHER = 100
"""Finished cells whose files are looked at together; those of all would fill the memory."""


def mend(cells: Sequence[Cell], settings: Settings) -> list[str]:
    """Set aside what cannot be read of earlier sittings, so that those jobs, and no others, are done again.

    A job resumes from its checkpoints if both are whole and its own, else it starts over. One that ended counts as
    finished only if its files can be read; of pretrainings, only those that are still needed are looked at.

    What writers left that were killed is removed.

    Returns:
        What was set aside, a sentence each.

    Raises:
        LaterSchemaError: for a file of a later version, which is not damaged.
    """
    jobs = make_jobs(cells, settings)
    for place in (settings.run.path, *(job.folder.path for job in jobs)):
        sweep(place)
    readable = _readable(cells, settings.run)
    notes = [note for job in jobs if job.cells for note in _mend(job, job.key in readable)]
    needed = {job.needs for job in jobs if job.cells and not job.finished}
    notes += [note for job in jobs if job.key in needed for note in _mend(job, False)]
    run = settings.run
    return notes + [
        f"{error} ({set_aside(path).name})" for path, error in failing({run.audit: run.read_audits}).items()
    ]


def _readable(cells: Sequence[Cell], run: RunFolder) -> set[str]:
    """Keys of finished cells whose files are all in order, of which many are looked at together."""

    def ended(place: JobFolder) -> bool:
        return not failing({place.status_file: place.status}) and place.status().state in FINISHED

    found = [(cell.planned(), run.cell(cell.key)) for cell in cells if ended(run.cell(cell.key))]
    parts = [found[first : first + TOGETHER] for first in range(0, len(found), TOGETHER)]
    return {cell.key for part in parts if all_readable(part) for cell, _ in part}


def _mend(job: Job, readable: bool) -> list[str]:
    folder = job.folder
    last, best = folder.checkpoint("last"), folder.checkpoint("best")
    found = failing({folder.status_file: folder.status, folder.provenance: folder.read_provenance})
    finished = folder.status_file not in found and job.finished
    if finished:
        found |= {} if readable else job.unreadable(job.folder)
        if not folder.provenance.exists():
            found[folder.provenance] = RecordError(f"{folder.provenance} is missing: {folder.remedy}")
    if (found or not finished) and last.exists():
        found |= failing({path: partial(read_weights, path, job.key, folder.remedy) for path in (last, best)})
    notes = [_describe(job, path, error) for path, error in found.items()]
    if found.keys() & {last, best, folder.provenance}:
        # One checkpoint without the other, or without a word on what made it, is nothing to resume from.
        notes += [f"{path} is set aside as {set_aside(path).name} as well" for path in (last, best) if path.exists()]
    if finished and found:
        folder.set_status("pending")
    return notes


def _describe(job: Job, path: Path, error: RecordError) -> str:
    """Set a file aside, and say so in place of the remedy of the error."""
    what = f"it is set aside as {set_aside(path).name}, and " if path.exists() else ""
    return str(error).replace(job.folder.remedy, f"{what}{job.name} is done again")
