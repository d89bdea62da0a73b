"""The user's own structures with energies and forces, from any file that ASE reads."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
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
from tasks.datasets.own.grouping import (
    divided_warnings,
    group_name,
    named_sets,
    number_groups,
    set_name,
    ungrouped_warnings,
)
from tasks.datasets.own.options import ExtXYZConfig
from tasks.datasets.structures.molecules import find_bonds, topology_of_bonds
from tasks.datasets.structures.precision import PRECISION_FRAMES, rounding_step
from tasks.datasets.structures.samples import make_sample
from tasks.datasets.structures.units import LARGEST, energy_unit_eV, force_unit_eV_per_A, length_unit_A

COLUMNS = re.compile(rb"(\w+):[SRILsril]:(\d+)")
"""A field and its number of columns, in the line of an extended XYZ file that declares them."""


class ExtXYZ(UserFiles):
    """Structures with energies and forces from a file, all periodic in three directions or all isolated.

    Sets that the user has made may be files of their own. Files are read once in each process; nothing is written.
    Molecules and sites are found from the geometry of each frame.
    """

    kind: ClassVar[str] = "extxyz"
    Config: ClassVar[type[DatasetConfig]] = ExtXYZConfig

    def __init__(self, config: ExtXYZConfig) -> None:
        self.config = config

    @property
    def title(self) -> str:
        return f"labelled structures of {', '.join(Path(name).name for name in self.config.paths.values())}"

    def frames(self, data_dir: Path) -> Frames:
        """See `UserFiles.frames`."""
        found = {name: find_file(path, data_dir) for name, path in self.config.paths.items()}
        return _read(tuple((name, path, file_version(path)) for name, path in found.items()), self.config)


@lru_cache(maxsize=4)
def _read(files: tuple[tuple[str, Path, tuple[int, int]], ...], config: ExtXYZConfig) -> Frames:
    """Content of the files; their versions are part of the cache key, so that changed files are read again."""
    samples: list[Data] = []
    infos: list[dict[str, Any]] = []
    groups: list[str] = []
    sets: list[str] = []
    origins: list[tuple[str, int]] = []
    steps = []
    for name, path, _ in files:
        frames = _parse(path, config)
        if not frames:
            raise DatasetError(f"{path}: index {config.index!r} selects no frame; ':' takes all that the file has")
        steps.append(rounding_step([atoms.positions for atoms in itertools.islice(frames.values(), PRECISION_FRAMES)]))
        for number, (frame, atoms) in enumerate(frames.items()):
            place = _place(path, number, config)
            groups.append(group_name(atoms.info, config, len(samples), place))
            sets.append(set_name(atoms.info, config.set_key, place) if config.set_key else name)
            samples.append(_sample(atoms, config, place))
            infos.append(atoms.info)
            origins.append((path.name, frame))
    paths = [path for _, path, _ in files]
    check_same_periodicity(samples, ", ".join(str(path) for path in paths))
    outline, trajectory_frames = _outline(groups, sets, config, str(paths[0]))
    words, compositions = describe_compositions(samples)
    hashes = [pooch.file_hash(str(path), alg="sha256") for path in paths]
    source = {"file": paths[0].name, "sha256": hashes[0]}
    if len(paths) > 1:
        source = {"files": {path.name: digest for path, digest in zip(paths, hashes, strict=True)}}
    provenance = {
        "source": "file of the user's, read with ASE",
        **source,
        "options": config.model_dump(mode="json", exclude={"path", "val_path", "test_path"}),
        "units_of_file": config.units,
        "compositions": compositions,
        "versions": {"ase": version("ase")},
    }
    warnings: tuple[str, ...] = ()
    if outline.named is not None and config.group_key is not None:
        warnings = divided_warnings(groups, sets)
    elif config.group_key is None and config.blocks is None and outline.named is None:
        warnings = ungrouped_warnings(infos, samples, paths[0].name)
    return Frames(
        samples=tuple(samples),
        outline=outline,
        trajectory_frames=trajectory_frames,
        provenance=provenance,
        title=f"{words} from {', '.join(path.name for path in paths)}",
        origins=tuple(origins),
        precision_A=length_unit_A(config.length_unit) * max(steps),
        warnings=warnings,
    )


def _parse(path: Path, config: ExtXYZConfig) -> dict[int, ase.Atoms]:
    """The frames that the index selects, by their number in the file."""
    if config.format in ("extxyz", "xyz") or (config.format is None and path.suffix in (".xyz", ".extxyz")):
        _check_counts(path)
    chosen = _selection(config.index)
    # From the end of a file its frames can be numbered only once all are read.
    from_end = any(part is not None and part < 0 for part in (chosen.start, chosen.stop, chosen.step))
    index: str | slice = ":" if from_end else chosen
    frames: list[ase.Atoms] = []
    try:
        for atoms in ase.io.iread(str(path), index=index, format=config.format, do_not_split_by_at_sign=True):
            frames.append(atoms)
    except Exception as error:  # ASE's readers raise anything
        # Some readers go through the whole file before they return the first frame.
        place = _place(path, len(frames), config) if frames else str(path)
        raise DatasetError(
            f"{place} cannot be read ({type(error).__name__}: {error}). The file is "
            f"truncated or damaged, or its name does not tell its format: then set the option 'format'"
        ) from error
    if from_end:
        return {number: frames[number] for number in range(len(frames))[chosen]}
    return dict(zip(itertools.count(chosen.start or 0, chosen.step or 1), frames))


def _selection(index: str) -> slice:
    """A slice as it is written; a single number selects one frame."""
    parts = [int(part) if part.strip() else None for part in index.split(":")]
    if len(parts) > 1:
        return slice(*parts)
    assert parts[0] is not None
    return slice(parts[0], parts[0] + 1 or None)


def _check_counts(path: Path) -> None:
    """Make sure that the file has the lines and columns that its headers promise: ASE would count to any number."""
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
            for name, columns in COLUMNS.findall(file.readline()):
                if len(columns) > 9 or int(columns) > size:
                    raise DatasetError(
                        f"{path}, line {line + 1}: {columns[:20].decode()} columns of {name.decode(errors='replace')} "
                        f"are announced, and the file has {size} bytes. The file is damaged"
                    )
            line += 1 + sum(1 for _ in itertools.islice(iter(file.readline, b""), atoms))


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
        raise DatasetError(f"{place}: no {name} under the name {key!r}; {_remedy(sorted(there), option)}")
    return _numbers(known[key], shape, f"{place}: {key}")


def _remedy(there: Sequence[str], option: str) -> str:
    """What to do about a label that has another name, or none."""
    if there:
        return f"of the right shape are {there}. Give the name with the option '{option}'"
    return (
        "nothing in the file has the right shape. Write labels into the file; structures without labels are for "
        "pretraining only, under `structures`"
    )


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


def _outline(
    groups: Sequence[str], sets: Sequence[str], config: ExtXYZConfig, place: str
) -> tuple[Outline, NDArray[np.int64] | None]:
    """Outline of the frames, and `Dataset.trajectory_frames`, (F, 2), if the order in time is known.

    Args:
        groups: name of each frame's trajectory.
        sets: name of the set that each frame belongs to, which counts only where the options name sets.
        config: the options.
        place: for messages.
    """
    named = named_sets(sets) if config.names_sets else None
    # In a selection of frames the distance in time is not known, nor in files that hold parts of trajectories.
    whole = config.index.strip() == ":" and config.test_path is None
    if config.blocks is not None:
        frames = np.arange(len(groups), dtype=np.int64)
        trajectory_frames = np.stack([np.zeros_like(frames), frames], axis=1) if whole else None
        return Outline(block_groups(len(groups), config.blocks, place)), trajectory_frames
    # The frames of a trajectory are counted in the order of the file.
    numbers, trajectory_frames = number_groups(groups)
    return Outline(numbers, named=named), trajectory_frames if config.group_key is not None and whole else None
