"""What a labeller is: energies and forces of given structures at a level of theory that costs little."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from tasks.labellers.options import LabellerConfig


class Label(NamedTuple):
    """Energy in eV and forces (N, 3) in eV/Å, float64."""

    energy_eV: float
    forces_eV_per_A: NDArray[np.float64]


Calculate = Callable[[Data], Label]
"""Energy and forces of one structure."""


class Labeller(abc.ABC):
    """One level of theory with validated options; can be pickled and sent to a worker.

    Class attributes:
        kind: the name in suites.
        Config: the options, validated before anything is built.
    """

    kind: ClassVar[str]
    Config: ClassVar[type[LabellerConfig]]

    config: LabellerConfig

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """The level of theory, in a few words."""

    @abc.abstractmethod
    def versions(self) -> dict[str, str]:
        """Versions of the programs that calculate.

        Raises:
            DatasetError: if one of them is not installed; the message says how to have it.
        """

    @abc.abstractmethod
    def begin(self) -> Calculate:
        """What calculates structures one by one, in this process; it may keep what they have in common.

        The structures have the fields of `Dataset.samples`; energy and forces, if they have any, are not to be read.
        What it returns raises DatasetError for a structure that cannot be calculated.
        """
