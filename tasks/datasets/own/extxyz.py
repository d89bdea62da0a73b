"""The user's own labelled structures, in any file that ASE reads."""

from __future__ import annotations

import re
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
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator
from torch_geometric.data import Data

from tasks.datasets.base import DatasetConfig, DatasetError
from tasks.datasets.own.files import (
    Frames,
    UserFiles,
    block_groups,
    check_one_sort,
    describe_compositions,
    file_version,
    find_file,
    make_structure,
    reduced_box_at,
)
from tasks.datasets.structures.molecules import find_bonds, topology_of_bonds
from tasks.datasets.structures.plausibility import energy_unit_eV, force_unit_eV_per_A, length_unit_A

SLICE = re.compile(r"\s*-?\d+\s*|\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(:\s*(-?\d+)?\s*)?")


class ExtXYZConfig(DatasetConfig):
    """Where the structures are, and what the file calls things."""

    path: str = Field(
        min_length=1,
        description="File that ASE reads; absolute, or relative to the data folder or to the working directory.",
    )
    index: str = Field(":", description="Which frames of the file, as a Python slice: ':', '::10', '-100:'.")
    format: str | None = Field(None, description="ASE's name of the format; without one, ASE goes by the file's name.")
    energy_key: str | None = Field(
        None, description="What the file calls the energy, e.g. REF_energy; without one, the energy that ASE reads."
    )
    forces_key: str | None = Field(
        None, description="What the file calls the forces; without one, the forces that ASE reads."
    )
    energy_unit: str = Field(
        "eV",
        description="Unit of the energies as ASE gives them: eV, meV, hartree, Ry, kcal/mol, kJ/mol. ASE itself "
        "converts what programs write; set this where a file keeps another unit.",
    )
    length_unit: str = Field("Å", description="Unit of positions and box as ASE gives them: Å, nm, bohr.")
    force_unit: str | None = Field(
        None, description="Unit of the forces, e.g. kcal/mol/Å; without one, the energy's over the length's."
    )
    group_key: str | None = Field(
        None, description="Entry of a frame's comment line (ASE's `info`) that names the trajectory it came from."
    )
    blocks: int | None = Field(
        None,
        gt=1,
        description="For a file that is one trajectory in order of time: cut it into this many contiguous blocks, "
        "which no split divides. Without blocks and group_key, every frame counts as a trajectory of its own.",
    )

    @field_validator("index")
    @classmethod
    def _is_slice(cls, index: str) -> str:
        if not SLICE.fullmatch(index):
            raise ValueError("is no slice; write e.g. ':', '::10' or '-100:'")
        return index

    @field_validator("energy_unit")
    @classmethod
    def _is_energy(cls, name: str) -> str:
        energy_unit_eV(name)
        return name

    @field_validator("length_unit")
    @classmethod
    def _is_length(cls, name: str) -> str:
        length_unit_A(name)
        return name

    @field_validator("force_unit")
    @classmethod
    def _is_force(cls, name: str | None) -> str | None:
        if name is not None:
            force_unit_eV_per_A(name)
        return name

    @model_validator(mode="after")
    def _one_grouping(self) -> ExtXYZConfig:
        if self.group_key is not None and self.blocks is not None:
            raise ValueError("group_key and blocks exclude each other: a file is many trajectories or one")
        return self

    @property
    def units(self) -> dict[str, str]:
        """What the file's numbers are in."""
        force = self.force_unit or f"{self.energy_unit}/{self.length_unit}"
        return {"energy": self.energy_unit, "length": self.length_unit, "force": force}


class ExtXYZ(UserFiles):
    """Structures with energies and forces from one file, all periodic in three directions or all isolated.

    The file is read as it is, once in each process; nothing is written. Molecules and sites are found from the
    geometry of each frame.
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
    """Parses a file; `state` makes a changed file another one."""
    samples: list[Data] = []
    names: list[str] = []
    for number, atoms in enumerate(_parse(path, config)):
        place = _place(path, number, config)
        samples.append(_sample(atoms, config, place))
        names.append(_group_name(atoms, config, number, place))
    if not samples:
        raise DatasetError(f"{path}: index {config.index!r} selects no frame; ':' takes all that the file has")
    check_one_sort(samples, str(path))
    groups, moments = _groups(names, config, str(path))
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
    return Frames(tuple(samples), groups, moments, provenance, f"{words} from {path.name}")


def _parse(path: Path, config: ExtXYZConfig) -> Sequence[ase.Atoms]:
    """All frames that the index selects."""
    frames: list[ase.Atoms] = []
    try:
        for atoms in ase.io.iread(str(path), index=config.index, format=config.format, do_not_split_by_at_sign=True):
            frames.append(atoms)
    except Exception as error:  # ASE's readers raise whatever their parsing trips over
        # Some readers look through the whole file before they give the first frame.
        place = _place(path, len(frames), config) if frames else str(path)
        raise DatasetError(
            f"{place} cannot be read ({type(error).__name__}: {error}). The file is "
            f"truncated or damaged, or of a format that its name does not tell: then set the option 'format'"
        ) from error
    return frames


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
                f"{place}: periodic in {int(atoms.pbc.sum())} of 3 directions; three or none are possible. Surfaces "
                f"can be made periodic in all, with a vacuum between the layers"
            )
        box, rotation = reduced_box_at(length_unit_A(config.length_unit) * atoms.cell.array, place)
        pos, forces = pos @ rotation.T, forces @ rotation.T
    sample = make_structure(z, pos, box, topology_of_bonds(z, find_bonds(z, pos, box)))
    sample.y = torch.tensor(energy, dtype=torch.float64).reshape(1, 1)
    sample.neg_dy = torch.tensor(forces, dtype=torch.float32)
    return sample


def _label(atoms: ase.Atoms, config: ExtXYZConfig, name: str, place: str) -> NDArray[np.float64]:
    """The energy, (), or the forces, (N, 3), in the file's unit.

    Of a calculator the stored results are taken: ASE's `get_forces` sets those of fixed atoms to zero.
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
    """Finite numbers of a shape; a single number may come as an array."""
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{place}: {value!r} is no number; correct the file") from error
    if numbers.size == 1 and shape == ():
        numbers = numbers.reshape(())
    if numbers.shape != shape:
        raise DatasetError(f"{place}: shape {numbers.shape}; {shape} is needed. Correct the file")
    if not np.isfinite(numbers).all():
        raise DatasetError(f"{place}: NaN or infinite; take the frame out of the file or mend it")
    return numbers


def _group_name(atoms: ase.Atoms, config: ExtXYZConfig, number: int, place: str) -> str:
    """What tells the frame's trajectory from others; its own number without a group key."""
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
    """Groups of the frames, (F,), and their moments, (F, 2), where the order in time is known."""
    frames = np.arange(len(names), dtype=np.int64)
    # Of a selection the distance in time is not known.
    whole = config.index.strip() == ":"
    if config.blocks is not None:
        moments = np.stack([np.zeros_like(frames), frames], axis=1) if whole else None
        return block_groups(len(names), config.blocks, place), moments
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    groups = np.array([numbers[name] for name in names], dtype=np.int64)
    if config.group_key is None or not whole:
        return groups, None
    # Frames of a trajectory are counted in the order of the file.
    counted: Counter[int] = Counter()
    within = np.empty_like(frames)
    for frame, group in enumerate(groups.tolist()):
        within[frame] = counted[group]
        counted[group] += 1
    return groups, np.stack([groups, within], axis=1)
