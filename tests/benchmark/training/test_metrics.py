"""Means over terms, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.training.metrics import ExactMean


def test_weighted_mean_of_batch_means_is_the_mean():
    mean = ExactMean()
    mean.update(torch.tensor(1.0), 3)
    mean.update(torch.tensor(5.0), 1)
    assert mean.compute() == pytest.approx(2.0)
    assert np.isnan(ExactMean().compute())
