"""OpenMM sees the same energies and forces as ASE, follows the box, and keeps energy."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import openmm
import pytest
import torch
from openmm import unit

from tasks.datasets.structures.units import A_PER_NM, KJ_PER_MOL_PER_EV
from tasks.simulation.card import PotentialError
from tasks.simulation.openmm_force import openmm_system
from tests.tasks.conftest import make_water
from tests.tasks.simulation.conftest import make_potential

WATER = make_water(8, 1, 7.0, torch.float64)


def context_of(potential, box_A=7.0):
    system = openmm_system(potential, WATER.z.numpy(), box_A)
    context = openmm.Context(system, openmm.VerletIntegrator(0.00025), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(WATER.pos.numpy() / A_PER_NM)
    return context


def evaluated(context):
    state = context.getState(getEnergy=True, getForces=True)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) / KJ_PER_MOL_PER_EV
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return energy, forces / (KJ_PER_MOL_PER_EV * A_PER_NM)


def test_energies_and_forces_are_the_potentials(potential):
    context = context_of(potential)
    for side in (7.0, 7.5):
        box = np.eye(3) * side
        context.setPeriodicBoxVectors(*(openmm.Vec3(*row) / A_PER_NM for row in box))
        expected = potential.evaluate(WATER.z, WATER.pos, None, torch.tensor(box).unsqueeze(0))
        energy, forces = evaluated(context)
        assert energy == pytest.approx(float(expected.energy), abs=1e-6)
        np.testing.assert_allclose(forces, expected.forces.numpy(), atol=1e-6)


def test_dynamics_keeps_the_energy(potential):
    context = context_of(potential)
    context.setVelocitiesToTemperature(300, 1)
    totals = []
    for _ in range(3):
        context.getIntegrator().step(10)
        state = context.getState(getEnergy=True)
        totals.append((state.getPotentialEnergy() + state.getKineticEnergy()).value_in_unit(unit.kilojoule_per_mole))
    assert max(totals) - min(totals) < 0.1
    assert context.getSystem().getNumConstraints() == 0


@pytest.mark.parametrize(
    ("box", "message"), [(None, "has no box"), (5.0, "needs at least"), (np.ones((2, 2)), "give one side")]
)
def test_wrong_boxes_are_refused(potential, box, message):
    with pytest.raises(PotentialError, match=message):
        openmm_system(potential, WATER.z.numpy(), box)


def test_a_molecule_without_box():
    potential = make_potential(periodic=False)
    context = context_of(potential, None)
    expected = potential.evaluate(WATER.z, WATER.pos)
    assert evaluated(context)[0] == pytest.approx(float(expected.energy), abs=1e-6)


def test_an_openmm_without_python_force_is_told(monkeypatch):
    monkeypatch.delattr(openmm, "PythonForce")
    monkeypatch.delitem(sys.modules, "tasks.simulation.openmm_force")
    with pytest.raises(ImportError, match=r"has no PythonForce.* 8\.6\.1 and newer"):
        importlib.import_module("tasks.simulation.openmm_force")
