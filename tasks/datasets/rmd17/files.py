"""Files of rMD17: npz files of frames, lists of frames, the whole archive. Checked; units are those of the files."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from ase.formula import Formula
from numpy.typing import NDArray

from tasks.datasets.base import DatasetError, Progress
from tasks.datasets.storage.cache import check_memory, sha256
from tasks.datasets.structures.units import LARGEST

FORMULAS = {
    "aspirin": "C9H8O4",
    "azobenzene": "C12H10N2",
    "benzene": "C6H6",
    "ethanol": "C2H6O",
    "malonaldehyde": "C3H4O2",
    "naphthalene": "C10H8",
    "paracetamol": "C8H9NO2",
    "salicylic": "C7H6O3",
    "toluene": "C7H8",
    "uracil": "C4H4N2O2",
}
LABELS = ("coords", "energies", "forces")
"""Arrays that must be equal wherever the same frame of MD17 occurs."""
REMEDY = "delete the damaged file and download it again"


def composition(molecule: str) -> NDArray[np.int64]:
    """Atomic numbers of a molecule, ascending, (N,)."""
    counts = Formula(FORMULAS[molecule]).count()
    return np.sort([atomic_numbers[symbol] for symbol, count in counts.items() for _ in range(count)]).astype(np.int64)


def read_frames(file: Path, molecule: str) -> dict[str, NDArray[Any]]:
    """All arrays of a file, checked; in the units of the file."""
    frames = read_arrays(file, ("nuclear_charges", "old_indices", *LABELS))
    z = frames["nuclear_charges"]
    if not np.array_equal(np.sort(z), composition(molecule)):
        wrong = z[(z < 1) | (z >= len(chemical_symbols))]
        symbols = [] if len(wrong) else [chemical_symbols[number] for number in z]
        found = f"atomic number {wrong[0]}" if len(wrong) else Formula.from_list(symbols).format("hill")
        raise DatasetError(f"{file}: nuclear_charges has {found}, {molecule} is {FORMULAS[molecule]}; {REMEDY}")
    for key in LABELS:
        bad = np.flatnonzero(~(np.abs(frames[key]) <= LARGEST).reshape(len(frames[key]), -1).all(axis=1))
        if len(bad):
            raise DatasetError(
                f"{file}: {key} of frame {bad[0]} is not finite or beyond {LARGEST:g} ({len(bad)} such frames); "
                f"{REMEDY}"
            )
    return frames


def read_arrays(file: Path, keys: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Some arrays of an npz file, with their shapes checked; whole numbers as int64, others as float64."""
    try:
        with zipfile.ZipFile(file) as content:
            check_memory(file, sum(entry.file_size for entry in content.infolist()))
        with np.load(file, allow_pickle=False) as archive:
            missing = [key for key in keys if key not in archive]
            arrays = {key: archive[key] for key in keys if key not in missing}
    except DatasetError:
        raise
    except Exception as error:  # of a damaged header, NumPy's and zipfile's readers raise anything
        raise DatasetError(f"{file} cannot be read as an npz file ({error}); {REMEDY}") from error
    if missing:
        raise DatasetError(f"{file} has no {', '.join(missing)}; {REMEDY}")
    frames, atoms = arrays["old_indices"].size, arrays.get("nuclear_charges", np.empty(0)).size
    shapes = {
        "nuclear_charges": (atoms,),
        "old_indices": (frames,),
        "coords": (frames, atoms, 3),
        "energies": (frames,),
        "forces": (frames, atoms, 3),
    }
    for key, array in arrays.items():
        if array.shape != shapes[key] or not array.size or array.dtype.kind not in "iuf":
            raise DatasetError(
                f"{file}: {key} has shape {array.shape} and type {array.dtype}; with {frames} old_indices and "
                f"{atoms} nuclear_charges numbers of shape {shapes[key]} are needed, and at least one frame; {REMEDY}"
            )
        whole = key in ("nuclear_charges", "old_indices")
        arrays[key] = array.astype(np.int64 if whole else np.float64)
        if whole and not np.array_equal(arrays[key], array):
            raise DatasetError(f"{file}: {key} has numbers that are not whole; {REMEDY}")
    return arrays


def read_numbers(path: Path, frames: int) -> NDArray[np.int64]:
    """Numbers of frames from a text file, one per line, below `frames`, (F,) int64."""
    try:
        numbers = np.loadtxt(path, dtype=np.float64, ndmin=1)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as numbers of frames, one a line ({error}); {REMEDY}") from error
    wrong = np.flatnonzero(~((numbers >= 0) & (numbers < frames) & (numbers % 1 == 0))) if numbers.ndim == 1 else [0]
    if not numbers.size or len(wrong):
        where = f"line {wrong[0] + 1} is {numbers[wrong[0]]}" if numbers.size else "it is empty"
        raise DatasetError(f"{path}: {where}; whole numbers from 0 to {frames - 1}, one a line, are needed; {REMEDY}")
    return numbers.astype(np.int64)


def unpack(archive: Path, progress: Progress | None, folder: Path) -> dict[str, Any]:
    """Extracts the npz files and lists of frames of the archive into `folder`; returns the provenance."""
    wanted = {"npz_data": ".npz", "splits": ".csv"}
    found = 0
    try:
        with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|*") as tar:
            for member in tar:
                place, name = PurePosixPath(member.name).parent.name, PurePosixPath(member.name).name
                content = tar.extractfile(member) if member.isfile() else None
                if content is None or not name.endswith(wanted.get(place, "/")):
                    continue
                path = folder / place / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as target:
                    shutil.copyfileobj(content, target)
                found += 1
                if progress:
                    progress(f"unpacking {archive.name}: {name}", raw.tell() / archive.stat().st_size)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DatasetError(f"{archive} cannot be unpacked ({error}); {REMEDY}") from error
    if not found:
        raise DatasetError(f"{archive} has no npz_data/*.npz and no splits/*.csv; {REMEDY}")
    return {"source": archive.name, "sha256": sha256(archive)}
