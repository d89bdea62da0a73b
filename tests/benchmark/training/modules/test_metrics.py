"""Means over terms, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.training.modules.metrics import WAITING, ExactMean


def test_weighted_mean_of_batch_means_is_the_mean():
    mean = ExactMean()
    mean.update(torch.tensor(1.0), 3)
    mean.update(torch.tensor(5.0), 1)
    assert mean.compute() == pytest.approx(2.0)
    assert np.isnan(ExactMean().compute())


def test_many_batches_are_summed_in_float64_and_hold_no_graph():
    generator = torch.Generator().manual_seed(3)
    values = 1e3 * torch.rand(2 * WAITING + 5, generator=generator)
    weights = [1 + number % 7 for number in range(len(values))]
    mean = ExactMean()
    for value, weight in zip(values, weights, strict=True):
        mean.update((value * torch.ones(1, requires_grad=True)).sum(), weight)
    assert not any(waiting.requires_grad for waiting, _ in mean._waiting)
    assert len(mean._waiting) == 5, "as many as are summed at a time, and no more, are kept"
    expected = np.average(values.double().numpy(), weights=weights)
    assert mean.compute() == pytest.approx(expected, rel=1e-14)
    assert mean.compute() == pytest.approx(expected, rel=1e-14), "nothing is counted twice"
