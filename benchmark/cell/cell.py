"""A cell: data -> (pretrained) potential -> finetuning -> evaluation -> record."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pyarrow.parquet as pq
from torch_geometric.data import Data

from benchmark.cell.checking.audits import audit_of
from benchmark.cell.checking.checks import describe
from benchmark.cell.checking.given import describe_given, open_given
from benchmark.cell.evaluation import evaluate_cell
from benchmark.cell.handover import handover
from benchmark.cell.job import Attempt, Job, Settings
from benchmark.cell.library import Library
from benchmark.cell.memory import forget_peak, peak_memory_mb
from benchmark.cell.transfer import take_over
from benchmark.planning.cells import Cell
from benchmark.planning.reading import build
from benchmark.training.callbacks import CurveRecorder
from benchmark.training.modules.auxiliary import AuxiliaryModule
from benchmark.training.modules.finetuning import FinetuneModule
from benchmark.training.weights import read_weights
from reports.records.atomic import RecordError
from reports.records.check import unreadable_files
from reports.records.folder import JobFolder
from reports.records.record import Record, write_curves, write_records
from reports.records.status import Unfinished
from tasks.correlation import describe_correlation
from tasks.models.base import Potential
from tasks.normalisation import Normalisation
from tasks.registry import PRETEXTS

WORTH = {"energy": "effective_train_frames_energy", "oxygen_distances": "effective_train_frames_structure"}
"""Observable of `describe_correlation` -> the record's column of what training frames are worth by it."""

NO_COST: dict[str, Any] = {"pretrain_steps": 0, "pretrain_seconds": 0.0, "finetune_steps": 0}
"""What a record says of training before there was any."""


def finetuning_module(cell: Cell, potential: Potential, scale_eV: float) -> FinetuneModule:
    """What finetunes: energies and forces, with an auxiliary pretext if the arm has one."""
    auxiliary, rotate = cell.auxiliary, cell.rotation_seed
    if auxiliary is None:
        return FinetuneModule(potential, cell.phase, scale_eV, rotate)
    pretext = build(PRETEXTS, auxiliary)
    return AuxiliaryModule(potential, cell.phase, scale_eV, pretext, auxiliary.weight, cell.seed, rotate)


class CellJob(Job):
    """Finetunes and tests; leaves the record, whatever happens."""

    phase: ClassVar[str] = "finetune"
    cells: ClassVar[int] = 1

    def __init__(self, cell: Cell, settings: Settings) -> None:
        super().__init__(cell, settings)
        self.cell = cell

    @property
    def name(self) -> str:
        """See ``Job.name``."""
        return self.cell.name

    @property
    def needs(self) -> str | None:
        """See ``Job.needs``."""
        return self.cell.pretraining.key if self.cell.pretraining else None

    @property
    def folder(self) -> JobFolder:
        """See ``Job.folder``."""
        return self.settings.run.cell(self.key)

    @property
    def _pretrained(self) -> JobFolder | None:
        return self.settings.run.pretraining(self.needs) if self.needs else None

    def _work(self, attempt: Attempt) -> None:
        cell, library = self.cell, Library(self.settings.data_dir)
        before = (self._pretrained.read_provenance() if self._pretrained else None) or {}
        forget_peak(self.settings.device)
        attempt.facts.update(NO_COST)
        attempt.facts.update(audit_of(cell, library, self.settings.run))
        dataset, split, whole = library.load_sets(cell.dataset, cell.seed)
        attempt.facts["split_hash"] = split.hash()
        normalisation = Normalisation.fit([dataset.samples[i] for i in split.train])
        used = {frame for frames in split.as_dict().values() for frame in frames}
        # Others may be of what training says nothing of.
        samples = [normalisation.normalise(s) if i in used else s for i, s in enumerate(dataset.samples)]
        potential = self._start(attempt.facts, [samples[i] for i in split.train])
        validation = [samples[i] for i in split.val]
        attempt.facts.update(
            handover(potential, validation, normalisation.scale_eV, cell.eval_batch_size, self.settings.device)
        )
        worth = describe_correlation(dataset, {"train": split.train})
        attempt.facts.update({column: worth[name]["train"] for name, column in WORTH.items() if name in worth})
        self.add_provenance(
            split_hash=attempt.facts["split_hash"],
            normalisation=normalisation.describe(),
            dataset=describe(dataset),
            contents=[*library.contents(cell.own), *before.get("contents", [])],
            pretraining_frames=before.get("frames"),
        )
        module = finetuning_module(cell, potential, normalisation.scale_eV)
        done = self._fit(module, samples, split, whole, attempt)
        attempt.facts.update(
            finetune_steps=done.steps,
            finetune_seconds=done.seconds,
            best_epoch=done.best_epoch,
            peak_memory_mb=peak_memory_mb(self.settings.device),
        )
        tested = {name: [samples[i] for i in frames] for name, frames in split.as_dict().items()}
        extra = {
            name: [normalisation.normalise(sample) for sample in library.load(entry).samples]
            for name, entry in cell.dataset.extra_tests.items()
        }
        row = {**self._names(), **attempt.facts}
        frames, origins = split.test, dataset.origins
        evaluate_cell(module, tested, extra, frames, origins, row, cell, self.folder, self.settings.device)

    def _start(self, facts: dict[str, Any], training: list[Data]) -> Potential:
        """The potential that finetuning starts from; what it cost so far is added to the facts.

        Args:
            facts: receive the cost.
            training: the normalised samples of the training set.
        """
        potential = self._fresh_potential()
        facts["n_parameters"] = sum(p.numel() for p in potential.parameters())
        pretrained, given, state = self._pretrained, self.cell.given, None
        if pretrained is not None:
            assert self.cell.pretraining is not None
            key, sharers = self.cell.pretraining.key, self.cell.pretraining.sharers
            cost = pretrained.read_result(key)
            # Of a shared pretraining each dataset bears its part.
            facts["pretrain_seconds"] = cost.pretrain_seconds / sharers
            facts["pretrain_steps"] = round(cost.pretrain_steps / sharers)
            if cost.label_seconds is not None:
                facts["label_seconds"] = cost.label_seconds / sharers
            state = read_weights(pretrained.potential, key, pretrained.remedy)["state_dict"]
        elif given is not None:
            body = open_given(given)
            facts["pretrained_file"] = given.content_hash
            # What the file does not say is not known; it is not nothing.
            facts["pretrain_seconds"] = body.spent.seconds if body.spent else None
            if body.spent is not None:
                facts["pretrain_steps"], facts["label_seconds"] = body.spent.steps, body.spent.label_seconds
            self.add_provenance(pretrained_file=describe_given(given, body))
            state = body.weights
        if state is not None:
            factor = take_over(potential, state, self.cell.transfer, training, self.cell.eval_batch_size, self.seed)
            if factor is not None:
                self.add_provenance(transfer_factor=factor)
        return potential

    def unreadable(self, folder: JobFolder) -> dict[Path, RecordError]:
        """See ``Job.unreadable``."""
        return unreadable_files(self.cell.planned(), folder)

    def give_up(self, reason: str, state: Unfinished = "failed", facts: dict[str, Any] | None = None) -> None:
        """Leave the one row of a cell that diverged or failed: never a gap."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        row = {**self._names(), **NO_COST, **(facts or {})}
        write_records([Record(**row, status=state, reason=reason, split=None, checkpoint=None)], self.folder.record)
        super().give_up(reason, state)

    def relabel(self, folder: Path) -> None:
        """See ``Job.relabel``: the same work may have other names in another suite."""
        path = JobFolder(folder).record
        rows = pq.read_table(path).to_pylist()
        write_records([Record(**{**row, **self._names()}) for row in rows], path)

    def _names(self) -> dict[str, Any]:
        """The columns of a record that say which cell it is, and of which run."""
        row = self.cell.planned().model_dump()
        return {"cell_key": row.pop("key"), "suite": self.cell.suite, "scale": self.cell.scale, **row}

    def _write_curves(self, curves: CurveRecorder) -> None:
        """Leave the curves of the pretraining that the cell started from, then its own."""
        parts = [curves.frame(self.key, self.phase)]
        if self._pretrained is not None and self._pretrained.curves.exists():
            parts.insert(0, pd.read_parquet(self._pretrained.curves).assign(cell_key=self.key))
        filled = [part for part in parts if len(part)] or parts[:1]
        write_curves(pd.concat(filled, ignore_index=True), self.folder.curves)
