"""The user's own structures with energies and forces, from any file that ASE reads."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import ase
import ase.io
import numpy as np
import pooch
from numpy.typing import NDArray
from torch_geometric.data import Data

from tasks.datasets.base import DatasetConfig, DatasetError
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
from tasks.datasets.own.options import ExtXYZConfig
from tasks.datasets.structures.molecules import find_bonds, topology_of_bonds
from tasks.datasets.structures.samples import make_sample
from tasks.datasets.structures.units import LARGEST, energy_unit_eV, force_unit_eV_per_A, length_unit_A


class ExtXYZ(UserFiles):
    """Structures with energies and forces from one file, all periodic in three directions or all isolated.

    The file is read once in each process; nothing is written. Molecules and sites are found from the geometry of each
    frame.
    """

    kind: ClassVar[str] = "extxyz"
    Config: ClassVar[type[DatasetConfig]] = ExtXYZConfig

    def __init__(self, config: ExtXYZConfig) -> None:
        self.config = config

    @property
    def title(self) -> str:
        return f"labelled structures of {Path(self.config.path).name}"

    def frames(self, data_dir: Path) -> Frames:
        """See `UserFiles.frames`."""
        path = find_file(self.config.path, data_dir)
        return _read(path, file_version(path), self.config)


@lru_cache(maxsize=4)
def _read(path: Path, state: tuple[int, int], config: ExtXYZConfig) -> Frames:
    """Content of a file; `state` is part of the cache key, so that a changed file is read again."""
    samples: list[Data] = []
    names: list[str] = []
    for number, atoms in enumerate(_parse(path, config)):
        place = _place(path, number, config)
        samples.append(_sample(atoms, config, place))
        names.append(_group_name(atoms, config, number, place))
    if not samples:
        raise DatasetError(f"{path}: index {config.index!r} selects no frame; ':' takes all that the file has")
    check_same_periodicity(samples, str(path))
    groups, trajectory_frames = _groups(names, config, str(path))
    words, compositions = describe_compositions(samples)
    provenance = {
        "source": "file of the user's, read with ASE",
        "file": path.name,
        "sha256": pooch.file_hash(str(path), alg="sha256"),
        "options": config.model_dump(mode="json", exclude={"path"}),
        "units_of_file": config.units,
        "compositions": compositions,
        "versions": {"ase": version("ase")},
    }
    return Frames(tuple(samples), groups, trajectory_frames, provenance, f"{words} from {path.name}")


def _parse(path: Path, config: ExtXYZConfig) -> Sequence[ase.Atoms]:
    """The frames that the index selects."""
    if config.format in ("extxyz", "xyz") or (config.format is None and path.suffix in (".xyz", ".extxyz")):
        _check_counts(path)
    frames: list[ase.Atoms] = []
    try:
        for atoms in ase.io.iread(str(path), index=config.index, format=config.format, do_not_split_by_at_sign=True):
            frames.append(atoms)
    except Exception as error:  # ASE's readers raise anything
        # Some readers go through the whole file before they return the first frame.
        place = _place(path, len(frames), config) if frames else str(path)
        raise DatasetError(
            f"{place} cannot be read ({type(error).__name__}: {error}). The file is "
            f"truncated or damaged, or its name does not tell its format: then set the option 'format'"
        ) from error
    return frames


def _check_counts(path: Path) -> None:
    """Make sure that the file has the lines that its numbers of atoms promise: ASE would count to any number."""
    size, line = path.stat().st_size, 0
    with path.open("rb") as file:
        while count := file.readline(1000):
            line += 1
            try:
                atoms = int(count)
            except ValueError:
                return  # empty lines at the end, or what ASE will tell
            if not 0 <= atoms <= size - file.tell():
                raise DatasetError(
                    f"{path}, line {line}: {atoms} atoms are announced, and the file has {size - file.tell()} bytes "
                    "after it. The file is truncated or damaged"
                )
            line += sum(1 for _ in itertools.islice(iter(file.readline, b""), atoms + 1))


def _place(path: Path, number: int, config: ExtXYZConfig) -> str:
    return f"{path}: frame {number}" + ("" if config.index == ":" else f" of those that {config.index!r} selects")


def _sample(atoms: ase.Atoms, config: ExtXYZConfig, place: str) -> Data:
    """A frame with its labels, converted."""
    z = np.asarray(atoms.numbers, dtype=np.int64)
    if not len(z) or (z < 1).any():
        what = f"atom {int(np.argmax(z < 1))} is of an unknown element" if len(z) else "there are no atoms"
        raise DatasetError(f"{place}: {what}; correct the file")
    force_unit = force_unit_eV_per_A(config.units["force"])
    pos = length_unit_A(config.length_unit) * _numbers(atoms.positions, (len(z), 3), f"{place}: positions")
    energy = energy_unit_eV(config.energy_unit) * _label(atoms, config, "energy", place)
    forces = force_unit * _label(atoms, config, "forces", place)
    box = None
    if atoms.pbc.any():
        if not atoms.pbc.all():
            raise DatasetError(
                f"{place}: periodic in {int(atoms.pbc.sum())} of 3 directions; three or none are possible. Make "
                f"surfaces periodic in all three, with a vacuum between the layers"
            )
        box, rotation = reduced_box_at(length_unit_A(config.length_unit) * atoms.cell.array, place)
        pos, forces = pos @ rotation.T, forces @ rotation.T
    found = topology_of_bonds(z, find_bonds(z, pos, box))
    return make_sample(z, pos, found.molecule, found.site, box, float(energy), forces)


def _label(atoms: ase.Atoms, config: ExtXYZConfig, name: str, place: str) -> NDArray[np.float64]:
    """The energy, (), or the forces, (N, 3), in the file's unit.

    The stored results of the calculator are used, because ASE's `get_forces` sets forces on fixed atoms to zero.
    """
    option = f"{name}_key"
    key = getattr(config, option) or name
    results = {} if atoms.calc is None else atoms.calc.results
    known: Mapping[str, Any] = {**results, **atoms.info, **atoms.arrays}
    shape = (len(atoms), 3) if name == "forces" else ()
    if known.get(key) is None:
        there = [k for k, v in known.items() if k != "positions" and np.shape(v) == shape and not isinstance(v, str)]
        raise DatasetError(
            f"{place}: no {name} under the name {key!r}; of the right shape are {sorted(there) or 'none'}. Give the "
            f"name with the option '{option}'"
        )
    return _numbers(known[key], shape, f"{place}: {key}")


def _numbers(value: Any, shape: tuple[int, ...], place: str) -> NDArray[np.float64]:
    """Finite numbers of the given shape; a single number may be stored as an array."""
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{place}: {value!r} is not a number; correct the file") from error
    if numbers.size == 1 and shape == ():
        numbers = numbers.reshape(())
    if numbers.shape != shape:
        raise DatasetError(f"{place}: the shape is {numbers.shape}, not {shape}; correct the file")
    if not np.isfinite(numbers).all():
        raise DatasetError(f"{place}: NaN or infinite; remove the frame or correct the file")
    if numbers.size and np.abs(numbers).max() > LARGEST:
        raise DatasetError(
            f"{place}: {np.abs(numbers).max():g} is beyond {LARGEST:g}, which no structure has; remove the frame or "
            "correct the file"
        )
    return numbers


def _group_name(atoms: ase.Atoms, config: ExtXYZConfig, number: int, place: str) -> str:
    """Name of the frame's trajectory; the number of the frame if there is no group key."""
    if config.group_key is None:
        return str(number)
    if config.group_key not in atoms.info:
        raise DatasetError(
            f"{place}: no {config.group_key!r} in its comment line; there are {sorted(atoms.info) or 'none'}. Correct "
            f"the option 'group_key' or the file"
        )
    return str(atoms.info[config.group_key])


def _groups(
    names: Sequence[Hashable], config: ExtXYZConfig, place: str
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Groups of the frames, (F,), and `Dataset.trajectory_frames`, (F, 2), if the order in time is known."""
    frames = np.arange(len(names), dtype=np.int64)
    # In a selection of frames the distance in time is not known.
    whole = config.index.strip() == ":"
    if config.blocks is not None:
        trajectory_frames = np.stack([np.zeros_like(frames), frames], axis=1) if whole else None
        return block_groups(len(names), config.blocks, place), trajectory_frames
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    groups = np.array([numbers[name] for name in names], dtype=np.int64)
    if config.group_key is None or not whole:
        return groups, None
    # The frames of a trajectory are counted in the order of the file.
    counted: Counter[int] = Counter()
    within = np.empty_like(frames)
    for frame, group in enumerate(groups.tolist()):
        within[frame] = counted[group]
        counted[group] += 1
    return groups, np.stack([groups, within], axis=1)
