"""Water models as labels: the published parameters, whatever the order and the images of the atoms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tasks.datasets.base import DatasetError
from tasks.datasets.structures.samples import make_sample
from tasks.datasets.tip3p.options import TIP3PConfig
from tasks.datasets.tip3p.simulation import evaluate, label_context, place_molecules, water_system
from tasks.labellers.options import WaterModelConfig
from tasks.labellers.water import WaterModel

EV_PER_KCAL = 0.0433641


def labelled(sample, **options):
    return WaterModel(WaterModelConfig(**options)).begin()(sample)


def box_of(molecules, side, seed=0):
    positions = place_molecules(molecules, side, np.random.default_rng(seed))
    molecule = np.repeat(np.arange(molecules), 3)
    return make_sample(np.tile([8, 1, 1], molecules), positions, molecule, molecule, np.eye(3) * side)


def one_molecule(r1, r2, angle, side=40.0):
    theta = np.deg2rad(angle)
    pos = np.array([[0, 0, 0], [r1, 0, 0], [r2 * np.cos(theta), r2 * np.sin(theta), 0]]) + side / 2
    return make_sample(np.array([8, 1, 1]), pos, np.zeros(3, int), np.zeros(3, int), np.eye(3) * side)


def test_tip3p_gives_the_labels_of_the_tip3p_dataset():
    config = TIP3PConfig(molecules=8, density_g_per_cm3=0.997, cutoff_A=3.0)
    sample = box_of(8, config.side_A)
    energy, forces = evaluate(label_context(water_system(config)), sample.pos.double().numpy())
    found = labelled(sample, model="tip3p", cutoff_A=3.0)
    assert found.energy_eV == pytest.approx(energy, rel=1e-6)
    np.testing.assert_allclose(found.forces_eV_per_A, forces, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "kcal"),
    [
        ({"r1": 1.062}, 0.5 * 1059.162 * 0.05**2),
        ({"r2": 0.912}, 0.5 * 1059.162 * 0.1**2),
        ({"angle": 118.24}, 0.5 * 75.90 * np.deg2rad(5) ** 2),
    ],
)
def test_spcfw_stretches_and_bends_as_published(change, kcal):
    """Wu, Tepper and Voth 2006, Table I: r0 1.012 Å, 1059.162 kcal/mol/Å²; 113.24°, 75.90 kcal/mol/rad²."""
    rest = {"r1": 1.012, "r2": 1.012, "angle": 113.24}
    energies = [labelled(one_molecule(**{**rest, **geometry})).energy_eV for geometry in ({}, change)]
    assert energies[1] - energies[0] == pytest.approx(kcal * EV_PER_KCAL, rel=0.01)


def test_spcfw_charges_and_lennard_jones_between_two_molecules():
    """Two molecules far from others: Coulomb between the charges of Table I and one 12-6 term, in closed form."""
    first = one_molecule(1.012, 1.012, 113.24, side=60.0)
    shift = torch.tensor([0.0, 0.0, 3.2])
    pos = torch.cat([first.pos, first.pos + shift]).numpy()
    molecule = np.repeat([0, 1], 3)
    pair = make_sample(np.tile([8, 1, 1], 2), pos, molecule, molecule, np.eye(3) * 60)
    alone = labelled(first).energy_eV
    charges = np.tile([-0.82, 0.41, 0.41], 2)
    distances = np.linalg.norm(pos[:3, None] - pos[None, 3:], axis=2)
    coulomb = 14.399645 * (charges[:3, None] * charges[None, 3:] / distances).sum()
    ratio = (3.165492 / 3.2) ** 6
    expected = coulomb + 4 * 0.1554253 * EV_PER_KCAL * (ratio**2 - ratio)
    assert labelled(pair).energy_eV - 2 * alone == pytest.approx(expected, abs=2e-3)


def test_order_and_images_of_the_atoms_do_not_matter():
    sample = box_of(8, 7.0)
    plain = labelled(sample)
    rng = np.random.default_rng(1)
    order = rng.permutation(24)
    moved = (sample.pos.numpy() + 7.0 * rng.integers(-1, 2, (24, 3)))[order] % 7.0
    shuffled = make_sample(sample.z[order], moved, sample.molecule[order], sample.site[order], np.eye(3) * 7.0)
    found = labelled(shuffled)
    assert found.energy_eV == pytest.approx(plain.energy_eV, abs=1e-4)
    np.testing.assert_allclose(found.forces_eV_per_A, plain.forces_eV_per_A[order], atol=2e-3)


def test_forces_are_the_gradient():
    sample = box_of(8, 7.0)
    calculate = WaterModel(WaterModelConfig()).begin()
    forces = calculate(sample).forces_eV_per_A
    for atom, axis in ((0, 0), (4, 1), (11, 2)):
        energies = []
        for step in (0.002, -0.002):
            moved = sample.clone()
            moved.pos[atom, axis] += step
            energies.append(calculate(moved).energy_eV)
        assert -(energies[0] - energies[1]) / 0.004 == pytest.approx(forces[atom, axis], abs=0.02)


def test_what_is_no_box_of_water_is_refused():
    sample = box_of(8, 7.0)
    free = sample.clone()
    del free.box
    with pytest.raises(DatasetError, match="no box"):
        labelled(free)
    other = sample.clone()
    other.z[0] = 6
    with pytest.raises(DatasetError, match="other molecules"):
        labelled(other)
