"""A pretext beside finetuning: its weighted loss is added to that of energies and forces, in training alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Generator
from torch_geometric.data import Batch

from benchmark.streams import stream_seed
from benchmark.training.modules.auxiliary import AuxiliaryModule
from benchmark.training.modules.finetuning import FinetuneModule
from tasks.models.base import ROTATION
from tasks.options.pretexts import DenoisingConfig
from tasks.pretexts.denoising import Denoising

WEIGHT, SEED = 0.3, 5


def loss_of(module, frames, stage, step):
    module.trainer = SimpleNamespace(global_step=step)
    return float(module.batch_loss(Batch.from_data_list(frames[:4]), 7, stage).detach())


@pytest.mark.parametrize("head", ["force", "coordinate"])
def test_the_training_loss_is_the_sum_and_others_are_without(make_potential, finetuning, frames, head):
    pretext = Denoising(DenoisingConfig(sd_A=0.1, head=head))

    def auxiliary(stage, step):
        return loss_of(AuxiliaryModule(make_potential(), finetuning, 0.8, pretext, WEIGHT, SEED), frames, stage, step)

    def alone(stage):
        return loss_of(FinetuneModule(make_potential(), finetuning, 0.8), frames, stage, 0)

    batch = Batch.from_data_list(frames[:4])
    for step in (0, 3):
        corrupted = pretext.corrupt(batch, Generator().manual_seed(stream_seed(SEED, "auxiliary", step)))
        found = make_potential().vectors(head, corrupted.z, corrupted.pos, corrupted.batch, corrupted.box, {})
        noise = (found - corrupted.target).square().mean()
        expected = alone("train") + WEIGHT * float(noise.detach())
        assert auxiliary("train", step) == pytest.approx(expected, rel=1e-5)
    assert auxiliary("train", 0) != auxiliary("train", 3)
    for stage in ("val", "test"):
        assert auxiliary(stage, 0) == alone(stage)


def test_frames_and_corrupted_copies_are_turned(make_potential, finetuning, frames, monkeypatch):
    module = AuxiliaryModule(make_potential(), finetuning, 0.8, Denoising(DenoisingConfig()), WEIGHT, SEED, rotate=2)
    seen, forward = [], type(module.model).forward

    def watched(self, *args, extra_args=None, **kwargs):
        seen.append(extra_args[ROTATION])
        return forward(self, *args, extra_args=extra_args, **kwargs)

    monkeypatch.setattr(type(module.model), "forward", watched)
    loss_of(module, frames, "train", 0)
    assert len(seen) == 2
    assert torch.equal(*seen)
