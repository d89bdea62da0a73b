"""The work that a plan still needs, as jobs that an executor can run anywhere."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.cell.cell import CellJob
from benchmark.cell.job import Job, Settings
from benchmark.cell.pretraining import PretrainingJob
from benchmark.planning.cells import Cell


def pending_jobs(cells: Sequence[Cell], settings: Settings, retry_failed: bool = True) -> list[Job]:
    """The jobs that are left to do: unfinished ones, and of pretrainings only those that such a cell needs.

    A failure may have been the machine's: cells that failed are among them, unless they are not to be tried again.
    """
    left = [job for job in make_jobs(cells, settings) if not job.finished]
    if not retry_failed:
        left = [job for job in left if not job.cells or job.folder.status().state != "failed"]
    needed = {job.needs for job in left}
    return [job for job in left if job.cells or job.key in needed]


def make_jobs(cells: Sequence[Cell], settings: Settings) -> list[Job]:
    """All jobs of a plan, each pretraining once and before the cells that need it; longest first within a seed."""
    pretrainings = {cell.pretraining.key: cell.pretraining for cell in reversed(cells) if cell.pretraining is not None}
    jobs: list[Job] = [PretrainingJob(pretraining, settings) for pretraining in reversed(pretrainings.values())]
    jobs += [CellJob(cell, settings) for cell in cells]
    # A seed is completed before the next one begins, so that a partial run holds whole pairs.
    return sorted(jobs, key=lambda job: (job.seed, job.cells, -job.epochs))
