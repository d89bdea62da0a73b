"""What all datasets in the format of RuNNer and n2p2 have in common."""

from __future__ import annotations

import abc
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from tasks.datasets.base import Dataset, DatasetError, DatasetTask, NotPreparedError, Outline, Progress
from tasks.datasets.runner.files import content_sha256
from tasks.datasets.runner.options import RunnerConfig
from tasks.datasets.runner.parser import Structures, read_comments, read_structures
from tasks.datasets.storage import cache
from tasks.datasets.structures.boxes import box_widths
from tasks.datasets.structures.molecules import (
    Topology,
    find_bonds,
    find_water_molecules,
    topology_of_bonds,
    topology_of_single_atoms,
)
from tasks.datasets.structures.precision import PRECISION_FRAMES, rounding_step
from tasks.datasets.structures.samples import make_sample
from tasks.datasets.structures.units import A_PER_BOHR

FORMAT_VERSION = 2
FILE = "structures.npz"
UNITS = {"pos": "Å", "box": "Å", "y": "eV", "neg_dy": "eV/Å"}
SEED = re.compile(r"\bseed=(\d{1,18})\b")


class RunnerFiles(DatasetTask):
    """Structures, energies and forces from files in the format of RuNNer and n2p2.

    Structures whose comments have the same `seed=` form one trajectory, in the order of the file; a structure without
    a seed is a trajectory of its own. Prepared data is stored in binary form, in a folder whose name depends on the
    content of the files.
    """

    config: RunnerConfig

    @abc.abstractmethod
    def find_files(self, data_dir: Path) -> Path | None:
        """The file, folder or archive; None if it would have to be downloaded.

        Raises:
            DatasetError: it is a file of the user, and not there.
        """

    @abc.abstractmethod
    def obtain_files(self, data_dir: Path, progress: Progress | None) -> Path:
        """The file, folder or archive, downloaded if necessary.

        Raises:
            DatasetError: the download failed.
        """

    @abc.abstractmethod
    def is_water(self, numbers: NDArray[np.uint8]) -> bool:
        """Whether a structure with these atomic numbers, (N,), is expected to consist of water molecules."""

    @abc.abstractmethod
    def origin(self, comments: Sequence[str]) -> dict[str, Any]:
        """The part of the provenance that depends on the source and on the comments of the structures.

        `licence` and `warnings` (a list) are required; `title` and `stand_in`, if given, become those of the dataset.
        """

    def prepare(self, data_dir: Path, progress: Progress | None = None, workers: int = 1) -> None:
        """Reads the files and stores them in binary form, unless that was done before; see `DatasetTask.prepare`."""
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
        """Makes the samples from the binary form; see `DatasetTask.load`."""
        raw = self.find_files(data_dir)
        if raw is None:
            raise NotPreparedError(
                f"the files of {self.title} are not in {data_dir}; the dataset has to be prepared first"
            )
        folder, provenance = cache.open_dataset(data_dir, self.kind, self._parameters(raw), FORMAT_VERSION)
        with np.load(folder / FILE) as stored:
            arrays = dict(stored)
        samples = _samples(arrays)
        looked_at = [sample.pos.double().numpy() / A_PER_BOHR for sample in samples[:PRECISION_FRAMES]]
        return Dataset(
            samples=samples,
            outline=Outline(arrays["groups"]),
            licence=provenance["licence"],
            provenance=provenance,
            trajectory_frames=arrays.get("trajectory_frames"),
            title=provenance.get("title"),
            warnings=tuple(provenance["warnings"]),
            stand_in=provenance.get("stand_in", False),
            precision_A=A_PER_BOHR * rounding_step(looked_at),
        )

    def outline(self, data_dir: Path) -> Outline | None:
        """See `DatasetTask.outline`; read from the comments of the files."""
        raw = self.find_files(data_dir)
        if raw is None:
            return None
        groups, _ = group_by_seed(read_comments(raw))
        return Outline(_renumbered(groups[choose_structures(groups, self.config.structures)]))

    def _parameters(self, raw: Path) -> dict[str, Any]:
        """Everything that determines the data."""
        return {"structures": self.config.structures, "sha256": content_sha256(raw)}

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
        groups, trajectory_frames = group_by_seed(structures.comments)
        chosen = choose_structures(groups, parameters["structures"])
        topologies: list[Topology | None] = []
        for done, index in enumerate(chosen):
            if progress and done % 200 == 0:
                progress(f"molecules of {len(chosen)} structures", 0.5 + 0.5 * done / len(chosen))
            topologies.append(self.find_topology(structures, index))
        arrays = _arrays(structures, chosen, topologies)
        arrays["groups"] = _renumbered(groups[chosen])
        if trajectory_frames is not None:
            arrays["trajectory_frames"] = trajectory_frames[chosen]
        np.savez(folder / FILE, **arrays)  # type: ignore[arg-type]

        origin = self.origin([structures.comments[index] for index in chosen])
        unknown = topologies.count(None)
        if unknown:
            origin["warnings"].append(
                f"in {unknown} of {len(chosen)} structures the water molecules cannot be told apart (an oxygen without "
                f"exactly two hydrogens, or a hydrogen between two oxygens); masking leaves these structures out"
            )
        if trajectory_frames is None:
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

    def find_topology(self, structures: Structures, index: int) -> Topology | None:
        """Molecules and sites of a structure; None if its water molecules cannot be told apart."""
        atoms, box = structures.atoms(index), structures.box(index)
        z, pos = structures.numbers[atoms].astype(np.int64), structures.positions[atoms]
        if self.is_water(structures.numbers[atoms]):
            return find_water_molecules(z, pos, box)
        return topology_of_bonds(z, find_bonds(z, pos, box))


def group_by_seed(comments: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Trajectories of F structures: structures whose comments have the same `seed=` are from the same one.

    Returns:
        Groups, (F,), numbered in the order of their first structure; and seed and number in the trajectory of each
        structure, (F, 2), for `Dataset.trajectory_frames`, or None unless every comment has a seed.
    """
    seeds = [SEED.search(comment) for comment in comments]
    names = [int(seed[1]) if seed else f"structure {number}" for number, seed in enumerate(seeds)]
    number_of = {name: number for number, name in enumerate(dict.fromkeys(names))}
    groups = np.array([number_of[name] for name in names], dtype=np.int64)
    if not all(seeds):
        return groups, None
    seen: Counter[int | str] = Counter()
    trajectory_frames = np.empty((len(names), 2), dtype=np.int64)
    for index, name in enumerate(names):
        trajectory_frames[index] = name, seen[name]
        seen[name] += 1
    return groups, trajectory_frames


def choose_structures(groups: NDArray[np.int64], wanted: int | None) -> NDArray[np.int64]:
    """Indices of at most `wanted` structures, ascending: whole trajectories, at least one, evenly spread.

    Args:
        groups: (F,) trajectories of the structures, numbered from 0.
        wanted: number of structures; None for all.
    """
    sizes = np.bincount(groups)
    count = len(sizes) if wanted is None else min(wanted, len(sizes))
    while True:
        chosen = np.arange(count) * len(sizes) // count
        if wanted is None or count == 1 or sizes[chosen].sum() <= wanted:
            return np.flatnonzero(np.isin(groups, chosen))
        count -= 1


def _renumbered(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups, numbered from 0 without gaps."""
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _check_periodicity(structures: Structures) -> None:
    """Make sure that all structures have a cell or none has: they cannot be mixed in a batch."""
    periodic = np.isfinite(structures.boxes).all(axis=(1, 2))
    if periodic.any() and not periodic.all():
        raise DatasetError(
            f"{structures.places[int(periodic.argmin())]}: the structure that begins here has no 'lattice', others "
            f"have; keep periodic and other structures in different datasets"
        )


def _arrays(
    structures: Structures, chosen: NDArray[np.int64], topologies: Sequence[Topology | None]
) -> dict[str, NDArray[Any]]:
    """The stored form of the chosen structures, with the atoms of all of them concatenated.

    If molecules are not known, every atom is one of its own: masking finds nothing to remove then.
    """
    sizes = np.diff(structures.offsets)[chosen]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    atoms = np.concatenate([np.arange(*structures.offsets[index : index + 2]) for index in chosen])
    known = [topology or topology_of_single_atoms(size) for topology, size in zip(topologies, sizes, strict=True)]
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
        box = arrays["boxes"][index]
        samples.append(
            make_sample(
                z=arrays["numbers"][first:last],
                pos=arrays["positions"][first:last],
                molecule=arrays["molecule"][first:last],
                site=arrays["site"][first:last],
                box=box if np.isfinite(box).all() else None,
                energy_eV=arrays["energies"][index],
                forces_eV_per_A=arrays["forces"][first:last],
            )
        )
    return samples
