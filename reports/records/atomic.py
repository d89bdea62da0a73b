"""Small files written whole or not at all, and JSON read back with a word on what to do about a damaged one."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LEFTOVER = f".*.{'[0-9a-f]' * 32}.tmp"
"""Pattern of the temporary names of `replacing`."""
FULL_BYTES = 100_000
"""A disk with less free space is full: smaller files than this may still go through."""


class RecordError(ValueError):
    """A record, curve or run folder is missing, unreadable or contradicts the schema."""


class LaterSchemaError(RecordError):
    """A file was written by a later version: it is not damaged, only unknown here."""


@contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes `path`'s place in one step.

    If the body raises, the temporary file is removed and whatever stood at `path` before is untouched.
    The folder of `path` must exist. With `durable`, a power cut too leaves either the one or the other.
    """
    # A plain name, not `tempfile`: its files are readable by their owner only, and results are shared.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        if durable:
            sync(temporary)
        os.replace(temporary, path)
        if durable:
            sync(path.parent)
    except Exception as error:
        # Few errors of a full disk name the file, and those of libraries do not even name the disk.
        if shutil.disk_usage(path.parent).free < FULL_BYTES:
            raise OSError(errno.ENOSPC, "No space left on device", os.fspath(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what `replacing` left of processes that were killed; nobody else may be writing into the folder."""
    for path in folder.glob(LEFTOVER):
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk and not only in the system's memory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path) -> Path:
    """Rename what cannot be read to a free name beside it: NAME.damaged, else NAME.damaged-2 and so on."""
    later = (f"-{number}" for number in itertools.count(2))
    names = (path.with_name(f"{path.name}.damaged{end}") for end in itertools.chain([""], later))
    return path.rename(next(name for name in names if not name.exists()))


def write_json(path: Path, content: Any, durable: bool = False) -> None:
    """Replace a JSON file in one step: a reader or a crash never meets half of it."""
    with replacing(path, durable) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path, remedy: str, newest: int = 1) -> dict[str, Any] | None:
    """The JSON object in a file, None if there is no such file.

    Args:
        path: the file.
        remedy: what to do if it is damaged.
        newest: the latest `schema` of this file that is known; a file without one has 1.

    Raises:
        RecordError: for a damaged file, with the remedy; for one of a later schema.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_object)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path} cannot be read ({error}): {remedy}") from error
    if not isinstance(content, dict):
        raise RecordError(f"{path} holds a {type(content).__name__}, a JSON object was expected: {remedy}")
    check_schema(path, content.get("schema", 1), newest, remedy)
    return content


def check_schema(path: Path, found: object, newest: int, remedy: str) -> None:
    """Raise `RecordError` unless the schema version found in a file is known, that is from 1 to `newest`."""
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise RecordError(f"{path} has the schema {found!r}; a whole number from 1 was expected: {remedy}")
    if found > newest:
        raise LaterSchemaError(
            f"{path} has schema {found}, and this version of nnp-pretrain-bench reads schemas up to {newest}: use the "
            "version that wrote it (a cell's provenance.json names it under `versions`) or a later one"
        )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; its keys must differ, where `json` alone would keep the last of equal ones."""
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the name {twice!r} is listed twice; give it once")
    return content
