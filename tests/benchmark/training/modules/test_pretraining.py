"""Fits of a pretext: no labels, corruption by step and place, and the function that a step calls."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch_geometric.data import Batch

from benchmark.training.modules.pretraining import PretrainModule
from tasks.options.pretexts import DenoisingConfig, DistanceDenoisingConfig
from tasks.pretexts.denoising import Denoising
from tasks.pretexts.distances import DistanceDenoising


def test_losses_of_pretraining_are_means_over_frames_in_curves_and_begin_anew(make_potential, pretraining, frames):
    """A batch of three frames counts three times as much as one of a single frame."""
    pretext = Denoising(DenoisingConfig(sd_A=0.1, head="force"))
    module = PretrainModule(make_potential(), pretraining, pretext, seed=0)
    parts = [(frames[:3], 0), (frames[3:4], 1)]
    losses = [float(module.batch_loss(Batch.from_data_list(part), number, "val").detach()) for part, number in parts]
    values = module.curve_values()
    assert values["val", "loss"] == pytest.approx((3 * losses[0] + losses[1]) / 4, rel=1e-6)
    assert torch.tensor(values["train", "loss"]).isnan()
    assert torch.tensor(module.curve_values()["val", "loss"]).isnan()


def test_pretraining_never_reads_labels(make_potential, pretraining, frames):
    pretext = Denoising(DenoisingConfig(sd_A=0.1))
    bare = [f.clone() for f in frames[:3]]
    for sample in bare:
        del sample.y, sample.neg_dy
    losses = [
        PretrainModule(make_potential(), pretraining, pretext, 0)
        .batch_loss(Batch.from_data_list(s), 0, "train")
        .detach()
        for s in (bare, frames[:3])
    ]
    assert losses[0] == losses[1]


def test_every_pretext_head_trains_something(make_potential, pretraining, frames):
    batch = Batch.from_data_list(frames[:4])
    for head in ("force", "coordinate"):
        pretext = Denoising(DenoisingConfig(sd_A=0.1, head=head))
        module = PretrainModule(make_potential(), pretraining, pretext, 0)
        module.batch_loss(batch, 0, "train").backward()
        gradients = [p.grad for p in module.model.layers.parameters() if p.grad is not None]
        assert max(float(g.abs().max()) for g in gradients) > 0
        assert torch.isfinite(torch.stack([g.sum() for g in gradients])).all()


def test_a_step_is_the_function_that_the_pretext_scores(module, make_potential, pretraining):
    pretexts = {
        "predict": Denoising(DenoisingConfig(head="force")),
        "displace": Denoising(DenoisingConfig(head="coordinate")),
        "represent": DistanceDenoising(DistanceDenoisingConfig()),
    }
    for name, pretext in pretexts.items():
        assert PretrainModule(make_potential(), pretraining, pretext, seed=0).compiled_name == name
    assert module.compiled_name == "predict"


class Watched(Denoising):
    """Denoising whose last corrupted batch can be looked at."""

    def corrupt(self, batch, generator):
        self.seen = super().corrupt(batch, generator)
        return self.seen


def test_corruption_is_of_the_step_in_training_and_of_the_place_in_validation(make_potential, pretraining, frames):
    """So that resuming changes nothing, and validation losses of different epochs can be compared."""
    batch, first = Batch.from_data_list(frames[:3]), {}
    for seed, stage, step, place in itertools.product((0, 1), ("train", "val"), (0, 1), (0, 1)):
        module = PretrainModule(make_potential(), pretraining, Watched(DenoisingConfig(sd_A=0.1)), seed)
        module.trainer = SimpleNamespace(global_step=step)
        module.batch_loss(batch, place, stage)
        first[seed, stage, step, place] = tuple(module._pretext.seen.pos[0].tolist())
    for seed, number in itertools.product((0, 1), (0, 1)):
        assert first[seed, "train", number, 0] == first[seed, "train", number, 1]
        assert first[seed, "val", 0, number] == first[seed, "val", 1, number]
    assert len(set(first.values())) == 8, "by seed, stage and number"
