"""From a run folder to its simulations: settings, subjects, jobs in parallel processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from benchmark.cell.finished import choose, read_cell
from benchmark.cell.job import Job, Settings
from benchmark.cell.library import Library
from benchmark.cell.provenance import describe_environment
from benchmark.errors import BenchmarkError, describe_validation
from benchmark.executors.local import MayStart, run_jobs
from benchmark.planning.cells import Cell
from benchmark.planning.reading import build
from benchmark.planning.simulation import SimulationSettings, Test
from benchmark.run.folder import plan_file
from benchmark.run.length.budget import Budget
from benchmark.run.machine import count_threads, count_workers
from benchmark.run.watching.progress import Display
from benchmark.simulate.job import SimulationJob
from benchmark.simulate.setting import DATA, OWN_MODEL, Subject
from reports.records.atomic import read_json, write_json
from reports.records.folder import RunFolder
from reports.records.plan import Plan
from reports.records.simulations import CELL, simulations_folder
from tasks.registry import DATASETS

RIVALS: Mapping[str, tuple[Test, ...]] = {
    "null": ("nvt", "elsewhere"),
    "one molecule": ("nvt", "elsewhere"),
}
"""References without network, and the tests that say something of them."""
FREE = ("tests", "keep_trajectories")
"""Settings that may differ between calls: they say nothing about a result."""


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

    def waits(self, job: SimulationJob) -> bool:
        """Whether what a job is compared to is not there: it would end well without the comparison."""
        return job not in self.references and any(
            reference.test == job.test
            and reference.subject.cell.arm.dataset == job.subject.cell.arm.dataset
            and not reference.finished
            for reference in self.references
        )


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
    check_same(run, settings)
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


def simulate_finished(
    folder: Path, data_dir: Path, jobs: int | None, display: Display, budget_s: float | None = None
) -> list[str]:
    """Simulate with all potentials of a run, as its suite says, if there are any, in a wall time; see `execute`."""
    run = RunFolder(folder)
    if all(run.cell(cell.key).status().state != "ok" for cell in run.read_plan().cells):
        return []
    planned = prepare(folder, data_dir, jobs=jobs)
    failed = execute(planned, display, Budget(budget_s).allows)
    left = len(planned.left) - len(failed)
    if left:
        why = "" if failed else "the time is spent: "
        display.console.print(f"{why}{left} simulations are left; the same command goes on")
    return failed


def read_settings(plan: Plan, changes: Mapping[str, str]) -> SimulationSettings:
    """Settings of the suite (its section ``simulation``), or the defaults, with changes laid over them.

    Raises:
        BenchmarkError: for an unknown setting, or a value that is not allowed.
    """
    content: dict[str, Any] = dict(plan.config.get("simulation") or {})
    for name, text in changes.items():
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            raise BenchmarkError(
                f"--set {name}={text}: {text!r} is no value; write a number, a word or a list"
            ) from error
        many = name in ("tests", "temperatures_K", "densities")
        content[name] = [part.strip() for part in text.split(",") if part.strip()] if many else value
    try:
        return SimulationSettings(**content)
    except ValidationError as error:
        advice = "Correct this in --set, or in the suite's section simulation, and run again."
        raise describe_validation(error, SimulationSettings, "settings of simulations", advice) from error


def execute(simulation: Simulation, display: Display, may_start: MayStart = lambda job, running: True) -> list[str]:
    """Run what is missing: the data's own models first.

    Args:
        simulation: what is planned.
        display: is told.
        may_start: what it refuses is left undone.

    Returns:
        What failed, each with its reason.

    Raises:
        BenchmarkError: if a run or other simulations are at work in the folder.
    """
    lock = plan_file.lock(simulation.run)
    try:
        folder = simulations_folder(simulation.run)
        folder.mkdir(exist_ok=True)
        check_same(simulation.run, simulation.plan)
        settings = simulation.plan.model_dump(mode="json", exclude={*FREE})
        made_with = describe_environment("cpu", simulation.threads)
        write_json(folder / "settings.json", {"schema": 1, **settings, "made_with": made_with})
        for note in simulation.notes:
            display.console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
        left = simulation.left
        display.begin_jobs(left, total_cells=len(simulation.references) + len(simulation.jobs))
        for part in (simulation.references, simulation.jobs):
            todo: Sequence[Job] = [job for job in part if not job.finished and not simulation.waits(job)]
            run_jobs(todo, simulation.workers, display.update, may_start)
    finally:
        lock.release()
    every = [*simulation.references, *simulation.jobs]
    return [f"{job.name}: {job.folder.status().reason}" for job in every if job.folder.status().state == "failed"]


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


def check_same(run: RunFolder, plan: SimulationSettings) -> None:
    """Make sure that simulations that are there were made with these settings.

    Raises:
        BenchmarkError: naming what differs.
    """
    folder = simulations_folder(run)
    before = read_json(folder / "settings.json", f"remove the folder {folder} and call `simulate` again")
    if before is None:
        return
    defaults = {name: field.default for name, field in SimulationSettings.model_fields.items() if name not in FREE}
    now = plan.model_dump(mode="json")
    values = {name: (before.get(name, default), now.get(name, default)) for name, default in defaults.items()}
    differing = [f"{name} is {there} there, {here} now" for name, (there, here) in values.items() if there != here]
    if differing:
        shown = "; ".join(differing[:3])
        raise BenchmarkError(
            f"the simulations in {folder} were made with other settings: {shown}. Nothing was changed; give the same "
            f"settings with --set, or remove that folder to begin anew"
        )
