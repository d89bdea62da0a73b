"""The contract of a dataset: its samples, and the class that prepares and loads them."""

from __future__ import annotations

import abc
import hashlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from tasks.registry import DATASETS

if TYPE_CHECKING:  # torch takes seconds to import, and processes that only generate data do not need it
    from torch_geometric.data import Data

Progress = Callable[[str, float], None]
"""Called with a message and the fraction done, 0 to 1."""
Model = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""Energy in eV and forces (N, 3) in eV/Å at positions (N, 3) in Å."""
RELABELLED = "relabelled"
"""Kind of the structures of another dataset with labels of their own."""


class DatasetError(ValueError):
    """A dataset cannot be made or read; the message is written for the user."""


class NotPreparedError(DatasetError):
    """The data is not there yet: `DatasetTask.prepare` would make or fetch it."""


class DatasetConfig(BaseModel):
    """Parameters of a dataset. Unknown keys are refused; instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def relabelled(self, kind: str, labeller: Mapping[str, Any]) -> dict[str, Any]:
        """Kind and options of the dataset that has these structures with the energies and forces of a labeller.

        Args:
            kind: the kind that these are the options of.
            labeller: kind and options of what labels them.
        """
        source = {"kind": kind, "options": self.model_dump(mode="json")}
        options = DATASETS.options(RELABELLED)(source=source, labeller=dict(labeller))
        return {"kind": RELABELLED, "options": options.model_dump(mode="json")}


@dataclass(frozen=True)
class Outline:
    """What a split needs to know about F frames.

    Attributes:
        groups: (F,) int64, number of the trajectory that each frame comes from; splits keep trajectories whole.
        official: splits published by the authors of the data, each (training frames, test frames) as int64 indices.
        named: training, validation and test frames that the user's files name, as int64 indices; validation may be
            empty. None if they name none.
    """

    groups: np.ndarray
    official: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    named: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True)
class Dataset:
    """Structures in one set of units: Å, eV, eV/Å.

    Attributes:
        samples: F frames with the fields
            `z` (N,) int64 atomic numbers;
            `pos` (N, 3) float32 positions in Å;
            `y` (1, 1) float64 energy in eV, where the dataset is labelled;
            `neg_dy` (N, 3) float32 forces in eV/Å, likewise;
            `box` (1, 3, 3) float32 box vectors as rows in Å, only if periodic, in the form of `boxes.reduced_box`;
            `molecule` (N,) int64 index of the molecule that an atom belongs to;
            `site` (N,) int64 index of the site (a heavy atom with its hydrogens) that an atom belongs to.
        outline: the trajectories of the frames, and published splits.
        licence: terms under which the data may be used.
        provenance: where the data comes from (parameters, versions, units); can be written as JSON.
        trajectory_frames: (F, 2) int64, for each frame the number of the trajectory as it was simulated and the number
            of the frame in it; None if unknown. They tell the audit how close in time test and training frames are.
        title: what the data turned out to be, if that says more than the title of its task.
        warnings: what readers of any result obtained with the data have to know.
        stand_in: whether all or some of the labels stand in for those of the data that the kind is named after.
        seconds_per_label: what making energy and forces of one frame cost, s on one core; 0 where the data came with
            them. Arms that pretrain on such labels are charged for them.
        origins: for each frame the name of the user's file and the index of the frame in it; None if there is none.
        precision_A: step to which positions are rounded in the files, Å; 0 if that is not known.
    """

    samples: list[Data]
    outline: Outline
    licence: str
    provenance: dict[str, Any]
    trajectory_frames: np.ndarray | None = None
    title: str | None = None
    warnings: tuple[str, ...] = ()
    stand_in: bool = False
    seconds_per_label: float = 0.0
    origins: tuple[tuple[str, int], ...] | None = None
    precision_A: float = 0.0

    @cached_property
    def species(self) -> tuple[int, ...]:
        """The atomic numbers that occur, ascending."""
        return tuple(sorted({number for sample in self.samples for number in sample.z.tolist()}))

    @property
    def all_frames(self) -> np.ndarray:
        """Indices of all frames, (F,) int64."""
        return np.arange(len(self.samples))

    @cached_property
    def content_hash(self) -> str:
        """First 12 hex digits of the SHA-256 of all numbers of all frames, in order, and of the outline.

        Equal data have equal hashes: the same frames, molecules and sites, with the same trajectories and splits.
        """
        digest = hashlib.sha256()
        for sample in self.samples:
            for name in ("z", "pos", "y", "neg_dy", "box", "molecule", "site"):
                if name in sample:
                    digest.update(name.encode() + sample[name].numpy().tobytes())
        for indices in (self.outline.groups, *itertools.chain(*self.outline.official), *(self.outline.named or ())):
            digest.update(b"indices" + np.ascontiguousarray(indices, dtype="<i8").tobytes())
        return digest.hexdigest()[:12]

    def describe(self) -> dict[str, Any]:
        """The provenance with title, licence, warnings, number of frames and hash; can be written as JSON."""
        return {
            **self.provenance,
            "title": self.title,
            "licence": self.licence,
            "warnings": list(self.warnings),
            "frames": len(self.samples),
            "content_hash": self.content_hash,
        }


class DatasetTask(abc.ABC):
    """One kind of dataset with validated options; one subclass per kind.

    Class attributes:
        kind: the name in suites.
        Config: the options, validated before anything is read or made.
        labelled: whether the samples have energies and forces; without them only pretraining can use the data.
        judged_by: the kind of error that its literature reports; verdicts in reports are based on it.
        pooled_over: the option that distinguishes the members of a collection (the molecule, for rMD17); reports
            average over datasets that differ in nothing else. None if the kind is not a collection.
    """

    kind: ClassVar[str]
    Config: ClassVar[type[DatasetConfig]]
    labelled: ClassVar[bool] = True
    judged_by: ClassVar[Literal["rmse", "mae"]] = "rmse"
    pooled_over: ClassVar[str | None] = None

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """One line that describes the data in a report."""

    @abc.abstractmethod
    def prepare(self, data_dir: Path, progress: Progress | None = None, workers: int = 1) -> None:
        """Makes sure that the data is complete in `data_dir`; returns at once if it is.

        Args:
            data_dir: folder that holds all datasets.
            progress: called with what is being done and how much of it is done.
            workers: number of processes to use.

        Raises:
            DatasetError: the data cannot be made or stored.
        """

    @abc.abstractmethod
    def load(self, data_dir: Path) -> Dataset:
        """Reads what `prepare` left in `data_dir`.

        Raises:
            NotPreparedError: the data is not there yet, or not complete.
            DatasetError: it is damaged, or a file of the user is missing.
        """

    @abc.abstractmethod
    def outline(self, data_dir: Path) -> Outline | None:
        """The outline that `load` will give, without preparing anything.

        If the data is not there yet: an outline with the right number of frames in each set, or None if that is not
        known either.

        Raises:
            DatasetError: a file of the user cannot be read.
        """

    @abc.abstractmethod
    def example(self, data_dir: Path, seed: int = 0) -> Data:
        """A structure of the right size and box (`z`, `pos`, `box`, `molecule`, `site`), without labels.

        For estimates of cost: it does not need prepared data.
        """

    @property
    def temperature_K(self) -> float | None:
        """Temperature that the structures were sampled at, K; None if there is no single one, or it is not known."""
        return None

    def own_model(self, sample: Data) -> Model | None:
        """The model that made the labels, for the atoms and the box of a sample; None if it cannot be asked here.

        What it says of other positions, boxes and numbers of molecules are exact labels: simulations with potentials
        are measured by it.
        """
        return None

    def check(self, cutoff: float) -> None:  # noqa: B027  (most kinds know their boxes only from the data)
        """Checks, if the options alone determine the box, that a potential with this cutoff (Å) can be used.

        Raises:
            DatasetError: the cutoff is longer than half the box, so that the minimum image is not enough.
        """
