"""What a dataset is: its samples, and the task that prepares and loads them."""

from __future__ import annotations

import abc
import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:  # torch takes seconds to import, and processes that only generate data do not need it
    from torch_geometric.data import Data

Progress = Callable[[str, float], None]
"""Receives a message and the fraction done, 0 to 1."""


class DatasetError(ValueError):
    """A dataset cannot be made or read; the message is meant for the user."""


class DatasetConfig(BaseModel):
    """Parameters of a dataset. Unknown keys are refused; instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Outline:
    """What a split needs to know of F frames.

    Attributes:
        groups: (F,) int64, the trajectory that each frame came from; a split must not cut it.
        official: splits that the data's authors published, each (training frames, test frames) as int64 indices.
    """

    groups: np.ndarray
    official: tuple[tuple[np.ndarray, np.ndarray], ...] = ()


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
            `site` (N,) int64 index of the heavy atom with its hydrogens that an atom belongs to.
        outline: trajectories of the frames, and published splits.
        licence: terms under which the data may be used.
        provenance: how the data came about (parameters, versions, units); can be written as JSON.
        trajectory_frames: (F, 2) int64, for each frame the number of the trajectory as it was simulated and the number
            of the frame in it; None if unknown. The audit tells by them how near in time test frames are to training.
        title: what the data turned out to be, where that says more than the title of its task.
        warnings: what a reader of any number made with the data has to know.
        stand_in: whether labels, all or some, stand in for those of the data that the kind is named after.
    """

    samples: list[Data]
    outline: Outline
    licence: str
    provenance: dict[str, Any]
    trajectory_frames: np.ndarray | None = None
    title: str | None = None
    warnings: tuple[str, ...] = ()
    stand_in: bool = False

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
        """First 12 hex digits of the SHA-256 over all numbers of all frames, in order, and of the outline.

        Equal for equal data: for frames, what belongs together in them, and how they can be split.
        """
        digest = hashlib.sha256()
        for sample in self.samples:
            for name in ("z", "pos", "y", "neg_dy", "box", "molecule", "site"):
                if name in sample:
                    digest.update(name.encode() + sample[name].numpy().tobytes())
        for indices in (self.outline.groups, *itertools.chain(*self.outline.official)):
            digest.update(b"indices" + np.ascontiguousarray(indices, dtype="<i8").tobytes())
        return digest.hexdigest()[:12]

    def describe(self) -> dict[str, Any]:
        """What provenance says of the data; can be written as JSON."""
        return {
            **self.provenance,
            "title": self.title,
            "licence": self.licence,
            "warnings": list(self.warnings),
            "frames": len(self.samples),
            "content_hash": self.content_hash,
        }


class DatasetTask(abc.ABC):
    """One kind of dataset with validated parameters. One subclass a kind.

    Class attributes:
        kind: the name in suites.
        Config: the options, validated before anything is read or made.
        labelled: whether the samples have energies and forces; without them only pretraining can use the data.
        judged_by: the errors that its literature reports, on which reports give their verdicts.
        pooled_over: the option in which members of one collection differ (the molecule, say); reports average over
            datasets that differ in nothing else. None where there is no such collection.
    """

    kind: ClassVar[str]
    Config: ClassVar[type[DatasetConfig]]
    labelled: ClassVar[bool] = True
    judged_by: ClassVar[Literal["rmse", "mae"]] = "rmse"
    pooled_over: ClassVar[str | None] = None

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """One line that describes the data to a reader of a report."""

    @abc.abstractmethod
    def prepare(self, data_dir: Path, progress: Progress | None = None, workers: int = 1) -> None:
        """Makes sure that the data lies complete in `data_dir`; returns at once if it does.

        Args:
            data_dir: folder that holds all datasets.
            progress: told what is going on, and how much is done.
            workers: processes to use.

        Raises:
            DatasetError: the data cannot be made or stored.
        """

    @abc.abstractmethod
    def load(self, data_dir: Path) -> Dataset:
        """Reads what `prepare` left in `data_dir`.

        Raises:
            DatasetError: the data is missing, incomplete or damaged.
        """

    @abc.abstractmethod
    def outline(self, data_dir: Path) -> Outline | None:
        """What `load` will give as the outline, without preparing anything.

        Where the data is not there yet: an outline with as many frames in each set, or None if not even that is known.

        Raises:
            DatasetError: a file of the user's cannot be read.
        """

    @abc.abstractmethod
    def example(self, data_dir: Path, seed: int = 0) -> Data:
        """A random structure of the right size and box (`z`, `pos`, `box`, `molecule`), without labels.

        Meant for estimates of cost: needs no data that would have to be prepared.
        """

    def check(self, cutoff: float) -> None:  # noqa: B027  (most kinds know their boxes only from the data)
        """Checks, where the options alone tell, that a potential of this cutoff (Å) can be used on the data.

        Raises:
            DatasetError: the cutoff is over half the box, so that the minimum image does not suffice.
        """
