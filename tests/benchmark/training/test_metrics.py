"""Errors are exact over atoms and frames, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.loader import DataLoader

from benchmark.training.metrics import ErrorSums, ExactMean
from tests.benchmark.conftest import frame


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=9),
    batch_size=st.integers(1, 5),
    scale=st.floats(0.01, 10),
    seed=st.integers(0, 99),
)
def test_uneven_batches_against_numpy(sizes, batch_size, scale, seed):
    frames = [frame(seed + i, n) for i, n in enumerate(sizes)]
    rng = np.random.default_rng(seed)
    sums = ErrorSums(scale)
    force_errors, energy_errors, per_atom = [], [], []
    for batch in DataLoader(frames, batch_size=batch_size):
        force = torch.tensor(rng.normal(size=batch.neg_dy.shape), dtype=torch.float32)
        energy = torch.tensor(rng.normal(size=batch.y.shape), dtype=torch.float32)
        sums.update(energy, force, batch)
        force_errors.append((force - batch.neg_dy).numpy().ravel())
        error = (energy - batch.y).numpy().ravel()
        energy_errors.append(error)
        per_atom.append(error / np.bincount(batch.batch.numpy()))
    f, e, a = (1000 * scale * np.concatenate(x).astype(float) for x in (force_errors, energy_errors, per_atom))
    expected = {
        "force_rmse_mev_per_A": np.sqrt(np.mean(f**2)),
        "force_mae_mev_per_A": np.mean(abs(f)),
        "energy_rmse_mev": np.sqrt(np.mean(e**2)),
        "energy_mae_mev": np.mean(abs(e)),
        "energy_rmse_mev_per_atom": np.sqrt(np.mean(a**2)),
        "energy_mae_mev_per_atom": np.mean(abs(a)),
    }
    assert sums.compute() == pytest.approx(expected, rel=1e-5)


def test_weighted_mean_of_batch_means_is_the_mean():
    mean = ExactMean()
    mean.update(torch.tensor(1.0), 3)
    mean.update(torch.tensor(5.0), 1)
    assert mean.compute() == pytest.approx(2.0)
    assert np.isnan(ExactMean().compute())
