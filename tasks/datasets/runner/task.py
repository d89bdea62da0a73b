"""Datasets from files in the format of n2p2 and RuNNer: what all of them share, and the user's own."""

from __future__ import annotations

import abc
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from ase.data import atomic_numbers
from numpy.typing import NDArray
from pydantic import Field
from torch_geometric.data import Data

from tasks.datasets.base import Dataset, DatasetConfig, DatasetError, DatasetTask, Outline, Progress
from tasks.datasets.runner.parser import Structures, fingerprint, read_comments, read_structures
from tasks.datasets.storage import cache
from tasks.datasets.structures.boxes import box_widths
from tasks.datasets.structures.molecules import HYDROGEN, Topology, find_bonds, topology_of_bonds

FORMAT_VERSION = 1
FILE = "structures.npz"
UNITS = {"pos": "Å", "box": "Å", "y": "eV", "neg_dy": "eV/Å"}
OXYGEN = atomic_numbers["O"]
OH_RANGE_A = 1.4
"""Half way between the bonds (0.97 Å) and the hydrogen bonds (1.85 Å) of liquid water."""
SHARED_FACTOR = 1.1
"""A hydrogen whose second oxygen is nearer than this times the distance of its first may belong to either."""
SEED = re.compile(r"\bseed=(\d{1,18})\b")


class RunnerConfig(DatasetConfig):
    """Options of every dataset in this format."""

    structures: int | None = Field(
        None,
        gt=0,
        description="Largest number of structures, spread evenly through the file in whole trajectories (at least "
        "one); without it, all.",
    )


class RunnerFiles(DatasetTask):
    """Structures, energies and forces from files in the format of n2p2 and RuNNer, wherever they come from.

    Structures whose comments have the same `seed=` are one trajectory, in the order of the file; one without is a
    trajectory of its own. What is read is kept in binary form; the folder's name depends on the content of the files.
    """

    config: RunnerConfig

    @abc.abstractmethod
    def find_files(self, data_dir: Path) -> Path | None:
        """The file, folder or archive; None if it would have to be fetched.

        Raises:
            DatasetError: it is the user's, and not there.
        """

    @abc.abstractmethod
    def obtain_files(self, data_dir: Path, progress: Progress | None) -> Path:
        """The file, folder or archive, fetched if need be.

        Raises:
            DatasetError: it cannot be had.
        """

    @abc.abstractmethod
    def is_water(self, numbers: NDArray[np.uint8]) -> bool:
        """Whether a structure of these elements, (N,), is to consist of water molecules."""

    @abc.abstractmethod
    def origin(self, comments: Sequence[str]) -> dict[str, Any]:
        """Provenance that the structures' comments and the source tell: `licence`, `warnings` (a list) and more.

        `title` is that of the loaded dataset.
        """

    def prepare(self, data_dir: Path, progress: Progress | None = None, workers: int = 1) -> None:
        """Reads the files and keeps them in binary form, unless that was done; see `DatasetTask.prepare`."""
        raw = self.obtain_files(data_dir, progress)
        parameters = self._parameters(raw)
        cache.ensure(
            data_dir,
            self.kind,
            parameters,
            FORMAT_VERSION,
            lambda folder: self._convert(folder, raw, parameters, progress),
            progress,
        )
        if progress:
            progress("ready", 1.0)

    def load(self, data_dir: Path) -> Dataset:
        """Builds the samples from the binary form; see `DatasetTask.load`."""
        raw = self.find_files(data_dir)
        if raw is None:
            raise DatasetError(f"the files of {self.title} are not in {data_dir}; the dataset has to be prepared first")
        folder, provenance = cache.open_dataset(data_dir, self.kind, self._parameters(raw), FORMAT_VERSION)
        with np.load(folder / FILE) as stored:
            arrays = dict(stored)
        return Dataset(
            samples=_samples(arrays),
            outline=Outline(arrays["groups"]),
            licence=provenance["licence"],
            provenance=provenance,
            moments=arrays.get("moments"),
            title=provenance.get("title"),
            warnings=tuple(provenance["warnings"]),
        )

    def outline(self, data_dir: Path) -> Outline | None:
        """See `DatasetTask.outline`; read from the comments of the files."""
        raw = self.find_files(data_dir)
        if raw is None:
            return None
        groups, _ = trajectories(read_comments(raw))
        return Outline(_numbered(groups[choose(groups, self.config.structures)]))

    def _parameters(self, raw: Path) -> dict[str, Any]:
        """All that determines the data."""
        return {"structures": self.config.structures, "sha256": fingerprint(raw)}

    def _convert(
        self, folder: Path, raw: Path, parameters: dict[str, Any], progress: Progress | None
    ) -> dict[str, Any]:
        """Writes the binary form into `folder` and returns the provenance."""
        if progress:
            progress(f"reading {raw.name}", 0.0)
        began = time.monotonic()
        structures = read_structures(raw)
        parse_s = time.monotonic() - began
        _check_periodicity(structures)
        groups, moments = trajectories(structures.comments)
        chosen = choose(groups, parameters["structures"])
        topologies: list[Topology | None] = []
        for done, index in enumerate(chosen):
            if progress and done % 200 == 0:
                progress(f"molecules of {len(chosen)} structures", 0.5 + 0.5 * done / len(chosen))
            topologies.append(self.topology(structures, index))
        arrays = _arrays(structures, chosen, topologies)
        arrays["groups"] = _numbered(groups[chosen])
        if moments is not None:
            arrays["moments"] = moments[chosen]
        np.savez(folder / FILE, **arrays)  # type: ignore[arg-type]

        origin = self.origin([structures.comments[index] for index in chosen])
        unknown = topologies.count(None)
        if unknown:
            origin["warnings"].append(
                f"in {unknown} of {len(chosen)} structures the water molecules cannot be told apart (an oxygen without "
                f"exactly two hydrogens, or a hydrogen between two oxygens); masking leaves these structures out"
            )
        if moments is None:
            origin["warnings"].append(
                "the comments do not tell for all structures which trajectory they are from (seed=...): those count as "
                "one each, and a split may part neighbours in time"
            )
        sizes = Counter(int(topology.molecule.max()) + 1 for topology in topologies if topology is not None)
        widths = box_widths(structures.boxes[chosen]) if np.isfinite(structures.boxes).all() else None
        return {
            **origin,
            "file": raw.name,
            "sha256": parameters["sha256"],
            "parameters": {"structures": parameters["structures"]},
            "structures": len(chosen),
            "structures_in_file": len(structures),
            "trajectories": int(arrays["groups"].max()) + 1,
            "structures_by_molecules": {str(size): sizes[size] for size in sorted(sizes)},
            "structures_not_told_apart": unknown,
            "box_widths_A": None if widths is None else [float(widths.min()), float(widths.max())],
            "units": UNITS,
            "parse_s": round(parse_s, 2),
        }

    def topology(self, structures: Structures, index: int) -> Topology | None:
        """Molecules and sites of a structure; None where water molecules cannot be told apart."""
        atoms = slice(*structures.offsets[index : index + 2])
        z, pos = structures.numbers[atoms].astype(np.int64), structures.positions[atoms]
        box = structures.boxes[index] if np.isfinite(structures.boxes[index]).all() else None
        if self.is_water(structures.numbers[atoms]):
            return water_topology(z, pos, box)
        return topology_of_bonds(z, find_bonds(z, pos, box))


class N2P2Config(RunnerConfig):
    """Options of the user's own n2p2 or RuNNer files."""

    path: Path = Field(
        description="An input.data file, a folder or an archive (.tar, .tar.gz, .tar.bz2, .tar.xz, .zip) with files "
        "named *.data*; absolute, or relative to the data folder, else to the working directory."
    )
    title: str | None = Field(
        None, min_length=1, description="What reports call the data; without it, the name of the file."
    )


class N2P2(RunnerFiles):
    """The user's own files. Structures of H2O are taken for water; molecules of others are found by bond lengths."""

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
        """See `RunnerFiles.obtain_files`; nothing is fetched."""
        return self.find_files(data_dir)

    def is_water(self, numbers: NDArray[np.uint8]) -> bool:
        """See `RunnerFiles.is_water`."""
        count = Counter(numbers.tolist())
        return count.keys() == {HYDROGEN, OXYGEN} and count[HYDROGEN] == 2 * count[OXYGEN]

    def origin(self, comments: Sequence[str]) -> dict[str, Any]:
        """See `RunnerFiles.origin`."""
        return {"source": "files of the user", "licence": "the user's own data; terms not stated", "warnings": []}

    def example(self, data_dir: Path, seed: int = 0) -> Data:
        """The first structure, without labels; looked for in the default data folder and the working directory."""
        structures = read_structures(self.find_files(data_dir))
        sample = _samples(_arrays(structures, np.array([0]), [self.topology(structures, 0)]))[0]
        del sample.y, sample.neg_dy
        return sample


def water_topology(z: NDArray[np.int64], pos: NDArray[np.float64], box: NDArray[np.float64] | None) -> Topology | None:
    """The water molecules of a structure: each hydrogen belongs to the oxygen next to it by minimum image.

    Args:
        z: atomic numbers, (N,).
        pos: positions, (N, 3), Å; wrapped atom by atom or not, in any order.
        box: box vectors as rows in the form of `boxes.reduced_box`, (3, 3), Å; None if not periodic.

    Returns:
        Molecules, which are the sites too, numbered in the order of their oxygens. None where they cannot be told
        apart: there are other elements, an oxygen has not exactly two hydrogens, a hydrogen has no oxygen within
        `OH_RANGE_A`, or its second oxygen is nearer than `SHARED_FACTOR` times the distance of the first.
    """
    oxygens, hydrogens = np.flatnonzero(z == OXYGEN), np.flatnonzero(z == HYDROGEN)
    if len(oxygens) == 0 or len(oxygens) + len(hydrogens) < len(z) or len(hydrogens) != 2 * len(oxygens):
        return None
    vectors = pos[hydrogens, None] - pos[None, oxygens]
    if box is not None:
        vectors -= np.round(vectors @ np.linalg.inv(box)) @ box
    distances = np.sqrt(np.einsum("hoi,hoi->ho", vectors, vectors))
    owner = distances.argmin(axis=1)
    rows = np.arange(len(hydrogens))
    first = distances[rows, owner]
    distances[rows, owner] = np.inf
    second = distances.min(axis=1)
    if (first > OH_RANGE_A).any() or (second < SHARED_FACTOR * first).any():
        return None
    if (np.bincount(owner, minlength=len(oxygens)) != 2).any():
        return None
    molecule = np.empty(len(z), dtype=np.int64)
    molecule[oxygens], molecule[hydrogens] = np.arange(len(oxygens)), owner
    return Topology(molecule, molecule)


def trajectories(comments: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Which trajectory each of F structures came from: comments with the same `seed=` are of one.

    Returns:
        Groups, (F,), numbered in the order of their first structure, and moments, (F, 2): the seed, and the number of
        the structure in its trajectory; None unless every comment tells a seed.
    """
    seeds = [SEED.search(comment) for comment in comments]
    names = [int(seed[1]) if seed else f"structure {number}" for number, seed in enumerate(seeds)]
    number_of = {name: number for number, name in enumerate(dict.fromkeys(names))}
    groups = np.array([number_of[name] for name in names], dtype=np.int64)
    if not all(seeds):
        return groups, None
    seen: Counter[int | str] = Counter()
    moments = np.empty((len(names), 2), dtype=np.int64)
    for index, name in enumerate(names):
        moments[index] = name, seen[name]
        seen[name] += 1
    return groups, moments


def choose(groups: NDArray[np.int64], wanted: int | None) -> NDArray[np.int64]:
    """Indices of at most `wanted` structures, ascending: whole trajectories, evenly spread, at least one.

    Args:
        groups: (F,) trajectories of the structures, numbered from 0.
        wanted: how many; None for all.
    """
    sizes = np.bincount(groups)
    count = len(sizes) if wanted is None else min(wanted, len(sizes))
    while True:
        chosen = np.arange(count) * len(sizes) // count
        if wanted is None or count == 1 or sizes[chosen].sum() <= wanted:
            return np.flatnonzero(np.isin(groups, chosen))
        count -= 1


def _numbered(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups, numbered from 0 without gaps."""
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _check_periodicity(structures: Structures) -> None:
    """All structures have a cell, or none has: a batch cannot mix them."""
    periodic = np.isfinite(structures.boxes).all(axis=(1, 2))
    if periodic.any() and not periodic.all():
        raise DatasetError(
            f"{structures.places[int(periodic.argmin())]}: the structure that begins here has no 'lattice', others "
            f"have; keep periodic and other structures in different datasets"
        )


def _arrays(
    structures: Structures, chosen: NDArray[np.int64], topologies: Sequence[Topology | None]
) -> dict[str, NDArray[Any]]:
    """What is stored of the chosen structures, in their order, atoms of all in a row.

    Where molecules are not known, each atom is one of its own, and a site: masking finds nothing to take there.
    """
    sizes = np.diff(structures.offsets)[chosen]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    atoms = np.concatenate([np.arange(*structures.offsets[index : index + 2]) for index in chosen])
    known = [
        topology or Topology(np.arange(size), np.arange(size)) for topology, size in zip(topologies, sizes, strict=True)
    ]
    return {
        "offsets": offsets,
        "numbers": structures.numbers[atoms],
        "positions": structures.positions[atoms].astype(np.float32),
        "forces": structures.forces[atoms].astype(np.float32),
        "energies": structures.energies[chosen],
        "boxes": structures.boxes[chosen].astype(np.float32),
        "molecule": np.concatenate([topology.molecule for topology in known]).astype(np.int32),
        "site": np.concatenate([topology.site for topology in known]).astype(np.int32),
    }


def _samples(arrays: dict[str, NDArray[Any]]) -> list[Data]:
    """The structures as samples."""
    samples = []
    for index, (first, last) in enumerate(zip(arrays["offsets"][:-1], arrays["offsets"][1:], strict=True)):
        # torch.tensor copies: a sample that is pickled must not drag the whole dataset along.
        fields = {
            "z": torch.tensor(arrays["numbers"][first:last], dtype=torch.int64),
            "pos": torch.tensor(arrays["positions"][first:last]),
            "y": torch.tensor([[arrays["energies"][index]]], dtype=torch.float64),
            "neg_dy": torch.tensor(arrays["forces"][first:last]),
            "molecule": torch.tensor(arrays["molecule"][first:last], dtype=torch.int64),
            "site": torch.tensor(arrays["site"][first:last], dtype=torch.int64),
        }
        if np.isfinite(arrays["boxes"][index]).all():
            fields["box"] = torch.tensor(arrays["boxes"][index : index + 1])
        samples.append(Data(**fields))
    return samples
