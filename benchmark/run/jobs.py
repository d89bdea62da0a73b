"""The work that a plan still needs, as jobs that an executor can run anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.cell.cell import Settings, record_unfinished, run_cell, run_pretraining
from benchmark.cell.store import FINISHED, JobFolder, RunFolder, Unfinished
from benchmark.planning.plan import PlannedCell, Pretraining


@dataclass(frozen=True)
class Job:
    """A pretraining or a cell; can be pickled and sent to a worker.

    Attributes:
        name: for people.
        work: what to run.
        settings: where and how.
        needs: the pretraining that must be there first, if any.
    """

    name: str
    work: Pretraining | PlannedCell
    settings: Settings
    needs: str | None = None

    @property
    def key(self) -> str:
        """Key of the work, unique among jobs."""
        return self.work.key if isinstance(self.work, Pretraining) else self.work.cell.key

    @property
    def epochs(self) -> int:
        """Length of the fit."""
        return self.work.phase.epochs if isinstance(self.work, Pretraining) else self.work.cell.phase.epochs

    @property
    def folder(self) -> JobFolder:
        """Where the job leaves what it made."""
        run = RunFolder(self.settings.run)
        return run.pretraining(self.key) if isinstance(self.work, Pretraining) else run.cell(self.key)

    @property
    def finished(self) -> bool:
        """Whether an earlier or this run brought it to an end that is not tried again."""
        return self.folder.status()["state"] in FINISHED

    def run(self) -> None:
        """Do the work in this process; errors end up in the job's status and record."""
        if isinstance(self.work, Pretraining):
            run_pretraining(self.work, self.settings)
        else:
            run_cell(self.work, self.settings)

    def give_up(self, reason: str, state: Unfinished = "failed") -> None:
        """Note that the job cannot be done, or that its worker died."""
        if isinstance(self.work, Pretraining):
            self.folder.set_status(state, reason)
        else:
            record_unfinished(self.work, self.settings, state, reason)


def pending_jobs(cells: Sequence[PlannedCell], settings: Settings) -> list[Job]:
    """The jobs that are left to do: unfinished ones, and of pretrainings only those that such a cell needs."""
    left = [job for job in make_jobs(cells, settings) if not job.finished]
    needed = {job.needs for job in left}
    return [job for job in left if isinstance(job.work, PlannedCell) or job.key in needed]


def make_jobs(cells: Sequence[PlannedCell], settings: Settings) -> list[Job]:
    """All jobs of a plan, each pretraining once and before the cells that need it; longest first within a seed."""
    pretrainings: dict[str, Job] = {}
    finetunings = []
    for planned in cells:
        pretraining = planned.cell.pretraining
        if pretraining is not None and pretraining.key not in pretrainings:
            data = planned.dataset if len(pretraining.parts) == 1 else f"{len(pretraining.parts)} datasets"
            name = f"{data}/{planned.model}/{pretraining.pretext.kind} pretraining/seed {pretraining.seed}"
            pretrainings[pretraining.key] = Job(name, pretraining, settings)
        finetunings.append(Job(planned.name, planned, settings, needs=pretraining.key if pretraining else None))
    jobs = [*pretrainings.values(), *finetunings]
    # A seed is completed before the next one begins, so that a partial run holds whole pairs.
    return sorted(jobs, key=lambda job: (_seed(job), not isinstance(job.work, Pretraining), -job.epochs))


def _seed(job: Job) -> int:
    return job.work.seed if isinstance(job.work, Pretraining) else job.work.cell.seed
