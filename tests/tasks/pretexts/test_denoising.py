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


def scales(batch, seed=0, **options):
    """The standard deviation of the noise of each structure, from noise and target of its first atom."""
    _, corrupted = corrupt(batch, seed, **options)
    noise = (corrupted.pos - batch.pos).norm(dim=1) / corrupted.target.norm(dim=1)
    return noise.reshape(batch.num_graphs, -1), corrupted


def test_each_structure_has_a_noise_of_its_own_from_the_list_in_units_of_which_it_is_predicted(batch):
    allowed = torch.tensor([0.05, 0.2, 0.5])
    noise, corrupted = scales(batch, sd_A=[0.05, 0.2, 0.5])
    torch.testing.assert_close(noise, noise[:, :1].expand_as(noise), rtol=1e-3, atol=1e-5)
    nearest = (noise[:, :1] - allowed).abs().argmin(1)
    torch.testing.assert_close(noise[:, 0], allowed[nearest], rtol=1e-3, atol=1e-5)
    assert set(nearest.tolist()) == {0, 1, 2}
    assert float(corrupted.target.std()) == pytest.approx(1, abs=0.05)


def test_a_range_of_noise_is_uniform_in_the_logarithm(water):
    batch = Batch.from_data_list([water(1, s) for s in range(2000)])
    noise, _ = scales(batch, 1, sd_A={"low": 0.01, "high": 1.0})
    logs = noise[:, 0].log10()
    assert logs.min() >= -2.001
    assert logs.max() <= 0.001
    quantiles = torch.quantile(logs, torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(quantiles, torch.tensor([-1.5, -1.0, -0.5]), rtol=0, atol=0.12)


def test_one_scale_is_what_it_was(batch):
    """A number is the option of the first runs: the same key, the same noise."""
    assert DenoisingConfig().model_dump(mode="json") == {"head": "force", "sd_A": 0.5, "target": "noise"}
    noise, _ = scales(batch, 2, sd_A=0.2)
    torch.testing.assert_close(noise, torch.full_like(noise, 0.2), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("sd", [[0.1], [0.1, 0.0], {"low": 0.5, "high": 0.1}, {"low": 0.1}, "much"])
def test_impossible_scales_are_refused(sd):
    with pytest.raises(ValidationError):
        DenoisingConfig(sd_A=sd)
