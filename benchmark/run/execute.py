"""From a suite to a finished run folder: plan, data, jobs, report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.cell.checking.audits import write_audits
from benchmark.cell.checking.checks import check_data, check_splits, needed_entries, warnings_of
from benchmark.cell.job import Job, Settings
from benchmark.cell.library import Library
from benchmark.cell.provenance import code_hash
from benchmark.cell.references import measure_references
from benchmark.errors import BenchmarkError
from benchmark.executors.configuration import Configuration
from benchmark.executors.local import run_jobs
from benchmark.executors.nodes import Host, gather
from benchmark.executors.schedule import Pool, run_all
from benchmark.executors.tickets import SETTLE_S, Tickets
from benchmark.planning.cells import Cell
from benchmark.planning.config import Suite
from benchmark.planning.planner import Choice, make_plan
from benchmark.planning.primaries import planned_primaries, without_cells
from benchmark.planning.reading import check_entries
from benchmark.run.data import prepare_data
from benchmark.run.folder import plan_file
from benchmark.run.folder.commits import check_code
from benchmark.run.folder.mending import mend
from benchmark.run.folder.reuse import take_over
from benchmark.run.jobs import make_jobs, pending_jobs
from benchmark.run.length.budget import Budget
from benchmark.run.length.growth import describe_widths, more_seeds, planned_seeds
from benchmark.run.machine import check_nodes, choose_device, count_threads, count_workers, taking_turns
from benchmark.run.watching.live_report import LiveReport
from benchmark.run.watching.progress import Display
from benchmark.run.ways import check_devices, choose_compiled
from reports.records.folder import RunFolder
from reports.records.plan import Arm

NEEDED_BYTES = 200e6
"""Free space asked for before a run begins: checkpoints of a small run with room to spare."""


@dataclass(frozen=True)
class Run:
    """A validated run: nothing has been written yet.

    Attributes:
        suite: the suite at its scale.
        cells: what is planned.
        settings: where and how its jobs run.
        workers: jobs at a time.
        executor: where jobs run; None for processes on this machine.
        reuse: earlier run folders whose finished work is taken over.
        command: the command line, for the record.
        mix_commits: whether what is left may be done by other code than the rest.
        retry_failed: whether jobs that failed are tried again.
        compile_steps: which training steps are compiled; see ``benchmark.run.ways``.
        until: half-width of the intervals of the primary comparisons, in %, up to which seeds are added; None for none.
        budget: wall time in s, within which jobs are started; None for no limit.
        plan_more: the cells with larger numbers of seeds of some arms.
        node: which of several nodes this is; all but node 0 only do their part, see ``benchmark.run.follow``.
    """

    suite: Suite
    cells: list[Cell]
    settings: Settings
    workers: int
    reuse: Sequence[Path]
    command: str
    plan_more: Callable[[Mapping[Arm, int]], list[Cell]]
    until: float | None = None
    budget: float | None = None
    mix_commits: bool = False
    retry_failed: bool = True
    compile_steps: Choice = "auto"
    executor: Configuration | None = None
    node: int = 0


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
    until: float | None = None,
    budget: float | None = None,
    devices: int = 1,
    executor: Configuration | None = None,
    nodes: int = 1,
    node: int = 0,
) -> Run:
    """Validate everything that can be wrong before anything is written.

    Args:
        suite: as `read_suite` gives it.
        data_dir: folder of the datasets.
        out: the run folder; None for ``runs/SUITE-SCALE``.
        jobs: at a time; None for as many as there are cores (one on a GPU), or places for them on a cluster.
        seeds: number of seeds; None for the suite's.
        select: names to keep, by field; see ``make_plan``.
        device: ``cpu``, ``cuda``, or ``auto`` for the best there is.
        reuse: earlier run folders whose finished work is taken over.
        command: the command line, for the record.
        mix_commits: see ``Run``.
        retry_failed: see ``Run``.
        compile_steps: ``auto``, ``always`` or ``never``.
        first_seed: the seeds are this one and those that follow it.
        until: see ``Run``.
        budget: see ``Run``.
        devices: on how many of a node a job runs at a time.
        executor: see ``Run``.
        nodes: on how many nodes a job runs at a time.
        node: see ``Run``.

    Raises:
        BenchmarkError: for anything the user should correct.
    """
    check_nodes(nodes, jobs, executor is not None)
    check_entries(suite)
    primaries = planned_primaries(suite)
    folder = (out or Path("runs") / f"{suite.name}-{suite.scale}").absolute()

    def plan(more: Mapping[Arm, int]) -> list[Cell]:
        return make_plan(suite, seeds, select, data_dir, first_seed, more)

    before = plan_file.check(RunFolder(folder), suite, data_dir)
    # Seeds that an earlier call added belong to the run.
    cells = plan({} if until is None or before is None else planned_seeds(before.cells))
    if until is not None:
        compared = sum(len(primary.baselines) for primary in primaries)
        if not primaries or len(without_cells(suite, cells)) == compared:
            raise BenchmarkError(
                f"--until needs primary comparisons, and of suite {suite.name!r} as chosen there is none: it is their "
                f"intervals that are waited for. Declare them under `primary`, or choose others with --select"
            )
    check_splits(suite, cells, data_dir)
    chosen = executor.device(device) if executor else choose_device(device)
    for earlier in reuse:
        RunFolder(earlier).read_plan()
    if executor and devices > 1:
        raise BenchmarkError("--devices divides jobs on this machine, and --executor sends them elsewhere: give one")
    workers = min(jobs or executor.slots, executor.slots) if executor else count_workers(jobs, chosen, devices, nodes)
    settings = Settings(
        folder=folder,
        data_dir=data_dir.absolute(),
        device=chosen,
        threads=executor.threads if executor else count_threads(workers * devices),
        devices=devices,
        nodes=nodes,
    )
    check_devices(cells, settings, compile_steps)
    return Run(
        suite,
        cells,
        settings,
        workers,
        reuse,
        command,
        plan,
        until=until,
        budget=budget,
        mix_commits=mix_commits,
        retry_failed=retry_failed,
        compile_steps=compile_steps,
        executor=executor,
        node=node,
    )


def execute(run: Run, display: Display) -> None:
    """Run what is missing; where seeds are to be added, until the intervals are narrow or the time is spent.

    Raises:
        BenchmarkError: if the run folder cannot be used, or work to reuse is damaged.
        DatasetError: if the data cannot be made or read.
    """
    folder = run.settings.run
    budget = Budget(run.budget)
    _make_writable(folder.path)
    lock = plan_file.lock(folder)
    try:
        plan_file.check(folder, run.suite, run.settings.data_dir)  # again: another run may have been at work since
        _be_alone(folder, display)
        _tell(display, [f"note: {note}" for note in mend(run.cells, run.settings)])
        if not run.mix_commits:
            check_code(run.cells, run.settings)
        library = Library(run.settings.data_dir)
        cells, widths = run.cells, None
        begun: set[str] = set()
        with LiveReport(folder.path) as live, _cluster(run, display) as pool, _nodes(run, display) as host:
            if host is not None:
                run = replace(run, settings=replace(run.settings, meeting=host.meeting))
            settings = run.settings
            while cells:
                new = [cell for cell in cells if cell.key not in begun]
                settings = _begin(run, cells, new, library, display)
                begun |= {cell.key for cell in new}
                _work(run, cells, settings, budget, display, live, pool, host)
                if run.until is None or budget.spent:
                    break
                more, widths = more_seeds(run.suite, folder.path, run.until, widths)
                cells = run.plan_more({**planned_seeds(folder.read_plan().cells), **more}) if more else []
                _tell(display, [f"{'/'.join(arm)}: {number} seeds from now on" for arm, number in more.items()])
        left = sum(job.cells for job in pending_jobs(cells, settings))
        if budget.spent and (left or run.until is not None):
            _tell(display, [f"the time is spent: {left} cells are left; the same command goes on"])
        if run.until is not None:
            _tell(display, describe_widths(folder.path))
    finally:
        lock.release()


def _begin(run: Run, cells: Sequence[Cell], new: Sequence[Cell], library: Library, display: Display) -> Settings:
    """Everything before training: data, what is made sure of, the plan, references, and what can be taken over.

    Args:
        run: the run.
        cells: all that are planned by now.
        new: those of them for which this was not done before.
        library: the run's.
        display: is told.

    Returns:
        The settings of the jobs.
    """
    settings, folder = run.settings, run.settings.run
    here = min(run.workers, count_workers(None, "cpu"))
    prepare_data(needed_entries(run.suite, new), settings.data_dir, here, display)
    data, audits = check_data(run.suite, new, library)
    notes = plan_file.write(folder, run.suite, new, run.command, data, settings.data_dir, run.until)
    settings = replace(settings, compiled=choose_compiled(cells, settings, run.compile_steps, run.workers))
    write_audits(folder, audits)
    with display.preparing("references") as progress:
        measure_references(new, library, folder, progress)
    if len(new) == len(cells):
        notes += [*without_cells(run.suite, cells), *warnings_of(data)]
        notes += [] if run.executor else taking_turns(run.workers, settings.device, settings.devices)
    _tell(display, [f"note: {note}" for note in notes])
    _tell(display, take_over(new, settings, run.reuse, library, run.mix_commits))
    return settings


def _work(
    run: Run,
    cells: Sequence[Cell],
    settings: Settings,
    budget: Budget,
    display: Display,
    live: LiveReport,
    pool: Pool | None,
    host: Host | None,
) -> None:
    """Do the jobs that are left, as far as the time allows."""
    budget.know(make_jobs(cells, settings))
    todo = pending_jobs(cells, settings, run.retry_failed)
    display.begin_jobs(todo, total_cells=len(cells))

    def update(running: Sequence[Job], ended: Job | None) -> None:
        if ended is not None:
            budget.ended(ended)
        if host is not None:
            host.look()
        display.update(running, ended)
        live.update(cell_ended=ended is not None and ended.cells > 0)

    def may_start(job: Job, running: Sequence[Job]) -> bool:
        return (host is None or host.look()) and budget.allows(job, running)

    if pool is None:
        run_jobs(todo, run.workers, update, may_start)
    else:
        run_all(todo, pool, update, may_start)
    if host is not None:
        host.check()


@contextmanager
def _cluster(run: Run, display: Display) -> Iterator[Pool | None]:
    """The cluster that jobs are handed over to; None where they run on this machine."""
    if run.executor is None:
        yield None
        return
    from benchmark.executors.cluster import Cluster  # Parsl is an extra

    with Cluster(
        run.executor, run.settings.run, run.workers, run.mix_commits, lambda line: _tell(display, [line])
    ) as pool:
        yield pool


@contextmanager
def _nodes(run: Run, display: Display) -> Iterator[Host | None]:
    """The other nodes, met; None where there is one."""
    settings = run.settings
    if settings.nodes == 1:
        yield None
        return

    with gather(settings.folder, settings.nodes, conditions(run), lambda line: _tell(display, [line])) as host:
        yield host


def conditions(run: Run) -> dict[str, str]:
    """What has to be the same on all nodes, by name."""
    settings = run.settings
    same = {"nodes": str(settings.nodes), "devices": str(settings.devices), "device": settings.device}
    return same if run.mix_commits else {**same, "code": code_hash()}


def _be_alone(folder: RunFolder, display: Display) -> None:
    """Take back what an earlier command handed over to a cluster, if it was killed before it could do so."""
    if Tickets(folder.path).revoke_all():
        _tell(
            display, [f"note: workers of an earlier command may be at work here: they get {SETTLE_S:.0f} s to let go"]
        )
        time.sleep(SETTLE_S)


def _tell(display: Display, lines: Sequence[str]) -> None:
    for line in lines:
        display.console.print(line, highlight=False, markup=False, soft_wrap=True)


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
