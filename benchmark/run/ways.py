"""Which fits are computed by a compiled or captured step: one choice for a network, so that arms can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmark.cell.job import Job, Settings
from benchmark.errors import BenchmarkError
from benchmark.planning.cells import Cell, Work
from benchmark.planning.config import DatasetEntry, Part
from benchmark.planning.frames import count_training_frames
from benchmark.planning.planner import Choice
from benchmark.planning.reading import build, check_options
from benchmark.run.jobs import make_jobs
from benchmark.training.steps.compiled import missing_compiler, read_measured
from benchmark.training.steps.functions import function_of
from benchmark.training.steps.prepare import fastest_way
from tasks.datasets.base import DatasetTask
from tasks.models.graph import GraphPotential
from tasks.options.models import PotentialConfig
from tasks.registry import DATASETS, MODELS

COLD_SECONDS, WARM_SECONDS = 60.0, 4.0
"""What a network's function takes to be compiled, and each process to load it from the cache, about; one core."""
CAPTURED_STEPS = 300
"""Steps of a fit on a GPU from which a captured step, which takes up to a second to prepare, is worth it."""

LAYER_SECONDS = 2.5e-3
PRODUCT_SECONDS = 1.5e-9
NEIGHBOURS = 16
"""A guess of an eager step, which decides what is worth compiling and nothing else: so long for each layer, and so long
for each edge and pair of channels in it, on one core; water within 3.4 Å has so many neighbours."""


def choose_compiled(cells: Sequence[Cell], settings: Settings, choice: Choice, workers: int) -> frozenset[str]:
    """Keys of the pretrainings and cells whose training steps are compiled, or on a GPU captured.

    ``auto`` keeps to what finished fits of the same network in the run folder did. Else it compiles where all its
    fits together save well over what compiling costs; on a GPU it captures where fits are long, and compiles nothing,
    which gains little there.

    Args:
        cells: the whole plan, not only what is left: the choice must not depend on how far a run is.
        settings: this run's.
        choice: the value of ``--compile``.
        workers: processes at a time, each of which has to load or compile.
    """
    jobs: dict[str, list[Job]] = {}
    for job in make_jobs(cells, settings):
        jobs.setdefault(job.work.model.model_dump_json(), []).append(job)
    compiled = [job.key for of_one in jobs.values() if _compiles(of_one, settings, choice, workers) for job in of_one]
    return frozenset(compiled)


def _compiles(jobs: Sequence[Job], settings: Settings, choice: Choice, workers: int) -> bool:
    """Whether the fits of one network are compiled."""
    if (
        choice == "never"
        or settings.processes > 1
        or not issubclass(MODELS.get(jobs[0].work.model.kind), GraphPotential)
    ):
        return False
    if choice == "always":
        return True
    finished = [job for job in jobs if job.finished]
    if finished:
        return way_of(finished[0].folder.read_provenance() or {}) != "eager"
    if settings.device != "cpu":
        captured = fastest_way(MODELS.get(jobs[0].work.model.kind), settings.device) == "captured"
        return captured and _count_all_steps(jobs, settings.data_dir) > CAPTURED_STEPS * len(jobs)
    functions = {function_of(job.work) for job in jobs}
    cold = sum(read_measured(function) is None for function in functions)
    cost = cold * COLD_SECONDS + len(functions) * WARM_SECONDS * workers
    # Fits that differ in their seed alone take as long: of thousands a few are guessed.
    alike: dict[tuple[Any, ...], list[Job]] = {}
    for job in jobs:
        alike.setdefault((job.pace_group, job.epochs), []).append(job)
    guesses = [len(same) * _guess_seconds(same[0].work, settings.data_dir) for same in alike.values()]
    saved = MODELS.get(jobs[0].work.model.kind).compiled_saves * sum(guesses)
    return saved > 1.5 * cost and missing_compiler(settings.device) is None


def _count_all_steps(jobs: Sequence[Job], data_dir: Path) -> int:
    """Of so many fits; those that cannot be counted yet are none."""
    return sum(count_steps(job.work, part, data_dir) or 0 for job in jobs for part in job.work.trains_on)


def check_devices(cells: Sequence[Cell], settings: Settings, choice: Choice) -> None:
    """Make sure that jobs can run on as many devices as asked for.

    Raises:
        BenchmarkError: if there are fewer, a batch has fewer frames, or steps are to be compiled always.
    """
    devices, nodes = settings.devices, settings.nodes
    if settings.processes == 1:
        return
    given = f"--devices {devices}" if nodes == 1 else f"--nodes {nodes} --devices {devices}"
    if settings.device == "cuda" and devices > torch.cuda.device_count():
        raise BenchmarkError(f"--devices {devices}: there are {torch.cuda.device_count()} GPUs here")
    smallest = min((job.work for job in make_jobs(cells, settings)), key=lambda work: work.batch_size, default=None)
    if smallest is not None and smallest.batch_size < settings.processes:
        raise BenchmarkError(
            f"{given}: a batch is divided among the devices, and in this plan there are batches of "
            f"{smallest.batch_size} frames; give at most as many devices, or raise batch_size in the suite"
        )
    if choice == "always":
        raise BenchmarkError(
            f"--compile always {given}: steps are compiled on one device alone; leave out one of the two"
        )


def way_of(provenance: Mapping[str, Any]) -> str:
    """How a fit was computed, by its provenance; what says nothing is of versions that knew only one way."""
    computed = provenance.get("computed")
    return str(computed["way"]) if isinstance(computed, dict) else "eager"


def count_steps(work: Work, part: DatasetEntry | Part, data_dir: Path) -> int | None:
    """Optimizer steps of a fit over one of its datasets; None where only data can tell that is not there yet."""
    frames = count_training_frames(part, work.seed, data_dir)
    return None if frames is None else math.ceil(work.phase.epochs * frames / work.batch_size)


def _guess_seconds(work: Work, data_dir: Path) -> float:
    """Time of a fit by its eager steps, very roughly, s."""
    options = check_options(MODELS, work.model)
    assert isinstance(options, PotentialConfig)
    seconds = 0.0
    for part in work.trains_on:
        task: DatasetTask = build(DATASETS, part)
        edges = NEIGHBOURS * work.batch_size * task.example(data_dir).num_nodes
        step = options.layers * (LAYER_SECONDS + PRODUCT_SECONDS * edges * options.hidden**2)
        seconds += step * (count_steps(work, part, data_dir) or 0)
    return seconds
