"""From a run folder to its simulations: settings, subjects, jobs in parallel processes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import ValidationError

from benchmark.cell.finished import choose, read_cell
from benchmark.cell.job import Job, Settings
from benchmark.cell.library import Library
from benchmark.cell.provenance import describe_environment
from benchmark.errors import BenchmarkError, describe_validation
from benchmark.executors.local import run_jobs
from benchmark.planning.cells import Cell
from benchmark.planning.reading import build
from benchmark.planning.simulation import SimulationSettings, Test
from benchmark.run import plan_file
from benchmark.run.machine import count_threads, count_workers
from benchmark.run.progress import Display
from benchmark.simulate.job import SimulationJob
from benchmark.simulate.setting import DATA, OWN_MODEL, Setting, Subject
from reports.records.atomic import read_json, write_json
from reports.records.folder import RunFolder
from reports.records.plan import Plan
from reports.records.simulations import CELL, simulations_folder
from tasks.registry import DATASETS
from tasks.simulation.trials import FS_PER_PS

RIVALS: Mapping[str, tuple[Test, ...]] = {
    "null": ("nvt", "elsewhere"),
    "one molecule": ("nvt", "elsewhere"),
}
"""References without network, and the tests that say something of them."""
FREE = ("tests", "keep_trajectories")
"""Settings that may differ between calls: they say nothing about a result."""
TIMED = 3


@dataclass(frozen=True)
class Simulation:
    """A validated plan of simulations: nothing has been written yet.

    Attributes:
        run: the run folder.
        plan: how potentials are simulated.
        references: jobs of the data's own models, to which others are compared; they come first.
        jobs: all others.
        workers: processes at a time.
        threads: of each.
        notes: what the user is to know.
    """

    run: RunFolder
    plan: SimulationSettings
    references: list[SimulationJob]
    jobs: list[SimulationJob]
    workers: int
    threads: int
    notes: list[str] = field(default_factory=list)

    @property
    def left(self) -> list[SimulationJob]:
        """The jobs that have not ended well."""
        return [job for job in [*self.references, *self.jobs] if not job.finished]


def prepare(
    folder: Path,
    data_dir: Path,
    select: Mapping[str, list[str]] | None = None,
    changes: Mapping[str, str] | None = None,
    jobs: int | None = None,
) -> Simulation:
    """Validate everything that can be wrong before anything is written.

    Args:
        folder: the run folder.
        data_dir: folder of the datasets.
        select: names of cells by field; see `benchmark.cell.finished.choose`.
        changes: values of settings as text, by name, laid over those of the suite.
        jobs: processes at a time; None for as many as there are cores.

    Raises:
        BenchmarkError: for anything the user should correct.
        DatasetError: if the data is not there.
    """
    run = RunFolder(folder)
    plan = run.read_plan()
    settings = read_settings(plan, changes or {})
    _check_same(run, settings)
    workers = count_workers(jobs, "cpu")
    threads = count_threads(workers)
    where = Settings(folder=folder.absolute(), data_dir=data_dir.absolute(), device="cpu", threads=threads)
    chosen = choose(plan, None, select)
    finished = [cell for cell in chosen if run.cell(cell.key).status().state == "ok"]
    if not finished:
        raise BenchmarkError(
            f"none of the {len(chosen)} chosen cells of {folder} has ended well yet: there is no potential to simulate "
            f"with. Finish the run first"
        )
    notes = []
    if len(finished) < len(chosen):
        notes.append(f"{len(chosen) - len(finished)} of {len(chosen)} cells have no potential and are left out")
    cells = sorted((read_cell(run, cell, plan) for cell in finished), key=lambda cell: cell.seed)
    references, others, missing = _rivals(cells, Library(data_dir), settings, where)
    notes += missing
    without = {job.subject.cell.arm.dataset for job in references if job.subject.kind == DATA}
    without |= {cell.arm.dataset for cell in cells} - {job.subject.cell.arm.dataset for job in references}
    for cell in cells:
        tests = [test for test in settings.tests if test != "elsewhere" or cell.arm.dataset not in without]
        others += [SimulationJob(Subject(CELL, cell), test, settings, where) for test in tests]
    return Simulation(run, settings, references, others, workers, threads, notes)


def simulate_finished(folder: Path, data_dir: Path, jobs: int | None, display: Display) -> list[str]:
    """Simulate with all potentials of a run, as its suite says, if there are any; see `execute`."""
    run = RunFolder(folder)
    if all(run.cell(cell.key).status().state != "ok" for cell in run.read_plan().cells):
        return []
    return execute(prepare(folder, data_dir, jobs=jobs), display)


def read_settings(plan: Plan, changes: Mapping[str, str]) -> SimulationSettings:
    """Settings of the suite (its section ``simulation``), or the defaults, with changes laid over them.

    Raises:
        BenchmarkError: for an unknown setting, or a value that is not allowed.
    """
    content: dict[str, Any] = dict(plan.config.get("simulation") or {})
    for name, text in changes.items():
        value = yaml.safe_load(text)
        many = name in ("tests", "temperatures_K", "densities")
        content[name] = [part.strip() for part in text.split(",") if part.strip()] if many else value
    try:
        return SimulationSettings(**content)
    except ValidationError as error:
        raise describe_validation(error, SimulationSettings, "settings of simulations (--set)") from error


def execute(simulation: Simulation, display: Display) -> list[str]:
    """Run what is missing: the data's own models first.

    Returns:
        What failed, each with its reason.

    Raises:
        BenchmarkError: if a run or other simulations are at work in the folder.
    """
    lock = plan_file.lock(simulation.run)
    try:
        folder = simulations_folder(simulation.run)
        folder.mkdir(exist_ok=True)
        _check_same(simulation.run, simulation.plan)
        settings = simulation.plan.model_dump(mode="json", exclude={*FREE})
        made_with = describe_environment("cpu", simulation.threads)
        write_json(folder / "settings.json", {"schema": 1, **settings, "made_with": made_with})
        for note in simulation.notes:
            display.console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
        left = simulation.left
        display.begin_jobs(left, total_cells=len(simulation.references) + len(simulation.jobs))
        for part in (simulation.references, simulation.jobs):
            todo: Sequence[Job] = [job for job in part if not job.finished]
            run_jobs(todo, simulation.workers, display.update)
    finally:
        lock.release()
    every = [*simulation.references, *simulation.jobs]
    return [f"{job.name}: {job.folder.status().reason}" for job in every if job.folder.status().state == "failed"]


def estimate_seconds(simulation: Simulation) -> float:
    """Time of all that is left, one job after the other, s: a few evaluations are timed for each kind of subject."""
    costs: dict[tuple[str, ...], float] = {}
    total = 0.0
    for job in simulation.left:
        if job.test in ("nvt", "nve") and job.subject.kind != DATA:
            length = simulation.plan.nvt_ps if job.test == "nvt" else simulation.plan.nve_ps
            steps = length * FS_PER_PS / simulation.plan.timestep_fs
        elif job.subject.kind == OWN_MODEL:
            conditions = 1 + len(simulation.plan.temperatures_K) + len(simulation.plan.densities) + 1
            steps = conditions * simulation.plan.elsewhere_ps * FS_PER_PS / simulation.plan.timestep_fs
        else:
            continue
        model = job.subject.cell.arm.model if job.subject.kind == CELL else ""
        key = (job.subject.kind, job.subject.cell.arm.dataset, model, job.test)
        if key not in costs:
            costs[key] = _time_step(job)
        total += steps * costs[key]
    return total


def _time_step(job: SimulationJob) -> float:
    """Seconds of one evaluation of all replicas of a job."""
    torch.set_num_threads(job.settings.threads)
    setting = Setting.of(job.subject, job.settings)
    start = setting.start(2 if job.test == "elsewhere" else job.replicas)
    forces, which = setting.field(start), torch.arange(len(start.samples))
    began = 0.0
    for number in range(-1, TIMED):  # one to warm up
        if number == 0:
            began = time.perf_counter()
        forces(start.pos, which)
    return (time.perf_counter() - began) / TIMED


def _rivals(
    cells: Sequence[Cell], library: Library, plan: SimulationSettings, where: Settings
) -> tuple[list[SimulationJob], list[SimulationJob], list[str]]:
    """Of each dataset: jobs of the reference, those of other rivals, and what there is not."""
    references: list[SimulationJob] = []
    others: list[SimulationJob] = []
    notes = []
    first = {cell.arm.dataset: cell for cell in reversed(cells)}
    for name, cell in reversed(first.items()):
        task, sample = build(DATASETS, cell.dataset), library.load(cell.dataset).samples[0]
        tests: tuple[Test, ...]
        if task.own_model(sample) is not None:
            kind, tests = OWN_MODEL, plan.tests
        else:
            kind, tests = DATA, ("nvt",) if task.temperature_K is not None else ()
            notes.append(
                f"dataset {name!r} has no model of its own that could be asked: structure is compared with its frames"
                + ("" if tests else ", which have no one temperature: not at all")
                + ", and there are no tests elsewhere"
            )
        references += [SimulationJob(Subject(kind, cell), test, plan, where) for test in tests if test in plan.tests]
        for rival, good_for in RIVALS.items():
            useful = [test for test in good_for if test in plan.tests and (kind == OWN_MODEL or test != "elsewhere")]
            others += [SimulationJob(Subject(rival, cell), test, plan, where) for test in useful]
    return references, others, notes


def _check_same(run: RunFolder, plan: SimulationSettings) -> None:
    """Refuse settings that are not those of the simulations that are there."""
    folder = simulations_folder(run)
    before = read_json(folder / "settings.json", f"remove the folder {folder} and call `simulate` again")
    now = plan.model_dump(mode="json", exclude={*FREE})
    differing = [name for name, value in now.items() if before is not None and before.get(name) != value]
    if before is not None and differing:
        shown = "; ".join(f"{name} is {before.get(name)} there, {now[name]} now" for name in differing[:3])
        raise BenchmarkError(
            f"the simulations in {folder} were made with other settings: {shown}. Nothing was changed; give the same "
            f"settings with --set, or remove that folder to begin anew"
        )
