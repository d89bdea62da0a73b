"""Where structures are read from: one file, a folder, or an archive."""

from __future__ import annotations

import hashlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from tasks.datasets.base import DatasetError
from tasks.datasets.storage import cache

PATTERN = "*.data*"
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
ARCHIVE_SUFFIXES = (*TAR_SUFFIXES, ".zip")
MEMORY_PER_BYTE = 8
"""That reading takes for a byte of text."""
ARCHIVE_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    MemoryError,
)


def read_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each data file of a file, of a folder, or of an archive (`ARCHIVE_SUFFIXES`).

    Of a folder or an archive these are all files named `*.data*`, in the order of their names.

    Raises:
        DatasetError: a file cannot be read, an archive is damaged, or a folder or an archive has no such file.
    """
    if path.is_dir():
        contents: Iterator[tuple[str, bytes]] = ((str(file), _read(file)) for file in _data_files(path))
    elif path.name.lower().endswith(ARCHIVE_SUFFIXES):
        contents = iter(_unpack(path))
    else:
        contents = iter([(str(path), _read(path))])
    found = False
    for name, content in contents:
        found = True
        yield name, content.decode("utf-8", errors="replace")
    if not found:
        raise DatasetError(
            f"{path} holds no file named {PATTERN} (input.data, say); give the file itself, or rename it"
        )


def content_sha256(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files that `read_texts` would read.

    Raises:
        DatasetError: a file cannot be read.
    """
    try:
        if not path.is_dir():
            return cache.sha256(path)
        digest = hashlib.sha256()
        for file in _data_files(path):
            digest.update(f"{file.relative_to(path).as_posix()} {cache.sha256(file)}\n".encode())
        return digest.hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error


def _is_data(name: str) -> bool:
    """Whether a file has the right name; hidden files do not count (macOS adds `._input.data` to archives)."""
    base = PurePosixPath(name).name
    return fnmatch(base, PATTERN) and not base.startswith(".")


def _data_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if _is_data(file.name) and file.is_file())


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror or error}") from error


def _unpack(path: Path) -> list[tuple[str, bytes]]:
    """Name and content of an archive's data files, by name."""
    read: Callable[[Path], dict[str, bytes]] = _unzip if path.name.lower().endswith(".zip") else _untar
    try:
        files = read(path)
    except DatasetError:
        raise
    except ARCHIVE_ERRORS as error:
        raise DatasetError(
            f"the archive {path} is damaged or cut short ({str(error).split(chr(10))[0]}); delete it and fetch or copy "
            f"it again"
        ) from error
    return [(f"{path}: {name}", files[name]) for name in sorted(files)]


def _unzip(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if _is_data(entry.filename)]
        cache.check_memory(path, MEMORY_PER_BYTE * sum(entry.file_size for entry in entries))
        return {entry.filename: archive.read(entry) for entry in entries}


def _untar(path: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    size = 0
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() and _is_data(member.name) else None
            if content is not None:
                size += member.size
                cache.check_memory(path, MEMORY_PER_BYTE * size)
                files[member.name] = content.read()
        # Up to the very end, where compressed data has its checksum.
        while archive.fileobj is not None and archive.fileobj.read(1 << 20):
            pass
    return files
