"""Prepared datasets on disk: made once, under a lock, and either complete or not there at all.

A dataset is a folder named after its kind and the hash of its parameters. It is written under a temporary name, its
manifest last, and renamed when complete. A folder without a manifest is therefore never a dataset.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
import psutil
from filelock import FileLock, Timeout

from tasks.datasets.base import DatasetError, NotPreparedError, Progress

DATA_DIR_VARIABLE = "NNP_BENCH_DATA"
MANIFEST = "dataset.json"

Build = Callable[[Path], dict[str, Any]]
"""Writes all files of a dataset into the given empty folder and returns the provenance (can be written as JSON)."""


def default_data_dir() -> Path:
    """Folder of all datasets: `$NNP_BENCH_DATA`, else the platform's user cache."""
    chosen = os.environ.get(DATA_DIR_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("nnp-pretrain-bench"))


def writable_dir(data_dir: Path) -> Path:
    """Where datasets and downloads are written: `data_dir`, or `default_data_dir()` if `data_dir` is read-only.

    A folder that does not exist yet is returned as it is: creating it will succeed, or fail with a clear message. A
    read-only folder is returned as well if the default cannot be written either.
    """
    if not data_dir.is_dir() or _can_write(data_dir):
        return data_dir
    default = default_data_dir().absolute()
    there = next(folder for folder in (default, *default.parents) if folder.is_dir())
    return default if _can_write(there) else data_dir


def dataset_folder(data_dir: Path, kind: str, parameters: Mapping[str, Any], format_version: int) -> Path:
    """Folder of the dataset with these parameters, whether it exists or not: in `data_dir`, else `writable_dir`.

    Args:
        data_dir: folder of all datasets.
        kind: the dataset's kind, the first part of the folder's name.
        parameters: everything that determines the data; can be written as JSON.
        format_version: to be raised when the same parameters start to give other data or other files.
    """
    text = json.dumps(
        {"kind": kind, "format_version": format_version, "parameters": dict(parameters)},
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    )
    name = f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    own = data_dir / name
    return own if (own / MANIFEST).is_file() else writable_dir(data_dir) / name


def ensure(
    data_dir: Path,
    kind: str,
    parameters: Mapping[str, Any],
    format_version: int,
    build: Build,
    progress: Progress | None = None,
) -> Path:
    """Returns the dataset's folder, and builds the dataset first if it is not there.

    Safe to call from several processes at once: one builds, the others wait. Leftovers of a killed process are
    removed. See `dataset_folder` for the arguments.

    Raises:
        DatasetError: the folder cannot be written, or the dataset in it is damaged.
    """
    folder = dataset_folder(data_dir, kind, parameters, format_version)
    if (folder / MANIFEST).is_file():
        _read_manifest(folder, checksums=False)
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.parent / f".{folder.name}.lock", "makes this dataset", progress):
            if not (folder / MANIFEST).is_file():
                _build(folder, kind, parameters, format_version, build)
    except OSError as error:
        raise DatasetError(
            f"cannot write the dataset folder {folder}: {error.strerror or error}. Free space "
            f"there or make it writable, or choose another one, e.g. with the variable {DATA_DIR_VARIABLE}"
        ) from error
    return folder


@contextmanager
def locked(path: Path, work: str, progress: Progress | None) -> Iterator[None]:
    """Holds the lock file `path`; reports if it has to wait for another process that does `work`."""
    # Other users of a shared folder must be able to take the lock as well.
    lock = FileLock(path, mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress:
            progress(f"waiting for another process that {work}", 0.0)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check_memory(path: Path, needed: int) -> None:
    """Make sure that what a file unpacks to fits into memory, before any is asked for.

    Raises:
        DatasetError: naming the file.
    """
    free = psutil.virtual_memory().available
    if needed > free:
        raise DatasetError(
            f"{path} needs {needed / 1e9:.3g} GB of memory unpacked, and {free / 1e9:.3g} GB are free. If it is not "
            "damaged, split it or use a machine with more"
        )


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_dataset(
    data_dir: Path, kind: str, parameters: Mapping[str, Any], format_version: int
) -> tuple[Path, dict[str, Any]]:
    """The dataset's folder and its provenance, after checking size and SHA-256 of every file.

    Raises:
        DatasetError: the dataset is missing or incomplete, or one of its files is damaged.
    """
    folder = dataset_folder(data_dir, kind, parameters, format_version)
    if not (folder / MANIFEST).is_file():
        raise NotPreparedError(f"there is no complete dataset in {folder}; it has to be prepared first")
    return folder, _read_manifest(folder, checksums=True)["provenance"]


def _can_write(folder: Path) -> bool:
    """Whether files can be created in an existing folder."""
    # The superuser can write to a folder that is write-protected for everyone, but its owner does not want that.
    if not stat.S_IMODE(folder.stat().st_mode) & 0o222:
        return False
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        # A full disk should be reported, not avoided.
        return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _build(folder: Path, kind: str, parameters: Mapping[str, Any], format_version: int, build: Build) -> None:
    """Builds `folder`; its lock must be held."""
    for leftover in folder.parent.glob(f".{folder.name}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    # Each attempt has its own name: an orphaned process of a killed run cannot write into a later attempt.
    partial = folder.parent / f".{folder.name}.partial-{uuid.uuid4().hex[:8]}"
    partial.mkdir()
    try:
        provenance = build(partial)
        files = {
            path.relative_to(partial).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(partial.rglob("*"))
            if path.is_file()
        }
        manifest = {
            "kind": kind,
            "format_version": format_version,
            "parameters": dict(parameters),
            "provenance": provenance,
            "files": files,
        }
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1, allow_nan=False) + "\n", "utf-8")
        if folder.exists():  # without a manifest: not a dataset
            shutil.rmtree(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _read_manifest(folder: Path, checksums: bool) -> dict[str, Any]:
    """The manifest, after a check of the files it lists: their sizes, and if asked for their SHA-256."""
    remedy = f"Delete the folder {folder} and prepare the dataset again"
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text("utf-8"))
        listed = {folder / name: (entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()}
        manifest["provenance"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"damaged dataset: {path} cannot be read ({error!r}). {remedy}") from error
    for file, (size, digest) in listed.items():
        try:
            found = file.stat().st_size
            if found != size:
                raise DatasetError(f"damaged dataset: {file} has {found} bytes instead of {size}. {remedy}")
            if checksums and sha256(file) != digest:
                raise DatasetError(f"damaged dataset: the SHA-256 of {file} is not the recorded one. {remedy}")
        except OSError as error:
            raise DatasetError(f"damaged dataset: {file} cannot be read ({error}). {remedy}") from error
    return manifest
