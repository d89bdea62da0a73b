"""What a plan will cost, measured on this machine with random structures of the right size."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch_geometric.data import Batch

from benchmark.cell.job import Settings
from benchmark.errors import BenchmarkError
from benchmark.planning.cells import Work
from benchmark.planning.config import Entry, build
from benchmark.planning.frames import count_training_frames
from benchmark.run.execute import Run
from benchmark.run.jobs import pending_jobs
from tasks.datasets.base import DatasetTask
from tasks.registry import DATASETS, MODELS

STEPS = 3


@dataclass(frozen=True)
class Estimate:
    """Cost of a plan.

    Attributes:
        fits: pretrainings and cells still to be trained.
        steps: optimizer steps in all of them.
        seconds: training time of all fits, one after the other, s.
        workers: how many fits run at a time.
    """

    fits: int
    steps: int
    seconds: float
    workers: int

    def describe(self) -> str:
        """The estimate in a sentence, with what it leaves out."""
        minutes = self.seconds / 60
        return (
            f"{self.fits} fits, {self.steps} optimizer steps; about {minutes:.1f} min of training, "
            f"{minutes / self.workers:.1f} min with {self.workers} at a time (timed over {STEPS} steps of each network "
            f"on random structures; data generation, start-up and evaluation come on top)"
        )


def estimate(run: Run) -> Estimate:
    """Time a few training steps of each network on each dataset, and multiply.

    Raises:
        BenchmarkError: where frames cannot be counted before the data is there.
    """
    jobs = pending_jobs(run.cells, run.settings)
    torch.set_num_threads(run.settings.threads)
    step_seconds: dict[str, float] = {}
    steps, seconds = 0, 0.0
    for work in (job.work for job in jobs):
        for part in work.trains_on:
            frames = count_training_frames(part, work.seed, run.settings.data_dir)
            if frames is None:
                raise BenchmarkError(
                    f"frames of dataset kind {part.kind!r} cannot be counted before its data is there. Prepare it "
                    f"first: python -m benchmark data prepare, with the same --suite, --scale and --data-dir"
                )
            key = f"{part.model_dump_json(include={'kind', 'options'})} {work.model.model_dump_json()}"
            if key not in step_seconds:
                step_seconds[key] = _time_step(part, work, run.settings)
            count = math.ceil(work.phase.epochs * frames / work.batch_size)
            steps += count
            seconds += work.forwards * count * step_seconds[key]
    return Estimate(len(jobs), steps, seconds, run.workers)


def _time_step(dataset: Entry, work: Work, settings: Settings) -> float:
    """Seconds of one optimizer step: forward, forces, backward, update."""
    task: DatasetTask = build(DATASETS, dataset)
    device = settings.device
    samples = [task.example(settings.data_dir, seed) for seed in range(work.batch_size)]
    batch = Batch.from_data_list(samples).to(device)
    potential = build(MODELS, work.model).to(device)
    optimizer = torch.optim.AdamW(potential.parameters(), lr=1e-5)
    started = 0.0
    # Warm-up first: the neighbour search is compiled when it is first called.
    for step in range(-2, STEPS):
        if step == 0:
            started = time.perf_counter()
        optimizer.zero_grad()
        energy, force = potential(batch.z, batch.pos.detach(), batch.batch, batch.box if "box" in batch else None)
        # Reading the loss waits for the device.
        loss = energy.square().mean() + force.square().mean()
        loss.backward()
        optimizer.step()
        loss.item()
    return (time.perf_counter() - started) / STEPS
