"""From a suite to a finished run folder: plan, data, jobs, report."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmark.cell.cell import Settings
from benchmark.cell.checks import check_data, check_splits, entries_of, needed_entries, warnings_of
from benchmark.cell.library import Library
from benchmark.cell.store import RunFolder
from benchmark.errors import BenchmarkError
from benchmark.executors.local import run_jobs
from benchmark.planning.config import Entry, Suite, build, load_suite
from benchmark.planning.plan import PlannedCell, make_plan, select_names
from benchmark.run.jobs import Job, pending_jobs
from benchmark.run.live_report import LiveReport
from benchmark.run.progress import Display
from benchmark.run.reuse import take_over
from reports.page.write import ReportPaths, build_report
from tasks.datasets.base import DatasetError, DatasetTask
from tasks.registry import DATASETS

NEEDED_BYTES = 200e6
"""Free space asked for before a run begins: checkpoints of a small run with room to spare."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for.

    Attributes:
        suite: name or path.
        scale: one of the suite's scales.
        out: the run folder; None for ``runs/SUITE-SCALE``.
        data_dir: folder of the datasets.
        jobs: processes at a time; None for as many as there are cores (one on a GPU).
        seeds: number of seeds; None for the suite's.
        select: names to keep, by field.
        device: ``cpu``, ``cuda``, or ``auto`` for the best there is.
        command: the command line, for the record.
        reuse: earlier run folders whose finished work is taken over.
    """

    suite: str
    scale: str
    out: Path | None
    data_dir: Path
    jobs: int | None
    seeds: int | None
    select: Mapping[str, list[str]]
    device: str
    command: str
    reuse: Sequence[Path] = ()


@dataclass(frozen=True)
class Prepared:
    """A validated request: nothing has been written yet."""

    suite: Suite
    cells: list[PlannedCell]
    settings: Settings
    workers: int


def prepare(request: Request) -> Prepared:
    """Validate everything that can be wrong before anything is written.

    Raises:
        BenchmarkError: for anything the user should correct.
    """
    suite = load_suite(request.suite, request.scale)
    cells = make_plan(suite, request.seeds, request.select, request.data_dir)
    check_splits(suite, cells, request.data_dir)
    device = choose_device(request.device)
    for earlier in request.reuse:
        RunFolder(earlier).read_plan()
    workers = _workers(request.jobs, device)
    settings = Settings(
        run=(request.out or Path("runs") / f"{suite.name}-{suite.scale}").absolute(),
        data_dir=request.data_dir.absolute(),
        device=device,
        threads=max(1, _cores() // workers),
        suite=suite.name,
        scale=suite.scale,
    )
    return Prepared(suite, cells, settings, workers)


def choose_device(name: str) -> str:
    """The accelerator's name for Lightning.

    Raises:
        BenchmarkError: for an unknown device, or one that is not there.
    """
    # Apple's GPU is left out: it has no float64, which errors are summed in.
    present = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    if name == "auto":
        return present[-1]
    if name not in present:
        raise BenchmarkError(f"--device {name}: not available; available here are auto, {', '.join(present)}")
    return name


def execute(prepared: Prepared, request: Request, display: Display) -> ReportPaths:
    """Run what is missing and write the report.

    Raises:
        BenchmarkError: if the run folder cannot be used, or work to reuse is damaged.
        DatasetError: if the data cannot be made or read.
    """
    settings = prepared.settings
    folder = RunFolder(settings.run)
    folder.check(prepared.suite)
    _make_writable(folder.path)
    lock = folder.lock()
    try:
        entries = needed_entries(prepared.suite, prepared.cells)
        prepare_data(entries, settings.data_dir, prepared.workers, display)
        library = Library(settings.data_dir)
        data = check_data(prepared.suite, prepared.cells, library)
        folder.write_plan(prepared.suite, prepared.cells, request.command, data)
        notes = [f"note: {warning}" for warning in warnings_of(data)]
        for note in [*notes, *take_over(prepared.cells, settings, request.reuse, library)]:
            display.console.print(note, highlight=False, markup=False, soft_wrap=True)
        todo = pending_jobs(prepared.cells, settings)
        display.begin_jobs(todo, total_cells=len(prepared.cells))
        with LiveReport(folder.path) as live:

            def update(running: Sequence[Job], ended: Job | None) -> None:
                display.update(running, ended)
                live.update(cell_ended=ended is not None and isinstance(ended.work, PlannedCell))

            run_jobs(todo, prepared.workers, update)
        return build_report(folder.path)
    finally:
        lock.release()


def prepare_suite(
    name: str, scale: str, select: Mapping[str, list[str]], data_dir: Path, jobs: int | None, display: Display
) -> None:
    """Make sure that the chosen datasets of a suite, and all that its arms name for pretraining, are there.

    Raises:
        BenchmarkError: for anything the user should correct.
        DatasetError: for what cannot be had, naming the dataset.
    """
    suite = load_suite(name, scale)
    datasets, _, _ = select_names(suite, select)
    lists = [arm.pretrain_on for arm in suite.strategies.values() if isinstance(arm.pretrain_on, list)]
    named = {*itertools.chain(*lists)}
    pretrained_on = {name: entry for name, entry in {**suite.datasets, **suite.structures}.items() if name in named}
    prepare_data({**entries_of(suite, datasets), **pretrained_on}, data_dir, _workers(jobs, "cpu"), display)


def prepare_data(entries: Mapping[str, Entry], data_dir: Path, workers: int, display: Display) -> None:
    """Make sure that datasets, by the suite's names, are there.

    Raises:
        DatasetError: for what cannot be had, naming the dataset.
    """
    for name, entry in entries.items():
        task: DatasetTask = build(DATASETS, entry)
        with display.preparing(name) as progress:
            try:
                task.prepare(data_dir, progress, workers=workers)
            except DatasetError as error:
                raise DatasetError(f"dataset {name!r}: {error}") from error


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _workers(jobs: int | None, device: str) -> int:
    """Processes at a time.

    Raises:
        BenchmarkError: for fewer than one.
    """
    if jobs is not None and jobs < 1:
        raise BenchmarkError(f"--jobs {jobs}: at least 1 is needed")
    return jobs or (_cores() if device == "cpu" else 1)


def _make_writable(path: Path) -> None:
    """Create the run folder and make sure that there is room.

    Raises:
        BenchmarkError: if it cannot be written or the disk is full.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".write-test"
        probe.write_bytes(b"x")
        probe.unlink()
        free = shutil.disk_usage(path).free
    except OSError as error:
        raise BenchmarkError(
            f"output folder {path} cannot be written: {error.strerror}. Choose another with --out"
        ) from error
    if free < NEEDED_BYTES:
        raise BenchmarkError(
            f"output folder {path} has {free / 1e6:.0f} MB free; at least {NEEDED_BYTES / 1e6:.0f} MB are needed. "
            f"Make room or choose another folder with --out"
        )
