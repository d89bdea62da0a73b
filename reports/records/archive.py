"""A run in one file, to publish or to keep: all that reports are made from, without weights, logs and the report."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from reports.records.atomic import RecordError, replacing
from reports.records.folder import JobFolder, RunFolder
from reports.records.run import Run, read_run
from reports.records.simulations import SCHEMAS, read_simulations, simulations_folder

ENDING = ".tar.xz"


def write_archive(folder: Path, to: Path) -> Run:
    """Pack the records of a run into a new file, as a folder of the run's name that `report` and `run` read.

    Cells that have not ended are left out, and are pending in what is unpacked. The same records give the same bytes.
    Home folders in the plan's commands become `~`, as in reports.

    Args:
        folder: the run's.
        to: the file; its name ends with `.tar.xz`.

    Returns:
        What was packed, as it was read.

    Raises:
        RecordError: if a record cannot be read, or `to` exists, has no folder or another ending.
    """
    if not to.name.endswith(ENDING):
        raise RecordError(f"{to} is no name of an archive: let it end with {ENDING}")
    if to.exists():
        raise RecordError(f"{to} exists, and is left as it is: remove it, or name another file with --to")
    if not to.parent.is_dir():
        raise RecordError(f"{to.parent} is no folder: make it, or name another file with --to")
    # An archive that no report can be made from would be found out when the run is gone.
    packed, run = read_run(folder), RunFolder(folder)
    read_simulations(run, (cell.key for cell in packed.plan.cells))
    plan = packed.plan.model_dump(mode="json", by_alias=True)
    root = folder.resolve().name
    with replacing(to) as temporary, tarfile.open(temporary, "w:xz", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, f"{root}/plan.json", (json.dumps(plan, indent=1) + "\n").encode())
        for path in _members(run, packed):
            _add(archive, f"{root}/{path.relative_to(run.path).as_posix()}", path.read_bytes())
    return packed


def _members(run: RunFolder, packed: Run) -> Iterator[Path]:
    """The files beside the plan, in the order in which they are packed."""
    cells = [run.cell(cell.key) for cell, state, _ in packed.states if state not in ("pending", "running")]
    pretrainings = [place for place in run.begun("pretrainings") if place.status().state == "ok"]
    simulations = [JobFolder(path) for path in sorted(simulations_folder(run).glob("*/"))]
    paths = [run.audit, run.references, simulations_folder(run) / "settings.json"]
    for place in [*cells, *pretrainings]:
        paths += [place.status_file, place.provenance, place.splits, place.result]
        paths += [place.record, place.curves, place.elements, place.predictions]
    for place in simulations:
        if place.status().state in ("ok", "failed"):  # a report names those that failed
            paths += [place.status_file, *(place.path / f"{name}.parquet" for name in SCHEMAS)]
    return (path for path in paths if path.exists())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file without owner and time, which say nothing of the records."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
