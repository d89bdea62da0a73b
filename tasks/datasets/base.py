"""What a dataset is: its samples, and the task that prepares and loads them."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

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
class Dataset:
    """Labelled structures in one set of units: Å, eV, eV/Å.

    Attributes:
        samples: F frames with the fields
            `z` (N,) int64 atomic numbers;
            `pos` (N, 3) float32 positions in Å;
            `y` (1, 1) float64 energy in eV;
            `neg_dy` (N, 3) float32 forces in eV/Å;
            `box` (1, 3, 3) float32 box vectors as rows in Å, only if periodic;
            `molecule` (N,) int64 index of the molecule that an atom belongs to.
        groups: (F,) int64, the trajectory that each frame came from; a split must not cut it.
        species: the atomic numbers that occur, ascending.
        licence: terms under which the data may be used.
        provenance: how the data came about (parameters, versions, units); can be written as JSON.
    """

    samples: list[Data]
    groups: np.ndarray
    species: tuple[int, ...]
    licence: str
    provenance: dict[str, Any]


class DatasetTask(abc.ABC):
    """One kind of dataset with validated parameters. One subclass a kind."""

    kind: ClassVar[str]
    Config: ClassVar[type[DatasetConfig]]

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
    def groups(self) -> np.ndarray:
        """(F,) int64, the trajectory of each frame, as `load` will give it; known before the data is made."""

    @abc.abstractmethod
    def example(self, seed: int = 0) -> Data:
        """A random structure of the right size and box (`z`, `pos`, `box`, `molecule`), without labels.

        Needs no prepared data; meant for estimates of cost.
        """

    @abc.abstractmethod
    def check(self, cutoff: float) -> None:
        """Checks that a potential of this cutoff (Å) can be used on the data.

        Raises:
            DatasetError: the cutoff is over half the box, so that the minimum image does not suffice.
        """
