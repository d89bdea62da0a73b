"""torch-sim, where it is installed, sees the same energies, forces and stresses; a clear word where it is not."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import torch
from ase import Atoms
from scipy.spatial.transform import Rotation

from tasks.simulation.calculator import PotentialCalculator
from tasks.simulation.card import PotentialError
from tests.tasks.conftest import make_water
from tests.tasks.simulation.conftest import make_potential


def test_without_torch_sim_the_message_says_how_to_have_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_sim", None)
    monkeypatch.delitem(sys.modules, "tasks.simulation.torch_sim_model", raising=False)
    with pytest.raises(ImportError, match=r"pip install '\.\[torch-sim\]'"):
        importlib.import_module("tasks.simulation.torch_sim_model")


@pytest.fixture
def ts():
    return pytest.importorskip("torch_sim", reason="the extra torch-sim is not installed")


def water(seed, side, turned=False):
    sample = make_water(8, seed, side, torch.float64)
    atoms = Atoms(sample.z.numpy(), sample.pos.numpy(), cell=np.eye(3) * side, pbc=True)
    if turned:
        matrix = Rotation.from_euler("xyz", [20, 30, 40], degrees=True).as_matrix()
        atoms.set_cell(atoms.cell.array @ matrix.T)
        atoms.positions = atoms.positions @ matrix.T
    return atoms


def test_two_boxes_at_once_are_as_in_ase(ts):
    from tasks.simulation.torch_sim_model import TorchSimModel

    potential, every = make_potential(), [water(1, 7.0), water(2, 7.5, turned=True)]
    model = TorchSimModel(potential, stress=True)
    state = ts.initialize_state(every, model.device, model.dtype)
    found = model(state)
    for number, atoms in enumerate(every):
        atoms.calc = PotentialCalculator(potential)
        assert float(found["energy"][number]) == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
        own = found["forces"][state.system_idx == number].numpy()
        np.testing.assert_allclose(own, atoms.get_forces(), atol=1e-6)
        np.testing.assert_allclose(found["stress"][number].numpy(), atoms.get_stress(voigt=False), atol=1e-8)


def test_dynamics_runs_and_wrong_boxes_are_refused(ts):
    from tasks.simulation.torch_sim_model import TorchSimModel

    model = TorchSimModel(make_potential())
    start = ts.initialize_state([water(1, 7.0)], model.device, model.dtype)
    end = ts.integrate(start, model, integrator=ts.integrators.nve, n_steps=3, temperature=300, timestep=0.0005)
    assert end.positions.isfinite().all()
    assert not torch.equal(end.positions, start.positions)
    with pytest.raises(PotentialError, match="needs at least"):
        model(ts.initialize_state([water(1, 5.0)], model.device, model.dtype))
    with pytest.raises(PotentialError, match="no gradient"):
        TorchSimModel(make_potential("gns"), stress=True)
