"""What a plan will cost, measured on this machine with the steps that its fits will make."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from torch_geometric.data import Data

from benchmark.cell.cell import finetuning_module
from benchmark.cell.job import Settings
from benchmark.cell.pretraining import pretraining_module
from benchmark.errors import BenchmarkError
from benchmark.planning.cells import Cell, Pretraining, Work
from benchmark.planning.config import DatasetEntry, Part
from benchmark.planning.frames import planned_split
from benchmark.planning.reading import build
from benchmark.processor import processor
from benchmark.run.execute import Run
from benchmark.run.jobs import pending_jobs
from benchmark.run.machine import choose_device
from benchmark.run.ways import WARM_SECONDS, choose_compiled, count_steps
from benchmark.training.callbacks import CurveRecorder
from benchmark.training.data import SplitDataModule
from benchmark.training.loop import fit
from benchmark.training.modules.potential import PotentialModule
from benchmark.training.steps.compiled import read_measured
from benchmark.training.steps.functions import function_of
from tasks.datasets.base import DatasetTask
from tasks.datasets.splits import Split
from tasks.registry import DATASETS, MODELS, PRETEXTS

WARM_UP, STEPS, ENOUGH_SECONDS = 2, 15, 3.0
"""Steps before the clock counts, steps that are timed, and after how many seconds three of these are enough."""


@dataclass(frozen=True)
class Estimate:
    """Cost of a plan.

    Attributes:
        fits: pretrainings and cells still to be trained.
        steps: optimizer steps in all of them.
        seconds: training time of all fits, one after the other, s.
        workers: how many fits run at a time.
        compiled: how many of the fits are computed by a compiled step.
    """

    fits: int
    steps: int
    seconds: float
    workers: int
    compiled: int = 0


@dataclass(frozen=True)
class Pace:
    """Seconds of an optimizer step, computed eagerly, and of validating one frame."""

    step: float
    validation: float


def estimate(run: Run) -> Estimate:
    """Make a few training steps of each kind of fit on each dataset, and multiply.

    Nothing is compiled for it: the gain of a compiled step is that measured here before, or a cautious guess.

    Raises:
        BenchmarkError: where frames cannot be counted before the data is there, or the device is not here.
    """
    settings = run.settings
    choose_device(settings.device)  # that of a cluster's nodes may not be here
    jobs = pending_jobs(run.cells, settings)
    compiled = choose_compiled(run.cells, settings, run.compile_steps, run.workers)
    paces: dict[str, Pace] = {}
    steps, seconds = 0, 0.0
    for work in (job.work for job in jobs):
        speedup = 1.0
        if work.key in compiled:
            cautious = {"speedup": 1 / (1 - MODELS.get(work.model.kind).compiled_saves)}
            speedup = (read_measured(function_of(work)) or cautious)["speedup"]
            seconds += WARM_SECONDS
        splits = [planned_split(part, work.seed, settings.data_dir) for part in work.trains_on]
        # A larger batch than all training frames is one of these.
        frames = min(work.batch_size, sum(len(split.train) for split in splits if split is not None))
        for part, split in zip(work.trains_on, splits, strict=True):
            count = count_steps(work, part, settings.data_dir)
            if count is None or split is None:
                raise BenchmarkError(
                    f"frames of dataset kind {part.kind!r} cannot be counted before its data is there. Prepare it "
                    f"first: python -m benchmark data prepare, with the same --suite, --scale and --data-dir"
                )
            alike = work.model_dump(mode="json", include={"model", "pretext", "rotate", "batch_size"})
            key = json.dumps([part.seedless, work.forwards, alike, frames])
            if key not in paces:
                paces[key] = _pace(part, work, frames, settings)
            steps += count
            seconds += count * paces[key].step / speedup
            seconds += work.phase.epochs * len(split.val) * paces[key].validation
    return Estimate(len(jobs), steps, seconds, run.workers, sum(job.key in compiled for job in jobs))


class _Clock(CurveRecorder):
    """Notes when steps and the validation end, and ends the fit when that is enough."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []
        self.validation = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time, when the device has done its work."""
        float(outputs["loss"])
        self.ends.append(time.perf_counter())
        if len(self.ends) > WARM_UP and self.ends[-1] - self.ends[0] > ENOUGH_SECONDS:
            trainer.should_stop = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of the validation."""
        self.validation = -time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop it."""
        self.validation += time.perf_counter()

    @property
    def step(self) -> float:
        """Median time from the end of a step to that of the next one, s."""
        return statistics.median(np.diff(self.ends[WARM_UP - 1 :]).tolist())


def _pace(dataset: DatasetEntry | Part, work: Work, frames_a_step: int, settings: Settings) -> Pace:
    """Run the beginning of a fit on structures of the right size, in a folder that is thrown away."""
    task: DatasetTask = build(DATASETS, dataset)
    batches = WARM_UP + STEPS
    structures = [task.example(settings.data_dir, seed) for seed in range(2 * frames_a_step)]
    samples = [_labelled(structures[i % len(structures)]) for i in range((batches + 2) * frames_a_step)]
    training = batches * frames_a_step
    frames = np.arange(len(samples))
    split = Split(frames[:training], frames[training:], frames[:0])
    module = _module(work)
    clock = _Clock()
    phase = work.phase.model_copy(update={"epochs": 1, "lr": 1e-9, "lr_min": 1e-9})
    with tempfile.TemporaryDirectory() as folder, _silence(), processor(settings.threads):
        data = SplitDataModule(
            samples, split, Path(folder), frames_a_step, work.eval_batch_size, 0, None, module.search
        )
        fit(module, data, phase, Path(folder), settings.device, lambda state: None, clock)
    return Pace(clock.step, clock.validation / len(split.val))


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """What libraries say of a fit belongs into a log, and here there is none."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _labelled(structure: Data) -> Data:
    sample = structure.clone()
    sample.y, sample.neg_dy = torch.zeros(1, 1), torch.zeros_like(sample.pos)
    return sample


def _module(work: Work) -> PotentialModule:
    potential = build(MODELS, work.model)
    if isinstance(work, Pretraining):
        return pretraining_module(work, potential, build(PRETEXTS, work.pretext), 1.0)
    assert isinstance(work, Cell)
    return finetuning_module(work, potential, 1.0)
