"""Datasets on disk: generated once, under a lock, and whole or not there at all.

A dataset is a folder named after its kind and the hash of its parameters. It is written under another name
beside its place and renamed when complete, its manifest last. A folder without a manifest is thus never data.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import platformdirs
import pooch
from filelock import FileLock, Timeout

from tasks.datasets.base import DatasetError, Progress

DATA_DIR_VARIABLE = "NNP_BENCH_DATA"
MANIFEST = "dataset.json"

Build = Callable[[Path], dict[str, Any]]
"""Writes all files of a dataset into the given empty folder and returns their provenance (JSON-able)."""


def default_data_dir() -> Path:
    """Folder of all datasets: `$NNP_BENCH_DATA`, else the platform's user cache."""
    chosen = os.environ.get(DATA_DIR_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("nnp-pretrain-bench"))


def dataset_folder(data_dir: Path, kind: str, parameters: Mapping[str, Any], format_version: int) -> Path:
    """Where the dataset with these parameters lies, or would lie.

    Args:
        data_dir: folder of all datasets.
        kind: the dataset's kind, the first part of the folder's name.
        parameters: everything that determines the data; JSON-able.
        format_version: to be raised when the same parameters begin to give other data or other files.
    """
    text = json.dumps(
        {"kind": kind, "format_version": format_version, "parameters": dict(parameters)},
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    )
    return data_dir / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def ensure(
    data_dir: Path,
    kind: str,
    parameters: Mapping[str, Any],
    format_version: int,
    build: Build,
    progress: Progress | None = None,
) -> Path:
    """Returns the dataset's folder, building it first if it is not there.

    Safe to call from several processes at once: one builds, the others wait. What a killed process left
    behind is removed. See `dataset_folder` for the arguments.

    Raises:
        DatasetError: the folder cannot be written, or the dataset that is there is damaged.
    """
    folder = dataset_folder(data_dir, kind, parameters, format_version)
    if (folder / MANIFEST).is_file():
        _read_manifest(folder, checksums=False)
        return folder
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        # Other users of a shared folder must be able to take the lock too.
        lock = FileLock(data_dir / f".{folder.name}.lock", mode=0o666)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if progress:
                progress("waiting for another process that makes this dataset", 0.0)
            lock.acquire()
        try:
            if not (folder / MANIFEST).is_file():
                _build(folder, kind, parameters, format_version, build)
        finally:
            lock.release()
    except OSError as error:
        raise DatasetError(
            f"cannot write the dataset folder {folder}: {error.strerror or error}. Free space "
            f"there or make it writable, or choose another one, e.g. by the variable {DATA_DIR_VARIABLE}"
        ) from error
    return folder


def open_dataset(
    data_dir: Path, kind: str, parameters: Mapping[str, Any], format_version: int
) -> tuple[Path, dict[str, Any]]:
    """The dataset's folder and its provenance, every file's size and SHA-256 checked.

    Raises:
        DatasetError: the dataset is missing or incomplete, or a file of it is damaged.
    """
    folder = dataset_folder(data_dir, kind, parameters, format_version)
    if not (folder / MANIFEST).is_file():
        raise DatasetError(f"there is no complete dataset in {folder}; it has to be prepared first")
    return folder, _read_manifest(folder, checksums=True)["provenance"]


def _build(folder: Path, kind: str, parameters: Mapping[str, Any], format_version: int, build: Build) -> None:
    """Builds `folder`; only to be called under its lock."""
    for leftover in folder.parent.glob(f".{folder.name}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    # A name of its own for each attempt: a process orphaned by a killed run cannot write into a later one.
    partial = folder.parent / f".{folder.name}.partial-{uuid.uuid4().hex[:8]}"
    partial.mkdir()
    try:
        provenance = build(partial)
        files = {
            path.relative_to(partial).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
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
    """The manifest, after a check of the files it lists (sizes always, SHA-256 on demand)."""
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
            if checksums and _sha256(file) != digest:
                raise DatasetError(f"damaged dataset: the SHA-256 of {file} is not the recorded one. {remedy}")
        except OSError as error:
            raise DatasetError(f"damaged dataset: {file} cannot be read ({error}). {remedy}") from error
    return manifest


def _sha256(path: Path) -> str:
    return pooch.file_hash(os.fspath(path), alg="sha256")
