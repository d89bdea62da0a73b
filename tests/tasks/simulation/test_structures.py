"""Starts are of one kind, molecules stay whole at another density, and boxes side by side are the same water."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tasks.simulation import structures
from tasks.simulation.observables import bond_lengths, find_geometry
from tests.tasks.conftest import make_water
from tests.tasks.simulation.conftest import make_potential


def lengths_of(sample):
    parts = sample.z.numpy(), sample.molecule.numpy(), sample.pos.double().numpy(), sample.box[0].double().numpy()
    bonds = find_geometry(*parts).bonds
    return bond_lengths(parts[2][None], bonds, parts[3])[0]


def test_starts_are_of_the_commonest_kind():
    samples = [make_water(5, 0, 7.0), *(make_water(8, seed, 7.0) for seed in range(1, 5)), make_water(8, 9, 7.5)]
    start = structures.start_from(samples, range(6), 2)
    assert [id(sample) for sample in start.samples] == [id(samples[1]), id(samples[3])]
    assert start.pos.shape == (2, 24, 3)
    assert len(start.lengths) == 16
    again = structures.start_from(samples, range(6), 5)
    assert [id(sample) for sample in again.samples] == [id(samples[i]) for i in (1, 2, 3, 4, 1)]


@pytest.mark.parametrize("density", [0.9, 1.1])
def test_molecules_stay_whole_at_another_density(density):
    sample = make_water(8, 2, 8.0)
    moved = structures.rescaled(sample, density)
    assert float(torch.linalg.det(moved.box[0])) == pytest.approx(8.0**3 / density, rel=1e-5)
    np.testing.assert_allclose(np.sort(lengths_of(moved)), np.sort(lengths_of(sample)), atol=1e-5)


def test_two_boxes_have_twice_the_energy():
    potential, sample = make_potential(), make_water(8, 3, 7.0, torch.float64)
    twice = structures.repeated(sample, 2)
    one = potential.evaluate(sample.z, sample.pos, None, sample.box)
    two = potential.evaluate(twice.z, twice.pos, None, twice.box)
    assert float(two.energy) == pytest.approx(2 * float(one.energy), abs=1e-4)
    torch.testing.assert_close(two.forces, one.forces.repeat(2, 1), atol=1e-4, rtol=1e-4)
    assert len(set(twice.molecule.tolist())) == 16


def test_boxes_side_by_side_are_starts_like_others():
    samples = [make_water(8, seed, 7.0) for seed in range(3)]
    start = structures.side_by_side(structures.start_from(samples, range(3), 2), 2)
    assert start.pos.shape == (2, 48, 3)
    assert start.box.diagonal().tolist() == [14, 7, 7]
    assert len(start.lengths) == 32
    assert structures.side_by_side(start, 1) is start
