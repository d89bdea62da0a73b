"""What the rows measure of the suite: the one place that knows its interfaces, and has to follow when these change."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch_geometric.data import Batch, Data

import tasks.models  # noqa: F401  (before torchmdnet: it keeps warp from greeting)
from benchmark.planning.config import Entry, Finetune
from benchmark.planning.reading import build
from benchmark.training.batches import FrameStore
from benchmark.training.callbacks import BestAndLast, CurveRecorder, ProgressReporter, StopWithParent
from benchmark.training.data import SplitDataModule
from benchmark.training.loop import make_trainer
from benchmark.training.modules.finetuning import FinetuneModule
from benchmark.training.modules.heads import seen_by_network
from benchmark.training.steps.prepare import prepare_step
from tasks.datasets.base import DatasetTask
from tasks.datasets.splits import Split
from tasks.models.base import Potential
from tasks.models.graph import EDGES, POINTERS, SHIFTS
from tasks.pretexts.base import Pretext
from tasks.registry import DATASETS, MODELS, PRETEXTS

FORCE_WEIGHT, ENERGY_WEIGHT = 1.0, 0.01
PHASE = Finetune(epochs=1, lr=1e-5, lr_min=1e-6, force_weight=FORCE_WEIGHT, energy_weight=ENERGY_WEIGHT)
KEY = "0" * 12
Step = Callable[[], float]
Inputs = tuple[Tensor, Tensor, Tensor, Tensor | None, dict[str, Tensor]]
"""z, pos, batch, box and ``extra_args``."""


def network(kind: str, device: str, **options: Any) -> Potential:
    """A network of the suite in training, always with the same weights."""
    torch.manual_seed(0)
    potential: Potential = build(MODELS, Entry(kind=kind, options=options))
    return potential.to(device).train()


def water(molecules: int, frames: int, density_g_per_cm3: float = 0.997) -> list[Data]:
    """Random, unrelaxed boxes of TIP3P water with made-up labels of unit size."""
    options = {"molecules": molecules, "density_g_per_cm3": density_g_per_cm3, "cutoff_A": 0.1}
    task: DatasetTask = build(DATASETS, Entry(kind="tip3p", options=options))
    draw = Generator().manual_seed(0)
    samples = []
    for frame in range(frames):
        sample = task.example(Path(), frame)
        sample.y = torch.randn(1, 1, generator=draw)
        sample.neg_dy = torch.randn(sample.pos.shape, generator=draw)
        samples.append(sample)
    return samples


def loader(potential: Potential, samples: Sequence[Data], device: str) -> Callable[[], Batch]:
    """Makes the batch of these samples, anew each time, as the loader of a fit does: with kept neighbours."""
    frames = FrameStore(samples, FinetuneModule(potential, PHASE, 1.0).search)
    every = list(range(len(samples)))
    return lambda: frames.__getitems__(every).to(device)


def collate(potential: Potential, samples: Sequence[Data], device: str) -> Batch:
    """A batch in its place on the device, with its neighbours."""
    return loader(potential, samples, device)()


def optimizer(potential: nn.Module) -> torch.optim.Optimizer:
    """As `PotentialModule.configure_optimizers` has it; the learning rate is low so that nothing diverges."""
    return torch.optim.AdamW(potential.parameters(), lr=1e-5, fused=True)


def predictor(potential: Potential, inputs: Callable[[], Inputs], compiled: bool) -> Callable[..., Any]:
    """The potential's energies and forces as a training step computes them: eagerly, or compiled (on a GPU captured).

    Raises:
        RuntimeError: where they cannot be compiled or captured, saying why.
    """
    if not compiled:
        return lambda z, pos, batch, box, seen: potential(z, pos, batch=batch, box=box, extra_args=seen)
    kind = type(potential).__name__
    step, computed = prepare_step(potential, "predict", f"performance-{kind}", inputs)
    if step is None:
        raise RuntimeError(f"{kind} is neither compiled nor captured: {computed.why}")
    return step


def inputs_of(batch: Batch) -> Inputs:
    """What a predictor takes, of a batch with its neighbours."""
    seen = {name: batch[name] for name in (EDGES, SHIFTS, POINTERS)}
    return batch.z, batch.pos.detach(), batch.batch, batch.box if "box" in batch else None, seen


def finetuning_step(potential: Potential, batches: Callable[[], Batch], compiled: bool = False) -> Step:
    """Batch, forward, forces, loss, backward, optimizer; gives the loss."""
    return step_of(potential, batches, predictor(potential, lambda: inputs_of(batches()), compiled))


def step_of(potential: Potential, batches: Callable[[], Batch], predict: Callable[..., Any]) -> Step:
    """A finetuning step whose energies and forces a function predicts."""
    update = optimizer(potential)

    def step() -> float:
        batch = batches()
        update.zero_grad()
        energy, force = predict(*inputs_of(batch))
        loss = FORCE_WEIGHT * nn.functional.mse_loss(force, batch.neg_dy)
        loss = loss + ENERGY_WEIGHT * nn.functional.mse_loss(energy, batch.y)
        loss.backward()
        update.step()
        return float(loss.detach())

    return step


def masking(ratio: float) -> Pretext:
    """Hydrogen masking of water."""
    pretext: Pretext = build(PRETEXTS, Entry(kind="masking", options={"ratio": ratio}))
    return pretext


def corruption(pretext: Pretext, batches: Callable[[], Batch], device: str) -> Callable[[], tuple[Data, Batch]]:
    """Makes a batch and corrupts it on its device, each time anew; gives both."""
    draw = Generator(device).manual_seed(0)

    def corrupt() -> tuple[Data, Batch]:
        batch = batches()
        return pretext.corrupt(batch, draw), batch

    return corrupt


def pretraining_step(
    potential: Potential, pretext: Pretext, batches: Callable[[], Batch], device: str, compiled: bool = False
) -> Step:
    """Batch, corruption, prediction, loss, backward, optimizer; gives the loss."""
    update, corrupt = optimizer(potential), corruption(pretext, batches, device)
    predict = predictor(potential, lambda: seen_by_network(*corrupt()), compiled)

    def step() -> float:
        corrupted, batch = corrupt()
        update.zero_grad()
        loss = pretext.loss(predict(*seen_by_network(corrupted, batch))[1], corrupted)
        loss.backward()
        update.step()
        return float(loss.detach())

    return step


def fit(potential: Potential, samples: Sequence[Data], frames: int, epochs: int, device: str, watch: Any) -> None:
    """Train as a cell does, with Lightning's Trainer and the callbacks of a cell, and a callback that watches.

    Checkpoints are written once an epoch and no part of a step.

    Args:
        potential: what is trained.
        samples: all but the last train, the last validates.
        frames: a step.
        epochs: passes.
        device: ``cpu`` or ``cuda``.
        watch: the callback, called after all others.
    """
    count = len(samples)
    split = Split(np.arange(count - 1), np.array([count - 1]), np.empty(0, dtype=np.int64))
    phase = PHASE.model_copy(update={"epochs": epochs})
    module = FinetuneModule(potential, phase, 1.0)
    curves = CurveRecorder()
    with tempfile.TemporaryDirectory() as folder:
        cell = [curves, ProgressReporter(lambda state: None, curves), StopWithParent(), BestAndLast(Path(folder), KEY)]
        data = SplitDataModule(samples, split, Path(folder), frames, frames, order_seed=0, search=module.search)
        trainer = make_trainer(device, phase, [*cell, watch])
        trainer.fit(module, datamodule=data)
