"""The user's own trajectories without labels, from any file that MDAnalysis reads; for pretraining."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import MDAnalysis
import numpy as np
import pooch
from ase.data import atomic_numbers
from MDAnalysis.guesser.default_guesser import DefaultGuesser
from MDAnalysis.lib.mdamath import triclinic_vectors
from numpy.typing import NDArray
from torch_geometric.data import Data

from tasks.datasets.base import DatasetConfig, DatasetError, Outline
from tasks.datasets.own.files import (
    Frames,
    UserFiles,
    block_groups,
    check_same_periodicity,
    describe_compositions,
    file_version,
    find_file,
    reduced_box_at,
)
from tasks.datasets.own.options import TrajectoryConfig
from tasks.datasets.structures.molecules import HYDROGEN, Topology, find_bonds, topology_of_bonds
from tasks.datasets.structures.precision import PRECISION_FRAMES, rounding_step
from tasks.datasets.structures.samples import make_sample
from tasks.datasets.structures.units import LARGEST

FileVersion = tuple[Path, tuple[int, int]]
"""A file and its `file_version`."""


class Trajectory(UserFiles):
    """Structures of one or more trajectories over one topology, all periodic or all isolated; without labels.

    The files are read once in each process. Atoms may be wrapped in any way: molecules and sites follow from bonds, and
    bonds that are found from distances use the minimum image. If a format does not say how many frames a file has (XTC,
    TRR), a half-written frame at the end is left out, as MDAnalysis does.
    """

    kind: ClassVar[str] = "trajectory"
    Config: ClassVar[type[DatasetConfig]] = TrajectoryConfig
    labelled: ClassVar[bool] = False

    def __init__(self, config: TrajectoryConfig) -> None:
        self.config = config

    @property
    def title(self) -> str:
        return f"structures of {', '.join(Path(name).name for name in self.config.trajectory)}"

    def outline(self, data_dir: Path) -> Outline:
        """See `DatasetTask.outline`; the frames are counted, not read."""
        topology, trajectories = self._files(data_dir)
        with _explained_errors(topology[0]):
            universe = MDAnalysis.Universe(os.fspath(topology[0]))
        counts = [len(_open(universe, path, self.config)) for path, _ in trajectories]
        return Outline(_groups(counts, [path for path, _ in trajectories], self.config))

    def frames(self, data_dir: Path) -> Frames:
        """See `UserFiles.frames`."""
        topology, trajectories = self._files(data_dir)
        return _read(topology, trajectories, self.config)

    def _files(self, data_dir: Path) -> tuple[FileVersion, tuple[FileVersion, ...]]:
        topology, *trajectories = (
            (path, file_version(path))
            for path in (find_file(name, data_dir) for name in (self.config.topology, *self.config.trajectory))
        )
        return topology, tuple(trajectories)


@contextmanager
def _explained_errors(path: Path, frame: int | None = None) -> Iterator[None]:
    """Without the readers' warnings; any error of theirs becomes a DatasetError that names the file."""
    place = f"{path}" if frame is None else f"{path}: frame {frame}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about fields that a format lacks; what matters is checked here
            yield
    except DatasetError:
        raise
    except Exception as error:  # MDAnalysis' readers raise anything
        raise DatasetError(
            f"{place} cannot be read ({type(error).__name__}: {error}). The file is truncated or damaged, does not "
            f"belong to the topology, or its name is not one by which MDAnalysis knows the format"
        ) from error


def _open(universe: MDAnalysis.Universe, path: Path, config: TrajectoryConfig) -> range:
    """Opens a trajectory in the universe; returns the numbers of the frames to read.

    Raises:
        DatasetError: it cannot be read, has other atoms than the topology, or no frame is selected.
    """
    with _explained_errors(path):
        universe.load_new(os.fspath(path))
    held = universe.trajectory.n_frames
    frames = range(held)[config.start : config.stop : config.every]
    promised = _promised_by_dcd(path)
    if promised > held and (config.stop is None or config.stop > held):
        raise DatasetError(
            f"{path}: truncated, its header speaks of {promised} frames and {held} are there. Copy it again, or take "
            f"what is there with the option 'stop': {held}"
        )
    if not frames:
        raise DatasetError(
            f"{path}: start {config.start}, stop {config.stop} and every {config.every} select none of its {held} "
            f"frames; correct these options"
        )
    return frames


def _promised_by_dcd(path: Path) -> int:
    """Number of frames by the header of a DCD file, which MDAnalysis does not check; 0 for other files."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] != b"CORD":
        return 0
    order = "<" if head[:4] == struct.pack("<i", 84) else ">"
    promised: int = struct.unpack(f"{order}i", head[8:])[0]
    return promised


def _groups(counts: list[int], paths: list[Path], config: TrajectoryConfig) -> NDArray[np.int64]:
    """Number of the block of each frame, (F,), over all trajectories."""
    return np.concatenate(
        [
            number * config.blocks + block_groups(count, config.blocks, str(path))
            for number, (count, path) in enumerate(zip(counts, paths, strict=True))
        ]
    )


@lru_cache(maxsize=4)
def _read(topology: FileVersion, trajectories: tuple[FileVersion, ...], config: TrajectoryConfig) -> Frames:
    """Content of the files; their versions are part of the cache key, so that changed files are read again."""
    path = topology[0]
    with _explained_errors(path):
        universe = MDAnalysis.Universe(os.fspath(path))
    samples: list[Data] = []
    trajectory_frames: list[tuple[int, int]] = []
    origins: list[tuple[str, int]] = []
    steps: list[float] = []
    counts = []
    chosen: MDAnalysis.AtomGroup | None = None
    for number, (file, _) in enumerate(trajectories):
        frames = _open(universe, file, config)
        counts.append(len(frames))
        looked_at: list[NDArray[np.float32]] = []
        for frame in frames:
            place = f"{file}: frame {frame}"
            with _explained_errors(file, frame):
                step = universe.trajectory[frame]
            if chosen is None:
                chosen = _select(universe, config)
                z, notes = _elements(chosen, path)
            pos, box = _geometry(chosen.positions, step.dimensions, place)
            if len(looked_at) < PRECISION_FRAMES:
                looked_at.append(chosen.positions)
            if not samples:
                members, source = _topology(universe, chosen, z, pos, box, config)
            samples.append(make_sample(z, pos, members.molecule, members.site, box))
            trajectory_frames.append((number, frame))
            origins.append((file.name, frame))
        steps.append(rounding_step(looked_at))
    files = [file for file, _ in trajectories]
    check_same_periodicity(samples, ", ".join(str(file) for file in files))
    words, compositions = describe_compositions(samples)
    provenance = {
        "source": "files of the user's, read with MDAnalysis",
        "files": {file.name: pooch.file_hash(str(file), alg="sha256") for file in (path, *files)},
        "options": config.model_dump(mode="json", exclude={"topology", "trajectory"}),
        "bonds": source,
        "compositions": compositions,
        "versions": {"MDAnalysis": version("MDAnalysis")},
    }
    title = f"{words} from {', '.join(file.name for file in files)}"
    return Frames(
        samples=tuple(samples),
        outline=Outline(_groups(counts, files, config)),
        trajectory_frames=np.array(trajectory_frames, dtype=np.int64),
        provenance=provenance,
        title=title,
        origins=tuple(origins),
        precision_A=max(steps),
        warnings=notes,
    )


def _select(universe: MDAnalysis.Universe, config: TrajectoryConfig) -> MDAnalysis.AtomGroup:
    """The selected atoms, by the topology and the current frame."""
    try:
        chosen = universe.select_atoms(config.selection)
    except Exception as error:  # SelectionError, or an attribute that the topology lacks
        raise DatasetError(f"selection {config.selection!r} cannot be used ({error}); correct the option") from error
    if not len(chosen):
        raise DatasetError(
            f"selection {config.selection!r} takes none of the {len(universe.atoms)} atoms; correct the option"
        )
    return chosen


def _elements(chosen: MDAnalysis.AtomGroup, topology: Path) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Atomic numbers, (N,), from the topology's elements or else from the atom names, with a warning in that case."""
    symbols = [str(s) for s in chosen.elements] if hasattr(chosen, "elements") else [""] * len(chosen)
    names = [str(n) for n in chosen.names] if hasattr(chosen, "names") else [""] * len(chosen)
    guesser = DefaultGuesser(chosen.universe)
    guessed: dict[str, str] = {}
    for atom, name in enumerate(names):
        if not symbols[atom].strip():
            symbols[atom] = guessed[name] = str(guesser.guess_atom_element(name)) if name else ""
    numbers = [atomic_numbers.get(symbol.strip().capitalize(), 0) for symbol in symbols]
    unknown = sorted({names[atom] or f"atom {atom}" for atom, number in enumerate(numbers) if not number})
    if unknown:
        raise DatasetError(
            f"{topology}: no elements of {', '.join(unknown[:5])}. Use a topology that names them (a PDB file with "
            f"element column, say), or leave these atoms out with the option 'selection'"
        )
    if not guessed:
        return np.array(numbers, dtype=np.int64), ()
    pairs = ", ".join(f"{name} is {symbol}" for name, symbol in sorted(guessed.items()))
    return np.array(numbers, dtype=np.int64), (f"{topology.name} names no elements; guessed from the names: {pairs}",)


def _geometry(
    positions: NDArray[np.float32], dimensions: NDArray[np.float32] | None, place: str
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Positions, (N, 3), and the reduced box, (3, 3), both in Å; None for the box if there are no dimensions."""
    pos = np.asarray(positions, dtype=np.float64)
    if not (np.abs(pos) <= LARGEST).all():
        raise DatasetError(
            f"{place}: positions are NaN or infinite or beyond {LARGEST:g} Å; leave the frame out with 'start', "
            "'stop', 'every'"
        )
    if dimensions is None or not np.any(dimensions[:3]):
        return pos, None
    with np.errstate(invalid="ignore"):
        vectors = np.asarray(triclinic_vectors(dimensions), dtype=np.float64)
    if not vectors.any():  # MDAnalysis' result for an impossible box
        raise DatasetError(
            f"{place}: lengths and angles {np.round(dimensions, 3).tolist()} are not those of a box; correct the file"
        )
    box, rotation = reduced_box_at(vectors, place)
    return pos @ rotation.T, box


def _topology(
    universe: MDAnalysis.Universe,
    chosen: MDAnalysis.AtomGroup,
    z: NDArray[np.int64],
    pos: NDArray[np.float64],
    box: NDArray[np.float64] | None,
    config: TrajectoryConfig,
) -> tuple[Topology, str]:
    """Molecules and sites of the selected atoms, and where their bonds come from."""
    number = np.full(len(universe.atoms), -1, dtype=np.int64)
    number[chosen.indices] = np.arange(len(chosen))
    pairs = number[universe.bonds.indices if hasattr(universe, "bonds") else np.empty((0, 2), dtype=np.int64)]
    bonds = pairs[(pairs >= 0).all(axis=1)]
    # PDB files often name only some of the bonds.
    complete = bool(len(bonds)) and np.isin(np.flatnonzero(z == HYDROGEN), bonds).all()
    if config.guess_bonds is False and not len(bonds):
        raise DatasetError(
            f"{config.topology}: no bonds among the chosen atoms, and guess_bonds is false; set it to true, or use a "
            f"topology with bonds"
        )
    if config.guess_bonds or (config.guess_bonds is None and not complete):
        return topology_of_bonds(z, find_bonds(z, pos, box)), "distances in the first frame"
    return topology_of_bonds(z, bonds), "topology"
