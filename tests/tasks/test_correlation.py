"""Correlation times and effective numbers of frames of AR(1) series, for which both are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch_geometric.data import Data

from tasks import correlation
from tasks.datasets.base import Dataset, Outline


def ar1(phi, trajectories, frames, seed=0):
    """Stationary series x(t + 1) = φ x(t) + noise of variance 1, (trajectories × frames,), and their moments."""
    rng = np.random.default_rng(seed)
    noise = np.sqrt(1 - phi**2) * rng.normal(size=(trajectories, frames))
    noise[:, 0] = rng.normal(size=trajectories)
    moments = np.stack(np.meshgrid(np.arange(trajectories), np.arange(frames), indexing="ij"), axis=-1)
    return lfilter([1], [1, -phi], noise, axis=1).ravel(), moments.reshape(-1, 2)


def worth(phi, frames):
    """N² / Σ ρ of one trajectory of an AR(1) series, by its exact ρ(t) = φ^t."""
    t = np.arange(frames)
    return frames**2 / (phi ** abs(t[:, None] - t)).sum()


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_long_trajectories(phi):
    values, moments = ar1(phi, 80, 4000)
    found = correlation.autocorrelation(values, moments)
    assert found[0] == 1
    assert correlation.correlation_time(found) == pytest.approx(0.5 * (1 + phi) / (1 - phi), rel=0.1)
    effective = correlation.effective_frames(found, moments)
    assert effective == pytest.approx(len(values) * (1 - phi) / (1 + phi), rel=0.1)


def test_trajectories_shorter_than_the_correlation_are_worth_little_more_than_one_frame_each():
    values, moments = ar1(0.99, 400, 16)
    found = correlation.autocorrelation(values, moments)
    effective = correlation.effective_frames(found, moments)
    assert effective == pytest.approx(400 * worth(0.99, 16), rel=0.05)
    assert 400 < effective < 440
    # Half of the trajectories are worth half of it, and none nothing.
    assert correlation.effective_frames(found, moments[moments[:, 0] < 200]) == pytest.approx(effective / 2)
    assert correlation.effective_frames(found, moments[:0]) == 0


def test_independent_frames_count_whole():
    values, moments = ar1(0.0, 50, 200, seed=4)
    found = correlation.autocorrelation(values, moments)
    assert correlation.effective_frames(found, moments) == pytest.approx(len(values), rel=0.05)
    # Anticorrelation makes no frames.
    assert correlation.effective_frames(np.array([1.0, -0.4]), moments) == len(values)


def test_frames_further_apart_are_worth_more_each():
    values, moments = ar1(0.9, 40, 2000, seed=1)
    found = correlation.autocorrelation(values, moments)
    apart = np.flatnonzero(moments[:, 1] % 20 == 0)
    # φ^20 = 0.12.
    expected = len(apart) * (1 - 0.9**20) / (1 + 0.9**20)
    assert correlation.effective_frames(found, moments[apart]) == pytest.approx(expected, rel=0.1)


def test_correlation_is_found_from_frames_with_gaps_and_in_any_order():
    values, moments = ar1(0.9, 40, 2000, seed=1)
    whole = correlation.correlation_time(correlation.autocorrelation(values, moments))
    some = np.random.default_rng(0).permutation(len(values))[: len(values) // 3]
    assert correlation.correlation_time(correlation.autocorrelation(values[some], moments[some])) == pytest.approx(
        whole, rel=0.15
    )
    # Every second frame: odd lags do not occur and are interpolated.
    second = moments[:, 1] % 2 == 0
    found = correlation.autocorrelation(values[second], moments[second])
    assert found[1] == pytest.approx((1 + found[2]) / 2)
    assert found[2] == pytest.approx(0.81, abs=0.05)
    assert correlation.correlation_time(found) == pytest.approx(whole, rel=0.15)


def test_components_are_averaged_each_about_its_own_mean():
    parts = [ar1(0.8, 30, 300, seed) for seed in range(5)]
    values = np.stack([series + 100 * i for i, (series, _) in enumerate(parts)], axis=1)
    found = correlation.autocorrelation(values, parts[0][1])
    assert correlation.correlation_time(found) == pytest.approx(4.5, rel=0.1)


def test_what_does_not_vary_has_no_correlation():
    _, moments = ar1(0.5, 2, 4)
    found = correlation.autocorrelation(np.full(8, 0.1), moments)
    assert found.tolist() == [1.0]
    assert correlation.effective_frames(found, moments) == 8


def test_two_frames_tell_nothing_of_their_correlation():
    found = correlation.autocorrelation(np.array([1.0, -1.0]), np.array([[0, 0], [0, 1]]))
    assert found.tolist() == [1.0]


def test_oxygen_distances_by_minimum_image_and_not_of_everything(water):
    samples = [water(3, seed) for seed in range(2)]
    distances = correlation.oxygen_distances(samples)
    assert distances.shape == (2, 3)
    a, b = samples[1].pos[0].double().numpy(), samples[1].pos[3].double().numpy()
    shifts = np.array(np.meshgrid(*[(-8, 0, 8)] * 3)).reshape(3, -1).T
    assert distances[1, 0] == pytest.approx(np.linalg.norm(b - a + shifts, axis=1).min())
    assert correlation.oxygen_distances([water(1)]) is None
    assert correlation.oxygen_distances([water(3), water(4)]) is None
    assert correlation.oxygen_distances([water(40, side=20.0)]).shape == (1, correlation.MOST_PAIRS)


def test_description_of_a_dataset(water):
    """Energies of an AR(1) series on top of a huge reference; structures that stand still within a trajectory."""
    energies, moments = ar1(0.6, 12, 50, seed=2)
    samples = []
    for energy, (trajectory, _) in zip(energies, moments, strict=True):
        still = water(2, seed=int(trajectory))
        samples.append(Data(**{**still.to_dict(), "y": torch.tensor([[energy - 1e6]], dtype=torch.float64)}))
    dataset = Dataset(samples, Outline(moments[:, 0]), "made up", {})
    sets = {"train": np.arange(500), "test": np.arange(500, 600)}
    found = correlation.describe_correlation(dataset, sets)
    # The reference does not matter, and the order of the frames tells their times.
    alone = correlation.correlation_time(correlation.autocorrelation(energies, moments))
    assert found["energy"]["correlation_time"] == pytest.approx(alone, rel=1e-6)
    assert 500 / 8 < found["energy"]["train"] < 500 / 2  # of long series 500 / 4
    assert found["energy"]["train"] == pytest.approx(5 * found["energy"]["test"])
    assert (found["oxygen_distances"]["train"], found["oxygen_distances"]["test"]) == pytest.approx((10, 2))


def test_frames_of_unknown_trajectories_are_not_called_independent(water):
    dataset = Dataset([water(2, seed) for seed in range(4)], Outline(np.arange(4)), "made up", {})
    assert correlation.describe_correlation(dataset, {"train": np.arange(4)}) == {}
