"""A pretraining: structures -> pretext -> weights, which the cells that need it share."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmark.cell.checking.checks import describe
from benchmark.cell.job import Attempt, Job, Settings
from benchmark.cell.library import Library, pool_structures
from benchmark.planning.cells import Pretraining
from benchmark.planning.config import Finetune
from benchmark.planning.reading import build
from benchmark.training.modules.finetuning import FinetuneModule
from benchmark.training.modules.potential import PotentialModule
from benchmark.training.modules.pretraining import PretrainModule
from benchmark.training.weights import read_weights, write_weights
from reports.records.atomic import RecordError, write_json
from reports.records.check import failing
from reports.records.folder import JobFolder
from reports.records.status import PretrainingResult
from tasks.models.base import Potential
from tasks.normalisation import Normalisation
from tasks.pretexts.base import Pretext, PretrainingTask
from tasks.registry import PRETEXTS


def pretraining_module(
    work: Pretraining, potential: Potential, task: PretrainingTask, scale_eV: float
) -> PotentialModule:
    """What pretrains: a pretext on bare structures, or energies and forces in units of a scale."""
    if isinstance(task, Pretext):
        return PretrainModule(potential, work.phase, task, work.seed, work.rotation_seed)
    weights = task.config.model_dump(include={"loss", "force_weight", "energy_weight"})
    return FinetuneModule(potential, Finetune(**work.phase.model_dump(), **weights), scale_eV, work.rotation_seed)


class PretrainingJob(Job):
    """Trains a potential on a pretext over training structures; leaves its weights, curves and cost."""

    phase: ClassVar[str] = "pretrain"
    cells: ClassVar[int] = 0

    def __init__(self, pretraining: Pretraining, settings: Settings) -> None:
        super().__init__(pretraining, settings)
        self.pretraining = pretraining

    @property
    def name(self) -> str:
        """See ``Job.name``."""
        return self.pretraining.name

    @property
    def folder(self) -> JobFolder:
        """See ``Job.folder``."""
        return self.settings.run.pretraining(self.key)

    def _work(self, attempt: Attempt) -> None:
        library = Library(self.settings.data_dir)
        pretext = build(PRETEXTS, self.pretraining.pretext)
        pool = pool_structures(self.pretraining.parts, pretext, self.seed, library)
        potential = self._fresh_potential()
        self.add_provenance(
            split_hashes=pool.split_hashes,
            datasets=[describe(library.load(part)) for part in self.pretraining.parts],
            contents=library.contents(self.pretraining.parts),
            frames={"train": len(pool.split.train), "val": len(pool.split.val), "left_out": pool.left_out},
        )
        samples, scale_eV = pool.samples, 1.0
        if not isinstance(pretext, Pretext):  # labels, in units of their own training set
            normalisation = Normalisation.fit([samples[i] for i in pool.split.train])
            self.add_provenance(normalisation=normalisation.describe())
            samples = [normalisation.normalise(sample) for sample in samples]
            scale_eV = normalisation.scale_eV
        module = pretraining_module(self.pretraining, potential, pretext, scale_eV)
        done = self._fit(module, samples, pool.split, pool.epoch_frames, attempt)
        write_weights(potential.cpu().state_dict(), self.folder.potential, self.key)
        result = PretrainingResult(
            key=self.key,
            pretrain_steps=done.steps,
            pretrain_seconds=done.seconds,
            label_seconds=pool.label_seconds or None,
        )
        write_json(self.folder.result, result.model_dump(by_alias=True, exclude_none=True))

    def unreadable(self, folder: JobFolder) -> dict[Path, RecordError]:
        """See ``Job.unreadable``."""
        return failing(
            {
                folder.potential: lambda: read_weights(folder.potential, self.key, folder.remedy),
                folder.result: lambda: folder.read_result(self.key),
            }
        )
