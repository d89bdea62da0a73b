"""Cells and pretrainings that another run has finished, taken over instead of being computed again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from benchmark.cell.job import Job, Settings
from benchmark.cell.library import Library
from benchmark.cell.provenance import describe_environment
from benchmark.errors import BenchmarkError
from benchmark.planning.cells import Cell
from benchmark.run.folder.commits import same_code
from benchmark.run.jobs import make_jobs
from benchmark.run.ways import way_of
from reports.records.atomic import LEFTOVER, RecordError, write_json
from reports.records.folder import JobFolder


def take_over(
    cells: Sequence[Cell], settings: Settings, earlier: Sequence[Path], library: Library, mix_commits: bool = False
) -> list[str]:
    """Copy what earlier runs have finished and this one still needs.

    Work is the same if its key is (configuration and seed) and if data, code, versions, accelerator, numbers of
    threads and devices and the way of computing are those of now. The copy keeps the provenance of the run that
    computed it, and names that run.

    Args:
        cells: the plan of this run.
        settings: this run's.
        earlier: run folders; the first that has a job finished gives it.
        library: the data that is there now.
        mix_commits: whether work of other code is taken as well.

    Returns:
        Why finished work with the right key was left alone, a sentence for each reason.

    Raises:
        BenchmarkError: for damaged work.
    """
    environment = describe_environment(settings.device, settings.threads, settings.processes)
    refused: dict[str, int] = {}
    for job in make_jobs(cells, settings):
        if job.finished:
            continue
        for run in earlier:
            source = type(job)(job.work, replace(settings, folder=run.absolute()))
            if not source.finished:
                continue
            provenance = source.folder.read_provenance() or {}
            done = {job.key: provenance}
            if job.needs is not None:
                # A folder may have been resumed later: its pretraining may be of other conditions than its cells.
                done[job.needs] = source.settings.run.pretraining(job.needs).read_provenance() or {}
            differing = [] if provenance.get("contents") == library.contents(job.work.reads) else ["data"]
            for key, then in done.items():
                now = {**environment, "computed": {"way": settings.way(key, job.work.model.kind)}}
                differing += [name for name in _differing(then, now, mix_commits) if name not in differing]
            if not differing:
                _copy(source, job, provenance)
                break
            reason = f"{run}: not taken over, as other than now: {', '.join(differing)}"
            reason += " (--mix-commits takes it)" if differing == ["code"] else ""
            refused[reason] = refused.get(reason, 0) + 1
    return [f"{reason} ({count} finished jobs)" for reason, count in refused.items()]


def _differing(then: Mapping[str, Any], now: Mapping[str, Any], mix_commits: bool) -> list[str]:
    """In which of the conditions that determine a result, beside its key and data, two provenances differ."""
    code = [] if mix_commits or same_code(then, now) else ["code"]
    before, wanted = _conditions(then), _conditions(now)
    return code + [name for name in wanted if before[name] != wanted[name]]


def _conditions(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What they are, beside the code."""
    hardware = provenance.get("hardware") or {}
    return {
        "versions": provenance.get("versions"),
        "accelerator": hardware.get("accelerator"),
        "threads": hardware.get("threads"),
        "devices": hardware.get("devices"),
        "way of computing": way_of(provenance),
    }


def _copy(source: Job, job: Job, provenance: dict[str, Any]) -> None:
    """Copy a finished job's folder; it appears at its place when it is whole.

    Raises:
        BenchmarkError: if its record cannot be read.
    """
    target = job.folder.path
    staged = target.with_name(f".{target.name}.staged")
    shutil.rmtree(staged, ignore_errors=True)
    staged.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(source.folder.path, staged, ignore=shutil.ignore_patterns(LEFTOVER))
        job.relabel(staged)
        for damaged in job.unreadable(JobFolder(staged)).values():
            raise damaged
        write_json(JobFolder(staged).provenance, {**provenance, "taken_over_from": str(source.settings.folder)})
        shutil.rmtree(target, ignore_errors=True)
        staged.rename(target)
    except (OSError, pa.ArrowException, RecordError, ValidationError) as error:
        raise BenchmarkError(
            f"finished work in {source.folder.path} cannot be taken over ({error}). Leave out --reuse "
            f"{source.settings.folder}, or delete that folder"
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
