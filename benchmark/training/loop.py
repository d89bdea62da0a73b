"""One fit and one evaluation with Lightning's Trainer: used for pretraining and finetuning alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch_geometric.data import Data

from benchmark.planning.config import Phase
from benchmark.training.batches import FrameStore, load
from benchmark.training.callbacks import BestAndLast, CurveRecorder, ProgressReporter, Report, SameWork, StopWithParent
from benchmark.training.data import SplitDataModule
from benchmark.training.modules.finetuning import FinetuneModule
from benchmark.training.modules.potential import PotentialModule
from benchmark.training.samples import Details
from benchmark.training.steps.parts import own_place, share_statistics


@dataclass(frozen=True)
class Fit:
    """What a finished fit cost (optimizer steps; s, over all sittings), and its epoch of lowest validation loss."""

    steps: int
    seconds: float
    best_epoch: int


def make_trainer(device: str, phase: Phase | None = None, callbacks: list[Any] | None = None) -> Trainer:
    """A silent Trainer on this process's device, one of those of `own_place`; without a phase, for evaluation alone."""
    fitting: dict[str, Any] = {}
    if phase is not None:
        fitting = {"max_epochs": phase.epochs, "gradient_clip_val": phase.gradient_clip}
    place = own_place()
    if place.processes > 1:
        # Parts of a network may have no part in a loss, as the energies' in a pretext's.
        fitting["strategy"] = DDPStrategy(find_unused_parameters=True)
        fitting["plugins"] = [LightningEnvironment()]  # not one that it detects: processes are started by us
    return Trainer(
        accelerator=device,
        devices=place.devices,
        num_nodes=place.nodes,
        use_distributed_sampler=False,  # every process has whole batches: see ``benchmark.training.steps.parts``
        callbacks=callbacks,
        enable_checkpointing=bool(callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        # Forces are derivatives: they need a graph in validation too.
        inference_mode=False,
        **fitting,
    )


def fit(
    module: PotentialModule,
    data: SplitDataModule,
    phase: Phase,
    folder: Path,
    device: str,
    report: Report,
    curves: CurveRecorder,
    key: str = "",
    content: str = "",
) -> Fit:
    """Train to the phase's end, from the last checkpoint in the folder if there is one.

    Args:
        module: the potential and its loss.
        data: training and validation frames.
        phase: epochs, optimizer and schedule.
        folder: receives ``last.ckpt`` after every epoch and ``best.ckpt`` (lowest ``val_loss``).
        device: Lightning's accelerator: ``cpu`` or ``cuda``.
        report: is told how far the fit is.
        curves: an empty recorder; holds the curves afterwards, also of a fit that diverged.
        key: of the job, which its checkpoints carry.
        content: what the data is; of several processes all need the same.

    Raises:
        RecordError: if the folder's checkpoints are damaged or of another job.
        Diverged: if a training or validation loss is NaN or infinite.
    """
    if own_place().processes > 1:
        share_statistics(module.model)
    checkpoints = BestAndLast(folder, key)
    callbacks = [SameWork(content), curves, ProgressReporter(report, curves), StopWithParent(), checkpoints]
    trainer = make_trainer(device, phase, callbacks)
    trainer.fit(module, datamodule=data, ckpt_path=checkpoints.resumable(), weights_only=True)
    return Fit(trainer.global_step, curves.seconds, checkpoints.best_epoch)


def evaluate(
    module: FinetuneModule, samples: Sequence[Data], batch_size: int, checkpoint: Path, device: str
) -> tuple[dict[str, float], Details]:
    """Exact errors of a checkpoint on labelled, normalised samples, by the records' names, and their details."""
    if own_place().rank == 0:  # Lightning gives the others its weights; another node may not see a new file at once
        module.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"])
    loader = load(FrameStore(samples), batch_size)
    module.begin_test()
    make_trainer(device).test(module, dataloaders=loader, verbose=False)
    return module.end_test()
