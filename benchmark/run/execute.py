"""From a suite to a finished run folder: plan, data, jobs, report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmark.cell.audits import write_audits
from benchmark.cell.checks import check_data, check_splits, named_entries, needed_entries, warnings_of
from benchmark.cell.job import Job, Settings
from benchmark.cell.library import Library
from benchmark.errors import BenchmarkError
from benchmark.executors.local import run_jobs
from benchmark.planning.cells import Cell
from benchmark.planning.config import Entry, Suite, build, check_entries
from benchmark.planning.planner import check_numbers, make_plan, select_names
from benchmark.run import plan_file
from benchmark.run.jobs import pending_jobs
from benchmark.run.live_report import LiveReport
from benchmark.run.progress import Display
from benchmark.run.reuse import take_over
from reports.records.folder import RunFolder
from tasks.datasets.base import DatasetError, DatasetTask
from tasks.registry import DATASETS

NEEDED_BYTES = 200e6
"""Free space asked for before a run begins: checkpoints of a small run with room to spare."""


@dataclass(frozen=True)
class Run:
    """A validated run: nothing has been written yet.

    Attributes:
        suite: the suite at its scale.
        cells: what is planned.
        settings: where and how its jobs run.
        workers: processes at a time.
        reuse: earlier run folders whose finished work is taken over.
        command: the command line, for the record.
    """

    suite: Suite
    cells: list[Cell]
    settings: Settings
    workers: int
    reuse: Sequence[Path]
    command: str


def prepare(
    suite: Suite,
    data_dir: Path,
    out: Path | None = None,
    jobs: int | None = None,
    seeds: int | None = None,
    select: Mapping[str, list[str]] | None = None,
    device: str = "auto",
    reuse: Sequence[Path] = (),
    command: str = "",
) -> Run:
    """Validate everything that can be wrong before anything is written.

    Args:
        suite: as `read_suite` gives it.
        data_dir: folder of the datasets.
        out: the run folder; None for ``runs/SUITE-SCALE``.
        jobs: processes at a time; None for as many as there are cores (one on a GPU).
        seeds: number of seeds; None for the suite's.
        select: names to keep, by field; see ``make_plan``.
        device: ``cpu``, ``cuda``, or ``auto`` for the best there is.
        reuse: earlier run folders whose finished work is taken over.
        command: the command line, for the record.

    Raises:
        BenchmarkError: for anything the user should correct.
    """
    check_entries(suite)
    cells = make_plan(suite, seeds, select, data_dir)
    check_splits(suite, cells, data_dir)
    chosen = choose_device(device)
    for earlier in reuse:
        RunFolder(earlier).read_plan()
    workers = _workers(jobs, chosen)
    settings = Settings(
        folder=(out or Path("runs") / f"{suite.name}-{suite.scale}").absolute(),
        data_dir=data_dir.absolute(),
        device=chosen,
        threads=max(1, _cores() // workers),
    )
    return Run(suite, cells, settings, workers, reuse, command)


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


def execute(run: Run, display: Display) -> None:
    """Run what is missing.

    Raises:
        BenchmarkError: if the run folder cannot be used, or work to reuse is damaged.
        DatasetError: if the data cannot be made or read.
    """
    settings, folder = run.settings, run.settings.run
    plan_file.check(folder, run.suite)
    _make_writable(folder.path)
    lock = plan_file.lock(folder)
    try:
        prepare_data(needed_entries(run.suite, run.cells), settings.data_dir, run.workers, display)
        library = Library(settings.data_dir)
        data, audits = check_data(run.suite, run.cells, library)
        plan_file.write(folder, run.suite, run.cells, run.command, data)
        write_audits(folder, audits)
        notes = [f"note: {warning}" for warning in warnings_of(data)]
        for note in [*notes, *take_over(run.cells, settings, run.reuse, library)]:
            display.console.print(note, highlight=False, markup=False, soft_wrap=True)
        todo = pending_jobs(run.cells, settings)
        display.begin_jobs(todo, total_cells=len(run.cells))
        with LiveReport(folder.path) as live:

            def update(running: Sequence[Job], ended: Job | None) -> None:
                display.update(running, ended)
                live.update(cell_ended=ended is not None and ended.cells > 0)

            run_jobs(todo, run.workers, update)
    finally:
        lock.release()


def prepare_suite(
    suite: Suite, select: Mapping[str, list[str]], data_dir: Path, jobs: int | None, display: Display
) -> None:
    """Make sure that the chosen datasets of a suite, and all that its arms name for pretraining, are there.

    Raises:
        BenchmarkError: for anything the user should correct.
        DatasetError: for what cannot be had, naming the dataset.
    """
    datasets, _, _ = select_names(suite, select)
    prepare_data(named_entries(suite, datasets), data_dir, _workers(jobs, "cpu"), display)


def try_to_prepare(
    suite: Suite, select: Mapping[str, list[str]], data_dir: Path, jobs: int | None, display: Display
) -> dict[str, str]:
    """The same without an end at what cannot be had: its names, and why."""
    failed = {}
    for name, entry in named_entries(suite, select_names(suite, select)[0]).items():
        try:
            prepare_data({name: entry}, data_dir, _workers(jobs, "cpu"), display)
        except DatasetError as error:
            failed[name] = str(error)
    return failed


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
    """Processes at a time."""
    check_numbers(jobs=jobs)
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
