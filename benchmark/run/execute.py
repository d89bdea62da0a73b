"""From a suite to a finished run folder: plan, data, jobs, report."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.cell.audits import write_audits
from benchmark.cell.checks import check_data, check_splits, named_entries, needed_entries, warnings_of
from benchmark.cell.job import Job, Settings
from benchmark.cell.library import Library
from benchmark.cell.references import measure_references
from benchmark.errors import BenchmarkError
from benchmark.executors.local import run_jobs
from benchmark.planning.cells import Cell
from benchmark.planning.config import Entry, Suite, build, check_entries, load_suite
from benchmark.planning.planner import Choice, make_plan, pretraining_parts, select_names
from benchmark.planning.primaries import planned_primaries, without_cells
from benchmark.run import plan_file
from benchmark.run.commits import check_code
from benchmark.run.jobs import pending_jobs
from benchmark.run.live_report import LiveReport
from benchmark.run.machine import choose_device, count_threads, count_workers
from benchmark.run.mending import mend
from benchmark.run.progress import Display
from benchmark.run.reuse import take_over
from benchmark.run.ways import choose_compiled
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
        mix_commits: whether what is left may be done by other code than the rest.
        retry_failed: whether jobs that failed are tried again.
        compile_steps: which training steps are compiled; see ``benchmark.run.ways``.
    """

    suite: Suite
    cells: list[Cell]
    settings: Settings
    workers: int
    reuse: Sequence[Path]
    command: str
    mix_commits: bool = False
    retry_failed: bool = True
    compile_steps: Choice = "auto"


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
    mix_commits: bool = False,
    retry_failed: bool = True,
    compile_steps: Choice = "auto",
    first_seed: int = 0,
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
        mix_commits: see ``Run``.
        retry_failed: see ``Run``.
        compile_steps: ``auto``, ``always`` or ``never``.
        first_seed: the seeds are this one and those that follow it.

    Raises:
        BenchmarkError: for anything the user should correct.
    """
    check_entries(suite)
    planned_primaries(suite)
    cells = make_plan(suite, seeds, select, data_dir, first_seed)
    check_splits(suite, cells, data_dir)
    chosen = choose_device(device)
    for earlier in reuse:
        RunFolder(earlier).read_plan()
    workers = count_workers(jobs, chosen)
    settings = Settings(
        folder=(out or Path("runs") / f"{suite.name}-{suite.scale}").absolute(),
        data_dir=data_dir.absolute(),
        device=chosen,
        threads=count_threads(workers),
    )
    return Run(suite, cells, settings, workers, reuse, command, mix_commits, retry_failed, compile_steps)


def execute(run: Run, display: Display) -> None:
    """Run what is missing.

    Raises:
        BenchmarkError: if the run folder cannot be used, or work to reuse is damaged.
        DatasetError: if the data cannot be made or read.
    """
    settings, folder = run.settings, run.settings.run
    plan_file.check(folder, run.suite, settings.data_dir)
    _make_writable(folder.path)
    lock = plan_file.lock(folder)
    try:
        notes = mend(run.cells, settings)
        if not run.mix_commits:
            check_code(run.cells, settings)
        prepare_data(needed_entries(run.suite, run.cells), settings.data_dir, run.workers, display)
        library = Library(settings.data_dir)
        data, audits = check_data(run.suite, run.cells, library)
        notes += plan_file.write(folder, run.suite, run.cells, run.command, data, settings.data_dir)
        compiled = choose_compiled(run.cells, settings, run.compile_steps, run.workers)
        settings = replace(settings, compiled=compiled)
        write_audits(folder, audits)
        with display.preparing("references") as progress:
            measure_references(run.cells, library, folder, progress)
        said = [*notes, *without_cells(run.suite, run.cells), *warnings_of(data)]
        notes = [f"note: {note}" for note in said]
        for note in [*notes, *take_over(run.cells, settings, run.reuse, library)]:
            display.console.print(note, highlight=False, markup=False, soft_wrap=True)
        todo = pending_jobs(run.cells, settings, run.retry_failed)
        display.begin_jobs(todo, total_cells=len(run.cells))
        with LiveReport(folder.path) as live:

            def update(running: Sequence[Job], ended: Job | None) -> None:
                display.update(running, ended)
                live.update(cell_ended=ended is not None and ended.cells > 0)

            run_jobs(todo, run.workers, update)
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
    entries = named_entries(suite, datasets, pretraining_parts(suite, datasets))
    prepare_data(entries, data_dir, count_workers(jobs, "cpu"), display)


def try_to_prepare(
    suite: Suite, select: Mapping[str, list[str]], data_dir: Path, jobs: int | None, display: Display
) -> dict[str, str]:
    """The same for a suite that has been read, without an end at what cannot be had: its names, and why."""
    failed = {}
    datasets, _, _ = select_names(suite, select)
    for name, entry in named_entries(suite, datasets, pretraining_parts(suite, datasets)).items():
        try:
            prepare_data({name: entry}, data_dir, count_workers(jobs, "cpu"), display)
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
