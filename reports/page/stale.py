"""A report made again leaves nothing of the one before: tables that it no longer has would be read as its own."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from reports.records.atomic import RecordError, read_json, write_json

LIST = "files.json"
"""Names the files of a report, so that those of others in its folder are left alone."""


def remove_stale(out: Path, written: Iterable[Path]) -> None:
    """Remove what the report before wrote into `out` and this one did not; note what this one did.

    Args:
        out: the report's folder.
        written: its files, all in it.
    """
    now = {path.relative_to(out).as_posix() for path in written}
    before: object = ()
    with suppress(RecordError):  # damaged: nothing is known to be ours
        before = (read_json(out / LIST, "make the report again") or {}).get("files", ())
    for name in before if isinstance(before, list) else ():
        inside = isinstance(name, str) and not {"..", "/"} & {*PurePosixPath(name).parts}
        if inside and name not in now and (out / name).is_file():
            (out / name).unlink()
    write_json(out / LIST, {"schema": 1, "files": sorted(now)})
