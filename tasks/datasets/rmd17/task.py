"""Revised MD17: molecular dynamics of ten small molecules, recalculated with PBE/def2-SVP.

A. S. Christensen and O. A. von Lilienfeld, Mach. Learn.: Sci. Technol. 1, 045018 (2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from tasks.datasets.base import Dataset, DatasetConfig, DatasetError, DatasetTask, NotPreparedError, Outline, Progress
from tasks.datasets.rmd17.files import LABELS, REMEDY, composition, read_arrays, read_frames, read_numbers, unpack
from tasks.datasets.rmd17.options import RMD17Config
from tasks.datasets.storage import cache, sources
from tasks.datasets.structures.molecules import HYDROGEN
from tasks.datasets.structures.samples import make_sample
from tasks.datasets.structures.units import energy_unit_eV, force_unit_eV_per_A, length_unit_A

SPLIT_SOURCE, SOURCE = "rmd17-npz", "rmd17"
ARCHIVE, UNPACKED = "rmd17.tar.bz2", "rmd17-archive"
FRAMES = {"azobenzene": 99_988}
"""Number of frames of a molecule if it is not 100 000."""
SET_SIZE = 1000
"""Number of training frames in an official split, and of test frames."""
ATOM_VOLUME_A3, SHORTEST_A = 8.0, 0.95
"""Of random structures, so that atoms have about as many neighbours within 3.4 Å as in the data (7 to 8)."""


@dataclass(frozen=True)
class _Part:
    """Frames of one npz file: all, or those listed in a text file."""

    file: Path
    numbers: Path | None = None

    def __str__(self) -> str:
        return str(self.file) if self.numbers is None else f"{self.file} at the frames of {self.numbers}"

    def select(self, content: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The arrays of the file that have a row per frame, for the frames of this part."""
        frames = {key: array for key, array in content.items() if key != "nuclear_charges"}
        if self.numbers is None:
            return frames
        chosen = read_numbers(self.numbers, len(content["old_indices"]))
        return {key: array[chosen] for key, array in frames.items()}


@dataclass(frozen=True)
class _Merged:
    """The frames of several parts, each once, in time order.

    Attributes:
        old: (F,) numbers in MD17, ascending.
        first: (F,) index of the first occurrence of each frame in the concatenated parts.
        inverse: for each part the indices of its frames in `old`.
    """

    old: NDArray[np.int64]
    first: NDArray[np.int64]
    inverse: list[NDArray[np.int64]]


class RMD17(DatasetTask):
    """Revised MD17: one molecule in vacuum, energies and forces with PBE/def2-SVP.

    Files in the data folder are used in this order: the author's npz files of single splits
    (``rmd17_MOLECULE_train_01.npz`` ...); the complete npz file of the molecule with the lists of frames of the splits
    (``index_train_01.csv`` ...), either directly or in the unpacked archive; the archive, which is then unpacked. If
    there are none, the files of single splits are downloaded, or the complete one for ``frames: all``.

    A frame that occurs in several splits is one sample, identified by its number in MD17. All frames come from one
    trajectory, so a split by trajectory is refused, as it should be. ``frames: all`` has no official splits.
    """

    kind: ClassVar[str] = "rmd17"
    judged_by: ClassVar[Literal["rmse", "mae"]] = "mae"
    pooled_over: ClassVar[str | None] = "molecule"
    Config: ClassVar[type[DatasetConfig]] = RMD17Config

    def __init__(self, config: RMD17Config) -> None:
        self.config = config
        pairs = [f"{part}_{split:02d}" for split in config.splits for part in ("train", "test")]
        self._complete = f"rmd17_{config.molecule}.npz"
        self._single = [f"rmd17_{config.molecule}_{pair}.npz" for pair in pairs]
        self._lists = [f"index_{pair}.csv" for pair in pairs]

    @property
    def title(self) -> str:
        return f"rMD17 {self.config.molecule}" + (", all frames" if self.config.frames == "all" else "")

    @property
    def temperature_K(self) -> float:
        """That of the molecular dynamics of MD17 (Chmiela et al. 2017); see `DatasetTask.temperature_K`."""
        return 500.0

    def prepare(self, data_dir: Path, progress: Progress | None = None, workers: int = 1) -> None:
        """Finds, unpacks or downloads the files; see `DatasetTask.prepare`."""
        if self._parts(data_dir) is None and (archive := sources.find(SOURCE, ARCHIVE, data_dir)):
            cache.ensure(data_dir, UNPACKED, {}, 1, partial(unpack, archive, progress), progress)
        if self._parts(data_dir) is None:
            if self.config.frames == "all":
                sources.obtain(SOURCE, self._complete, data_dir, progress)
            else:
                for file in self._single:
                    sources.obtain(SPLIT_SOURCE, file, data_dir, progress)
        if progress:
            progress(f"{self.title}: ready", 1.0)

    def _parts(self, data_dir: Path) -> list[_Part] | None:
        """The training and the test part of each split; None if a file is missing."""
        if self.config.frames == "official":
            single = [sources.find(SPLIT_SOURCE, file, data_dir) for file in self._single]
            if None not in single:
                return [_Part(path) for path in single if path]
        folders = (data_dir, cache.dataset_folder(data_dir, UNPACKED, {}, 1))

        def find(file: str) -> Path | None:
            return next((path for folder in folders if (path := sources.find(SOURCE, file, folder))), None)

        complete = find(self._complete)
        if complete is None:
            return None
        if self.config.frames == "all":
            return [_Part(complete)]
        lists = [find(file) for file in self._lists]
        return None if None in lists else [_Part(complete, path) for path in lists]

    def load(self, data_dir: Path) -> Dataset:
        """Reads, checks and merges the files; see `DatasetTask.load`."""
        parts = self._parts(data_dir)
        if parts is None:
            raise NotPreparedError(f"the files of {self.title} are not complete in {data_dir}; prepare the data first")
        contents = {file: read_frames(file, self.config.molecule) for file in dict.fromkeys(p.file for p in parts)}
        charges = contents[parts[0].file]["nuclear_charges"]
        for file, content in contents.items():
            if not np.array_equal(content["nuclear_charges"], charges):
                raise DatasetError(f"{file} and {parts[0].file} list the atoms in different orders; {REMEDY}")
        read = [part.select(contents[part.file]) for part in parts]
        merged = self._merge(parts, [frames["old_indices"] for frames in read])
        coords, energies, forces = (_join(parts, [frames[key] for frames in read], key, merged) for key in LABELS)
        files = sorted({path for part in parts for path in (part.file, part.numbers) if path})
        published = sources.get_source(SOURCE if parts[0].file.name == self._complete else SPLIT_SOURCE)
        coords *= length_unit_A(published.units["length"])
        energies *= energy_unit_eV(published.units["energy"])
        forces *= force_unit_eV_per_A(published.units["force"])
        return Dataset(
            samples=_samples(charges, coords, energies, forces),
            outline=self._outline(merged),
            licence=published.licence,
            provenance={
                "source": published.title,
                "page": published.page,
                "citation": published.citation.model_dump(),
                "level_of_theory": published.level_of_theory,
                "files": {path.name: cache.sha256(path) for path in files},
                "units": {"pos": "Å", "y": "eV", "neg_dy": "eV/Å"},
                "units_of_files": published.units,
                "parameters": self.config.model_dump(mode="json"),
                "frames": len(merged.old),
                "duplicates_merged": sum(map(len, merged.inverse)) - len(merged.old),
            },
            trajectory_frames=np.stack([np.zeros_like(merged.old), merged.old], axis=1),
            title=self.title,
            warnings=(f"the data's authors: {published.warning}",) if self.config.frames == "all" else (),
        )

    def outline(self, data_dir: Path) -> Outline:
        """See `DatasetTask.outline`; until the files are there, the splits are assumed to have no frame in common."""
        parts = self._parts(data_dir)
        if parts is None and self.config.frames == "all":
            return Outline(np.zeros(FRAMES.get(self.config.molecule, 100_000), dtype=np.int64))
        if parts is None:
            pairs = np.arange(2 * len(self.config.splits) * SET_SIZE).reshape(-1, 2, SET_SIZE)
            return Outline(np.zeros(pairs.size, dtype=np.int64), tuple((train, test) for train, test in pairs))
        contents = {file: read_arrays(file, ("old_indices",)) for file in dict.fromkeys(part.file for part in parts)}
        return self._outline(self._merge(parts, [part.select(contents[part.file])["old_indices"] for part in parts]))

    def _merge(self, parts: list[_Part], numbers: list[NDArray[np.int64]]) -> _Merged:
        """Merges the parts by their numbers in MD17; training and test part of a split must be disjoint."""
        old, first, inverse = np.unique(np.concatenate(numbers), return_index=True, return_inverse=True)
        merged = _Merged(old, first, np.split(inverse, np.cumsum([len(part) for part in numbers])[:-1]))
        for number, both in enumerate(self._pairs(merged)):
            shared = np.intersect1d(*both)
            if len(shared):
                raise DatasetError(
                    f"{parts[2 * number]} and {parts[2 * number + 1]} have {len(shared)} frames in common, e.g. number "
                    f"{old[shared[0]]} of MD17; training and test frames of a split must differ; {REMEDY}"
                )
        return merged

    def _pairs(self, merged: _Merged) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
        """Training and test frames of the official splits."""
        if self.config.frames == "all":
            return ()
        train, test = merged.inverse[::2], merged.inverse[1::2]
        return tuple((np.unique(a), np.unique(b)) for a, b in zip(train, test, strict=True))

    def _outline(self, merged: _Merged) -> Outline:
        return Outline(np.zeros(len(merged.old), dtype=np.int64), self._pairs(merged))

    def example(self, data_dir: Path, seed: int = 0) -> Data:
        """Atoms at random in a ball with about the density of a molecule; see `DatasetTask.example`."""
        z = composition(self.config.molecule)
        radius = (3 * ATOM_VOLUME_A3 * len(z) / (4 * np.pi)) ** (1 / 3)
        rng = np.random.default_rng(seed)
        places: list[NDArray[np.float64]] = []
        while len(places) < len(z):
            place = rng.uniform(-radius, radius, 3)
            if np.linalg.norm(place) < radius and all(np.linalg.norm(place - p) > SHORTEST_A for p in places):
                places.append(place)
        pos = np.array(places)
        return make_sample(z, pos, np.zeros_like(z), _sites(z, pos[None])[0])


def _join(parts: list[_Part], arrays: list[NDArray[Any]], key: str, merged: _Merged) -> NDArray[np.float64]:
    """The values of each frame once, (F, ...); all copies of a frame must be equal."""
    joined, inverse = np.concatenate(arrays), np.concatenate(merged.inverse)
    copy_of = merged.first[inverse]
    differs = np.flatnonzero((joined != joined[copy_of]).reshape(len(joined), -1).any(axis=1))
    if len(differs):
        row = differs[0]
        ends = np.cumsum([len(array) for array in arrays])
        one, other = np.searchsorted(ends, [copy_of[row], row], side="right")
        raise DatasetError(
            f"{parts[one]} and {parts[other]} differ in {key} of frame {merged.old[inverse[row]]} of MD17 "
            f"({len(differs)} such frames); {REMEDY}"
        )
    return joined[merged.first]


def _samples(
    z: NDArray[np.int64], pos: NDArray[np.float64], energies: NDArray[np.float64], forces: NDArray[np.float64]
) -> list[Data]:
    """The frames as samples, from Å, eV and eV/Å."""
    numbers = torch.tensor(z)
    molecule = torch.zeros_like(numbers)
    kinds, kind = np.unique(_sites(z, pos), axis=0, return_inverse=True)
    sites = [torch.tensor(site) for site in kinds]
    return [
        make_sample(numbers, pos[frame], molecule, sites[kind[frame]], None, energies[frame], forces[frame])
        for frame in range(len(pos))
    ]


def _sites(z: NDArray[np.int64], pos: NDArray[np.float64]) -> NDArray[np.int64]:
    """Site of each atom, (F, N): hydrogens belong to the nearest heavy atom of each frame, since protons may move."""
    hydrogen, heavy = z == HYDROGEN, z != HYDROGEN
    site = np.empty(pos.shape[:2], dtype=np.int64)
    site[:, heavy] = np.arange(heavy.sum())
    site[:, hydrogen] = torch.cdist(torch.tensor(pos[:, hydrogen]), torch.tensor(pos[:, heavy])).argmin(dim=2).numpy()
    return site
