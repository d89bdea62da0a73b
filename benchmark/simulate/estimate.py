"""How long simulations will take: a few evaluations are timed here for each kind of subject, and multiplied."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmark.planning.cells import Cell
from benchmark.planning.reading import build
from benchmark.planning.simulation import SimulationSettings
from benchmark.processor import processor
from benchmark.run.machine import count_threads
from benchmark.simulate.job import SimulationJob
from benchmark.simulate.run import Simulation
from benchmark.simulate.setting import DATA, OWN_MODEL, Setting
from reports.records.simulations import CELL
from tasks.datasets.base import DatasetTask
from tasks.registry import DATASETS, MODELS
from tasks.simulation.card import Card, Network
from tasks.simulation.fields import Field, ModelField, NetworkField
from tasks.simulation.potential import TrainedPotential
from tasks.simulation.structures import Start, side_by_side, start_from
from tasks.simulation.trials import FS_PER_PS

TIMED = 3
ELSEWHERE_REPLICAS = 2
"""Simulations of a condition elsewhere."""


def evaluations(kind: str, test: str, plan: SimulationSettings) -> float:
    """How often all replicas of a subject are evaluated together in a test; those of labels and scans are few."""
    if test in ("nvt", "nve") and kind != DATA:
        return (plan.nvt_ps if test == "nvt" else plan.nve_ps) * FS_PER_PS / plan.timestep_fs
    if test == "elsewhere" and kind == OWN_MODEL:
        conditions = 1 + len(plan.temperatures_K) + len(plan.densities) + (plan.copies > 1)
        return conditions * plan.elsewhere_ps * FS_PER_PS / plan.timestep_fs
    return 0.0


def estimate_seconds(simulation: Simulation) -> float:
    """Time of all that is left, one job after the other, s."""
    costs: dict[tuple[str, ...], float] = {}
    total = 0.0
    for job in simulation.left:
        steps = evaluations(job.subject.kind, job.test, simulation.plan)
        if steps:
            model = job.subject.cell.arm.model if job.subject.kind == CELL else ""
            key = (job.subject.kind, job.subject.cell.arm.dataset, model, job.test)
            if key not in costs:
                costs[key] = _time_job(job)
            total += steps * costs[key]
    return total


def estimate_planned(plan: SimulationSettings, cells: Sequence[Cell], data_dir: Path, workers: int) -> float:
    """The same before anything is trained: with untrained networks, on structures of the right size."""
    threads, total = count_threads(workers), 0.0
    for cell in {(cell.arm.dataset, cell.arm.model): cell for cell in cells}.values():
        alike = sum(other.arm[:2] == cell.arm[:2] for other in cells)
        start = _example(cell, plan.replicas, plan.boxes, data_dir)
        card = Card(
            network=Network(kind=cell.model.kind, options=cell.model.options),
            scale_eV=1.0,
            species=tuple(sorted(set(start.z.tolist()))),
            periodic=start.box is not None,
            provenance={},
        )
        field = NetworkField(TrainedPotential(card, build(MODELS, cell.model)), start.samples[0].z, start.boxes)
        steps = sum(evaluations(CELL, test, plan) for test in plan.tests)
        total += alike * steps * _time_step(field, start, threads)
    for cell in {cell.arm.dataset: cell for cell in cells}.values():
        task: DatasetTask = build(DATASETS, cell.dataset)
        for test in plan.tests:
            elsewhere = test == "elsewhere"
            replicas = ELSEWHERE_REPLICAS if elsewhere else plan.replicas * plan.reference_factor
            start = _example(cell, replicas, 1 if elsewhere else plan.boxes, data_dir)
            models = [model for sample in start.samples if (model := task.own_model(sample)) is not None]
            steps = evaluations(OWN_MODEL, test, plan)
            if steps and models:
                total += steps * _time_step(ModelField(models), start, threads)
    return total


def _example(cell: Cell, replicas: int, boxes: int, data_dir: Path) -> Start:
    """Starts of the right size, which need not be prepared."""
    task: DatasetTask = build(DATASETS, cell.dataset)
    sample = task.example(data_dir)
    return side_by_side(start_from([sample], [0], replicas), boxes)


def _time_job(job: SimulationJob) -> float:
    setting = Setting.of(job.subject, job.settings)
    if job.test == "elsewhere":
        start = setting.start(ELSEWHERE_REPLICAS)
    else:
        start = side_by_side(setting.start(job.replicas), job.plan.boxes)
    return _time_step(setting.field(start), start, job.settings.threads)


def _time_step(forces: Field, start: Start, threads: int) -> float:
    """Seconds of one evaluation of all replicas."""
    which = torch.arange(len(start.samples))
    began = 0.0
    with processor(threads):
        for number in range(-1, TIMED):  # one to warm up
            if number == 0:
                began = time.perf_counter()
            forces(start.pos, which)
    return (time.perf_counter() - began) / TIMED
