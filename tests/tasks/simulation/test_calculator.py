"""The calculator against ASE's own finite differences, committees, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.calculator import CalculatorSetupError, PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from scipy.spatial.transform import Rotation

from tasks.simulation.calculator import PotentialCalculator
from tests.tasks.conftest import make_water
from tests.tasks.simulation.conftest import make_potential


@pytest.fixture
def atoms(potential):
    sample = make_water(8, 1, 7.0, torch.float64)
    atoms = Atoms(sample.z.numpy(), sample.pos.numpy(), cell=np.eye(3) * 7, pbc=True)
    atoms.calc = PotentialCalculator(potential)
    return atoms


def test_forces_and_stress_are_those_of_finite_differences(atoms):
    forces = atoms.get_forces()
    np.testing.assert_allclose(calculate_numerical_forces(atoms, eps=1e-5, iatoms=[0, 1]), forces[:2], atol=1e-6)
    np.testing.assert_allclose(calculate_numerical_stress(atoms, eps=1e-5), atoms.get_stress(), atol=1e-8)


def test_a_turned_box_turns_forces_and_stress(atoms):
    before = atoms.copy()
    before.calc = atoms.calc
    energy, forces, stress = before.get_potential_energy(), before.get_forces(), before.get_stress(voigt=False)
    turn = Rotation.from_euler("xyz", [0.3, 1.1, -0.7]).as_matrix()
    turned = Atoms(before.numbers, before.positions @ turn.T, cell=before.cell.array @ turn.T, pbc=True)
    turned.calc = PotentialCalculator(atoms.calc.members)
    assert turned.get_potential_energy() == pytest.approx(energy, abs=1e-9)
    np.testing.assert_allclose(turned.get_forces(), forces @ turn.T, atol=1e-9)
    np.testing.assert_allclose(turned.get_stress(voigt=False), turn @ stress @ turn.T, atol=1e-10)


def test_a_committee_gives_means_and_their_spread(atoms):
    members = [make_potential(seed=seed) for seed in (1, 2, 3)]
    each = []
    for member in members:
        atoms.calc = PotentialCalculator(member)
        each.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
        with pytest.raises(PropertyNotImplementedError):
            atoms.calc.get_property("energy_sd", atoms)
    atoms.calc = PotentialCalculator(members)
    energies, forces, stresses = (np.stack(values) for values in zip(*each, strict=True))
    assert atoms.get_potential_energy() == pytest.approx(energies.mean())
    np.testing.assert_allclose(atoms.get_forces(), forces.mean(0))
    assert atoms.calc.get_property("energy_sd", atoms) == pytest.approx(energies.std(ddof=1))
    np.testing.assert_allclose(atoms.calc.get_property("forces_sd", atoms), forces.std(0, ddof=1))
    np.testing.assert_allclose(atoms.get_stress(), stresses.mean(0))
    np.testing.assert_allclose(atoms.calc.get_property("stress_sd", atoms), stresses.std(0, ddof=1))


def test_without_a_gradient_there_is_no_stress(atoms):
    atoms.calc = PotentialCalculator(make_potential("gns"))
    assert atoms.get_forces().shape == (24, 3)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pbc": False}, "has no box"),
        ({"pbc": [True, True, False]}, "periodic in some directions only"),
        ({"cell": np.eye(3) * 5}, "needs at least 6 Å"),
        ({"cell": np.diag([7.0, 7.0, 0.0])}, "flat"),
        ({"numbers": [6] * 24}, "never saw"),
    ],
)
def test_wrong_structures_are_refused(atoms, change, message):
    for name, value in change.items():
        setattr(atoms, name, value)
    with pytest.raises(CalculatorSetupError, match=message):
        atoms.get_potential_energy()


def test_an_empty_committee_is_refused():
    with pytest.raises(CalculatorSetupError, match="needs a potential"):
        PotentialCalculator([])
