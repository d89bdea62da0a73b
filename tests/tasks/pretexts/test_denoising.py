"""Denoising: the noise has the asked statistics and is what is predicted."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Generator
from torch_geometric.data import Batch

from tasks.options.pretexts import DenoisingConfig
from tasks.pretexts.denoising import Denoising


@pytest.fixture
def batch(water):
    return Batch.from_data_list([water(8, s) for s in range(40)])


def corrupt(batch, seed=0, **options):
    pretext = Denoising(DenoisingConfig(**options))
    return pretext, pretext.corrupt(batch, Generator().manual_seed(seed))


@pytest.mark.parametrize("sd", [0.05, 0.5])
def test_noise_has_mean_zero_and_the_asked_sd(batch, sd):
    _, corrupted = corrupt(batch, sd_A=sd)
    noise = corrupted.pos - batch.pos
    n = noise.numel()
    assert abs(float(noise.mean())) < 5 * sd / n**0.5
    assert float(noise.std()) == pytest.approx(sd, abs=5 * sd / (2 * n) ** 0.5)
    torch.testing.assert_close(corrupted.target * sd, noise, rtol=0, atol=1e-5)


def test_restoring_target_points_back(batch):
    _, noise = corrupt(batch, 1)
    _, back = corrupt(batch, 1, target="restoring")
    assert torch.equal(back.pos, noise.pos)
    assert torch.equal(back.target, -noise.target)


def test_input_is_not_changed_and_labels_stay_behind(batch):
    before = batch.pos.clone()
    _, corrupted = corrupt(batch)
    assert torch.equal(batch.pos, before)
    assert set(corrupted.keys()) == {"z", "pos", "batch", "box", "target"}


def test_loss_is_one_for_no_prediction_and_zero_for_the_truth(batch):
    pretext, corrupted = corrupt(batch)
    assert float(pretext.loss(torch.zeros_like(corrupted.pos), corrupted)) == pytest.approx(1, abs=0.1)
    assert float(pretext.loss(corrupted.target, corrupted)) == 0


def test_same_generator_same_noise(batch):
    first, second, other = (corrupt(batch, seed)[1].pos for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("sd", [0.0, -1.0])
def test_impossible_noise_is_refused(sd):
    with pytest.raises(ValidationError):
        DenoisingConfig(sd_A=sd)
