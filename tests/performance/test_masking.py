"""Plain masking removes and points as the suite's does."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Generator
from torch_geometric.data import Batch

from performance.plain.masking import direction_loss, mask, masked_batch
from tasks.options.pretexts import MaskingConfig
from tasks.pretexts.masking import Masking
from tests.tasks.conftest import make_water


@pytest.mark.parametrize("ratio", [0.05, 0.5, 0.9, 1.0])
def test_as_many_are_removed_and_labelled_and_they_point_as_the_suites_would(ratio):
    samples = [make_water(8, 1, 7.0), make_water(5, 2, 8.0)]
    masked = masked_batch(samples, ratio)
    ours = Masking(MaskingConfig(ratio=ratio)).corrupt(Batch.from_data_list(samples), Generator().manual_seed(0))
    for number in range(len(samples)):
        own, plain = ours.batch == number, masked.batch == number
        assert plain.sum() == own.sum()
        assert masked.mask_label[plain].sum() == ours.mask_label[own].sum()
        assert torch.equal(masked.z[plain].bincount(), ours.z[own].bincount())


def test_the_same_atoms_removed_have_the_same_targets_in_both():
    """The suite's masking is told which hydrogens to take by leaving no other to choose."""
    sample = make_water(6, 3, 7.0)
    masked, removed = mask(sample, 0.5, random.Random(4))
    only = sample.clone()
    # Hydrogens that are not to be taken become deuterium under another number: they cannot be masked.
    kept = [atom for atom in range(sample.num_nodes) if sample.z[atom] == 1 and atom not in removed]
    only.z[kept] = 2
    whole = Masking(MaskingConfig(ratio=1.0)).corrupt(Batch.from_data_list([only]), Generator().manual_seed(0))
    assert torch.equal(whole.pos, masked.pos)
    assert torch.equal(whole.mask_label, masked.mask_label)
    torch.testing.assert_close(whole.target, masked.target, rtol=0, atol=1e-6)


def test_its_loss_is_the_suites():
    samples = [make_water(8, 1, 7.0)]
    corrupted = Masking(MaskingConfig(ratio=0.5)).corrupt(Batch.from_data_list(samples), Generator().manual_seed(0))
    prediction = torch.randn(corrupted.pos.shape, generator=Generator().manual_seed(1))
    ours = Masking(MaskingConfig(ratio=0.5)).loss(prediction, corrupted)
    torch.testing.assert_close(direction_loss(prediction, corrupted), ours)
