"""Units, reference energies, stress, and what a potential refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from tasks.simulation.card import PotentialError
from tests.tasks.models.conftest import build
from tests.tasks.simulation.conftest import REFERENCE_eV, make_potential


def test_units_and_reference_energies(water):
    potential, network = make_potential(), build("egnn-basis")
    batch = Batch.from_data_list([water(8, 1, 7.0, torch.float64), water(5, 2, 8.0, torch.float64)])
    found = potential.evaluate(batch.z, batch.pos, batch.batch, batch.box)
    energy, forces = network(batch.z, batch.pos, batch.batch, batch.box)
    own = torch.tensor([molecules * (REFERENCE_eV[8] + 2 * REFERENCE_eV[1]) for molecules in (8, 5)])
    torch.testing.assert_close(found.energy, 0.8 * energy.detach().squeeze(1) + own)
    torch.testing.assert_close(found.forces, 0.8 * forces.detach())


CONSERVATIVE = ["egnn", "egnn-basis", "tensornet", "graph-network"]


@pytest.mark.parametrize("case", CONSERVATIVE)
def test_the_stress_is_the_slope_of_the_energy_by_strain(case, water):
    potential = make_potential(case)
    sample = water(8, 3, 7.0, torch.float64)
    box = torch.tensor([[[7.0, 0, 0], [0.8, 7.2, 0], [-0.5, 0.4, 7.1]]], dtype=torch.float64)
    pos = sample.pos @ (box[0] / 7.0)
    stress = potential.evaluate(sample.z, pos, None, box, stress=True).stress[0]
    volume, step = float(torch.linalg.det(box[0])), 1e-5
    for i, j in [(0, 0), (1, 1), (2, 2), (1, 0), (2, 0), (2, 1)]:
        ends = []
        for sign in (1, -1):
            strain = torch.eye(3, dtype=torch.float64)
            # A lower triangular strain keeps the box in the form that the neighbour search asks for.
            strain[i, j] += sign * step
            ends.append(float(potential.evaluate(sample.z, pos @ strain, None, box @ strain).energy))
        slope = (ends[0] - ends[1]) / (2 * step * volume)
        assert float(stress[i, j]) == pytest.approx(slope, rel=1e-4, abs=1e-8)
    torch.testing.assert_close(stress, stress.T)


def test_the_stress_of_one_does_not_hang_on_the_others(water, potential):
    samples = [water(8, 1, 7.0, torch.float64), water(8, 2, 8.0, torch.float64)]
    batch = Batch.from_data_list(samples)
    together = potential.evaluate(batch.z, batch.pos, batch.batch, batch.box, stress=True)
    for number, sample in enumerate(samples):
        alone = potential.evaluate(sample.z, sample.pos, None, sample.box, stress=True)
        torch.testing.assert_close(together.stress[number], alone.stress[0])
    assert not potential.network.training


def test_there_is_no_stress_of_forces_that_are_no_gradient(water):
    sample = water(8, 1, 7.0, torch.float64)
    with pytest.raises(PotentialError, match="no gradient"):
        make_potential("gns").evaluate(sample.z, sample.pos, None, sample.box, stress=True)


WATER = np.array([8, 1, 1])


@pytest.mark.parametrize(
    ("z", "side", "message"),
    [
        ([8, 1, 6], 7.0, "has C, which the potential never saw; it was trained on H, O"),
        (WATER, None, "has no box"),
        (WATER, 5.9, "the box is 5.900 Å wide; .* needs at least 6 Å"),
        ([], 7.0, "no atoms"),
    ],
)
def test_structures_that_it_cannot_be_used_for_are_refused(potential, z, side, message):
    with pytest.raises(PotentialError, match=message):
        potential.check(np.array(z, dtype=np.int64), None if side is None else np.eye(3) * side)


def test_energies_that_training_did_not_determine_are_told_once(recwarn):
    potential = make_potential()
    potential.check(np.tile(WATER, 5), np.eye(3) * 9)
    assert not recwarn
    with pytest.warns(UserWarning, match="H3O is off by an unknown constant"):
        potential.check(np.array([8, 1, 1, 1]), np.eye(3) * 9)
    recwarn.clear()
    potential.check(np.array([8, 1, 1, 1]), np.eye(3) * 9)
    assert not recwarn


def test_a_molecule_needs_no_box_if_training_had_none(water):
    potential = make_potential(periodic=False)
    sample = water(1, 1, 9.0, torch.float64)
    potential.check(WATER, None)
    alone = potential.evaluate(sample.z, sample.pos)
    assert alone.energy.shape == (1,)
    assert alone.forces.shape == (3, 3)
