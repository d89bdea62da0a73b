"""What is simulated, and with what: a cell's potential or a rival of it, the data, the frames that it starts from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch_geometric.data import Data

from benchmark.cell.finished import trained_potential
from benchmark.cell.job import Settings
from benchmark.cell.library import Library
from benchmark.errors import BenchmarkError
from benchmark.planning.cells import Cell
from benchmark.planning.reading import build
from benchmark.planning.simulation import SimulationSettings
from reports.records.simulations import CELL
from tasks.datasets.base import Dataset, DatasetTask
from tasks.references import Reference, fit_references
from tasks.registry import DATASETS
from tasks.simulation.fields import Field, ModelField, NetworkField, reference_model
from tasks.simulation.potential import TrainedPotential
from tasks.simulation.structures import Start, start_from

OWN_MODEL, DATA = "own model", "data"
"""Kinds of subjects that are the reference of all others: the data's own model; without one, its frames."""
ROOM_K = 300.0
"""Temperature where the data has none of its own."""


@dataclass(frozen=True)
class Subject:
    """What is put through the tests.

    Attributes:
        kind: `CELL`, or what rival it is.
        cell: the cell; of a rival, one whose data and split it shares.
    """

    kind: str
    cell: Cell

    @property
    def key(self) -> str:
        """A name that is a name of a file, too."""
        if self.kind == CELL:
            return self.cell.key
        return re.sub(r"[^\w.@%-]", "_", f"{self.kind.replace(' ', '-')}-{self.cell.arm.dataset}")

    def columns(self, test: str) -> dict[str, Any]:
        """What the tables say of it."""
        own, arm = self.kind == CELL, self.cell.arm
        names = {"model": arm.model if own else None, "strategy": arm.strategy if own else None}
        return {
            "subject": self.key,
            "kind": self.kind,
            "dataset": arm.dataset,
            **names,
            "seed": self.cell.seed,
            "test": test,
        }


@dataclass(frozen=True)
class Setting:
    """A subject with its data, read once for a job."""

    subject: Subject
    task: DatasetTask
    dataset: Dataset
    test_frames: np.ndarray
    potential: TrainedPotential | None
    rival: Reference | None

    @classmethod
    def of(cls, subject: Subject, settings: Settings) -> Setting:
        """Read what a subject needs.

        Raises:
            BenchmarkError: if the cell's data or checkpoint is not what it was trained with.
        """
        library, cell = Library(settings.data_dir), subject.cell
        dataset, split, _ = library.load_sets(cell.dataset, cell.seed)
        potential = None
        if subject.kind == CELL:
            potential = trained_potential(cell, settings.run, settings.run.read_plan(), library)
        rival = None
        if subject.kind not in (CELL, OWN_MODEL, DATA):
            rival = fit_references([dataset.samples[frame] for frame in split.train]).get(subject.kind)
        return cls(subject, build(DATASETS, cell.dataset), dataset, split.test, potential, rival)

    @property
    def absent(self) -> bool:
        """Whether it is a reference that cannot be fitted to the data."""
        return self.subject.kind not in (CELL, OWN_MODEL, DATA) and self.rival is None

    def temperature(self, plan: SimulationSettings) -> float:
        """Of simulations, K."""
        return plan.temperature_K or self.task.temperature_K or ROOM_K

    def start(self, replicas: int, frames: np.ndarray | None = None) -> Start:
        """Replicas from test frames; those of the data's own model from all frames, as it belongs to no split."""
        if frames is None:
            frames = self.dataset.all_frames if self.subject.kind in (OWN_MODEL, DATA) else self.test_frames
        return start_from(self.dataset.samples, frames, replicas)

    def field(self, start: Start) -> Field:
        """What drives replicas of this subject.

        Raises:
            BenchmarkError: for a rival that there is not.
            PotentialError: if the potential cannot be used for these structures.
        """
        return self._field(start.samples, start.boxes)

    def field_of(self, sample: Data) -> Field:
        """The same for one structure: every replica has its box."""
        return self._field([sample], sample.box.double() if "box" in sample else None)

    def _field(self, samples: list[Data], boxes: Tensor | None) -> Field:
        if self.potential is not None:
            self.potential.check(samples[0].z.numpy(), None if boxes is None else boxes[0].double().numpy())
            return NetworkField(self.potential, samples[0].z, boxes)
        if self.subject.kind == OWN_MODEL:
            models = [self.task.own_model(sample) for sample in samples]
            found = [model for model in models if model is not None]
            if len(found) < len(models):
                raise BenchmarkError("the data has no model of its own for these structures")
            return ModelField(found)
        assert self.rival is not None
        return ModelField([reference_model(self.rival, sample) for sample in samples])
