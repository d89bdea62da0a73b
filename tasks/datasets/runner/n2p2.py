"""The user's own files in the format of RuNNer and n2p2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch_geometric.data import Data

from tasks.datasets.base import DatasetConfig, DatasetError, Progress
from tasks.datasets.runner.parser import read_structures
from tasks.datasets.runner.task import RunnerConfig, RunnerFiles
from tasks.datasets.structures.molecules import HYDROGEN, OXYGEN, topology_of_single_atoms
from tasks.datasets.structures.samples import make_sample


class N2P2Config(RunnerConfig):
    """Options of the user's own n2p2 or RuNNer files."""

    path: Path = Field(
        description="An input.data file, a folder or an archive (.tar, .tar.gz, .tar.bz2, .tar.xz, .zip) with files "
        "named *.data*; absolute, or relative to the data folder or the working directory."
    )
    title: str | None = Field(None, min_length=1, description="Name of the data in reports. Default: by the file name.")


class N2P2(RunnerFiles):
    """The user's own files.

    Structures with two hydrogens per oxygen are taken for water; in others molecules are found by bond lengths.
    """

    kind: ClassVar[str] = "n2p2"
    Config: ClassVar[type[DatasetConfig]] = N2P2Config

    def __init__(self, config: N2P2Config) -> None:
        self.config: N2P2Config = config

    @property
    def title(self) -> str:
        return self.config.title or f"structures of {self.config.path.name}"

    def find_files(self, data_dir: Path) -> Path:
        """See `RunnerFiles.find_files`."""
        path = self.config.path.expanduser()
        places = list(dict.fromkeys([(data_dir / path).absolute(), path.absolute()]))
        for place in places:
            if place.exists():
                return place
        raise DatasetError(
            f"option 'path' of dataset kind {self.kind!r}: {path} is not there (looked for "
            f"{' and '.join(str(place) for place in places)}); give an existing file, folder or archive"
        )

    def obtain_files(self, data_dir: Path, progress: Progress | None) -> Path:
        """See `RunnerFiles.obtain_files`; nothing is downloaded."""
        return self.find_files(data_dir)

    def is_water(self, numbers: NDArray[np.uint8]) -> bool:
        """See `RunnerFiles.is_water`."""
        count = Counter(numbers.tolist())
        return count.keys() == {HYDROGEN, OXYGEN} and count[HYDROGEN] == 2 * count[OXYGEN]

    def origin(self, comments: Sequence[str]) -> dict[str, Any]:
        """See `RunnerFiles.origin`."""
        return {"source": "files of the user", "licence": "the user's own data; terms not stated", "warnings": []}

    def example(self, data_dir: Path, seed: int = 0) -> Data:
        """The first structure of the files, whatever the seed; see `DatasetTask.example`."""
        structures = read_structures(self.find_files(data_dir))
        atoms = structures.atoms(0)
        z = structures.numbers[atoms]
        found = self.find_topology(structures, 0) or topology_of_single_atoms(len(z))
        return make_sample(z, structures.positions[atoms], found.molecule, found.site, structures.box(0))
