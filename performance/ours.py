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
from benchmark.planning.config import Entry, Finetune, build
from benchmark.training.callbacks import BestAndLast, CurveRecorder, ProgressReporter, StopWithParent
from benchmark.training.data import SplitDataModule
from benchmark.training.loop import make_trainer
from benchmark.training.modules import FinetuneModule
from tasks.datasets.base import DatasetTask
from tasks.datasets.splits import Split
from tasks.models.base import Potential
from tasks.pretexts.base import Pretext
from tasks.registry import DATASETS, MODELS, PRETEXTS

FORCE_WEIGHT, ENERGY_WEIGHT = 1.0, 0.01
Step = Callable[[], float]


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


def collate(samples: Sequence[Data], device: str) -> Batch:
    """A batch in its place on the device."""
    return Batch.from_data_list(list(samples)).to(device)


def optimizer(potential: nn.Module) -> torch.optim.Optimizer:
    """As `PotentialModule.configure_optimizers` has it; the learning rate is low so that nothing diverges."""
    return torch.optim.AdamW(potential.parameters(), lr=1e-5, fused=True)


def finetuning_step(potential: Potential, batch: Batch) -> Step:
    """Forward, forces, loss, backward, optimizer, on a batch that is in its place; gives the loss."""
    update = optimizer(potential)
    box = batch.box if "box" in batch else None

    def step() -> float:
        update.zero_grad()
        energy, force = potential(batch.z, batch.pos.detach(), batch.batch, box)
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


def corruption(pretext: Pretext, samples: Sequence[Data], device: str) -> Callable[[], Data]:
    """Collates samples and corrupts the batch on its device, each time anew."""
    draw = Generator(device).manual_seed(0)
    return lambda: pretext.corrupt(collate(samples, device), draw)


def pretraining_step(potential: Potential, pretext: Pretext, samples: Sequence[Data], device: str) -> Step:
    """Collation, corruption, prediction, loss, backward, optimizer; gives the loss."""
    update, corrupt = optimizer(potential), corruption(pretext, samples, device)

    def step() -> float:
        corrupted = corrupt()
        update.zero_grad()
        seen: dict[str, Tensor] = {"mask_label": corrupted.mask_label}
        place = (corrupted.z, corrupted.pos, corrupted.batch, corrupted.box)
        loss = pretext.loss(potential.vectors("force", *place, seen), corrupted)
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
    phase = Finetune(epochs=epochs, lr=1e-5, lr_min=1e-6, force_weight=FORCE_WEIGHT, energy_weight=ENERGY_WEIGHT)
    curves = CurveRecorder()
    with tempfile.TemporaryDirectory() as folder:
        cell = [curves, ProgressReporter(lambda state: None, curves), StopWithParent(), BestAndLast(Path(folder))]
        data = SplitDataModule(samples, split, Path(folder), frames, frames, order_seed=0)
        trainer = make_trainer(device, phase, [*cell, watch])
        trainer.fit(FinetuneModule(potential, phase, 1.0), datamodule=data)
