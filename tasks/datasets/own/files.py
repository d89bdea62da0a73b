"""What the datasets from the user's own files have in common: finding files, grouping and describing frames."""

from __future__ import annotations

import abc
import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from tasks.datasets.base import Dataset, DatasetError, DatasetTask, Outline, Progress
from tasks.datasets.structures.boxes import reduced_box

LICENCE = "the user's own file; its terms are not known here"
SHOWN_COMPOSITIONS = 20


@dataclass(frozen=True)
class Frames:
    """Content of the files: samples, their outline, and everything else that `Dataset` wants to know."""

    samples: tuple[Data, ...]
    outline: Outline
    trajectory_frames: NDArray[np.int64] | None
    provenance: dict[str, Any]
    title: str
    origins: tuple[tuple[str, int], ...]
    precision_A: float
    warnings: tuple[str, ...] = ()

    def dataset(self) -> Dataset:
        """A new dataset for each caller, whose samples share their tensors with those of the others."""
        samples = [copy.copy(sample) for sample in self.samples]
        return Dataset(
            samples=samples,
            outline=self.outline,
            licence=LICENCE,
            provenance=self.provenance,
            trajectory_frames=self.trajectory_frames,
            title=self.title,
            warnings=self.warnings,
            origins=self.origins,
            precision_A=self.precision_A,
        )

    def example(self, seed: int) -> Data:
        """One of the structures, without labels."""
        sample = copy.copy(self.samples[seed % len(self.samples)])
        return Data(**{name: value for name, value in sample.to_dict().items() if name not in ("y", "neg_dy")})


class UserFiles(DatasetTask):
    """A dataset from the user's own files, which are read once in each process; nothing is written."""

    @abc.abstractmethod
    def frames(self, data_dir: Path) -> Frames:
        """Content of the files; read when first needed, and again after a file has changed.

        Raises:
            DatasetError: a file is missing or cannot be read.
        """

    def prepare(self, data_dir: Path, progress: Progress | None = None, workers: int = 1) -> None:
        """Reads the files, so that anything wrong with them is reported; see `DatasetTask.prepare`."""
        if progress:
            progress(f"{self.title}: reading", 0.0)
        frames = self.frames(data_dir)
        if progress:
            progress(f"{frames.title}: ready", 1.0)

    def load(self, data_dir: Path) -> Dataset:
        """See `DatasetTask.load`."""
        return self.frames(data_dir).dataset()

    def outline(self, data_dir: Path) -> Outline:
        """See `DatasetTask.outline`; the files are read for it."""
        return self.frames(data_dir).outline

    def example(self, data_dir: Path, seed: int = 0) -> Data:
        """A frame of the files, the first one for seed 0; see `DatasetTask.example`.

        Raises:
            DatasetError: a file is missing or cannot be read.
        """
        return self.frames(data_dir).example(seed)


def find_file(name: str, data_dir: Path) -> Path:
    """The absolute path of a file of the user.

    Args:
        name: absolute, or relative to `data_dir`, or else to the working directory.
        data_dir: folder of the datasets.

    Raises:
        DatasetError: there is no such file.
    """
    tried = [(base / Path(name).expanduser()).absolute() for base in (data_dir, Path.cwd())]
    for path in tried:
        if path.is_file():
            return path
    places = " and ".join(str(path) for path in dict.fromkeys(tried))
    raise DatasetError(f"there is no file {name!r}; looked for {places}. Correct the path in the dataset's options")


def file_version(path: Path) -> tuple[int, int]:
    """Time of the last change in ns, and size in bytes; if either differs, the file is read again."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def block_groups(frames: int, blocks: int, place: str) -> NDArray[np.int64]:
    """Block number of each frame, (frames,): contiguous blocks whose lengths differ by at most one.

    Raises:
        DatasetError: there are more blocks than frames.
    """
    if blocks > frames:
        raise DatasetError(
            f"{place}: {frames} frames cannot be cut into {blocks} blocks; lower the option 'blocks', or take more "
            f"frames"
        )
    return np.arange(frames, dtype=np.int64) * blocks // frames


def check_same_periodicity(samples: Sequence[Data], place: str) -> None:
    """Make sure that all frames are periodic or none is.

    Raises:
        DatasetError: some are and some are not; the message names the first frame that differs from frame 0.
    """
    periodic = ["box" in sample for sample in samples]
    if len(set(periodic)) > 1:
        other = periodic.index(not periodic[0])
        names = ("isolated", "periodic")
        raise DatasetError(
            f"{place}: frame 0 is {names[periodic[0]]} and frame {other} is {names[periodic[other]]}; a batch has "
            f"boxes or has none. Make two datasets of them"
        )


def describe_compositions(samples: Sequence[Data]) -> tuple[str, dict[str, int]]:
    """A phrase, and the number of frames of each of the most frequent compositions, by Hill formula."""
    numbers = Counter(tuple(sorted(sample.z.tolist())) for sample in samples)
    frames = Counter({ase.Atoms(z).get_chemical_formula(): count for z, count in numbers.items()})
    words = next(iter(frames)) if len(frames) == 1 else f"{len(frames)} compositions"
    return f"{len(samples)} frames of {words}", dict(frames.most_common(SHOWN_COMPOSITIONS))


def reduced_box_at(box: NDArray[np.float64], place: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`reduced_box`, with errors that say where the box was read."""
    try:
        return reduced_box(box)
    except DatasetError as error:
        raise DatasetError(f"{place}: {error}") from error
