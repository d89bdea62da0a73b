"""What positions are rounded to is read off them; lattices and few atoms tell nothing."""

from __future__ import annotations

import warnings

import MDAnalysis
import numpy as np
import pytest
from ase.build import bulk, molecule
from hypothesis import given
from hypothesis import strategies as st

from tasks.datasets.own.options import TrajectoryConfig
from tasks.datasets.own.trajectory import Trajectory
from tasks.datasets.structures.precision import rounding_step


@given(
    decimals=st.integers(1, 4), seed=st.integers(0, 100), single=st.booleans(), size=st.floats(1, 80), atoms=st.just(40)
)
def test_the_step_of_rounded_positions_is_found(decimals, seed, single, size, atoms):
    positions = np.random.default_rng(seed).uniform(-size, size, (atoms, 3))
    rounded = np.round(positions, decimals).astype(np.float32 if single else np.float64)
    assert rounding_step([rounded]) == pytest.approx(10.0**-decimals)


@given(seed=st.integers(0, 100))
def test_positions_at_full_precision_have_none(seed):
    positions = np.random.default_rng(seed).uniform(-9, 9, (30, 3))
    assert rounding_step([positions]) == rounding_step([positions.astype(np.float32)]) == 0


def test_a_lattice_and_few_atoms_tell_nothing():
    assert rounding_step([(bulk("Cu", a=3.6, cubic=True) * 3).positions]) == 0
    assert rounding_step([np.array([[0.11, 0.25, 0.37]])]) == 0


@pytest.mark.parametrize(("name", "step"), [("md.xtc", 0.01), ("md.dcd", 0.0)])
def test_a_trajectory_knows_what_its_format_keeps(tmp_path, name, step):
    """Of more than nine atoms: XTC files keep fewer at full precision."""
    thiophene = molecule("C4H4S") + molecule("CH3SH")
    symbols, rng = thiophene.get_chemical_symbols(), np.random.default_rng(0)
    frames = thiophene.positions + rng.normal(scale=0.1, size=(12, len(symbols), 3))
    universe = MDAnalysis.Universe.empty(len(symbols), trajectory=True)
    universe.add_TopologyAttr("elements", symbols)
    universe.add_TopologyAttr("names", symbols)
    universe.load_new(frames.astype(np.float32), order="fac")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there is no box
        universe.atoms.write(tmp_path / name, frames="all")
        universe.atoms.write(tmp_path / "md.pdb")
    task = Trajectory(TrajectoryConfig(topology="md.pdb", trajectory=name))
    data = task.load(tmp_path)
    assert data.precision_A == pytest.approx(step)
    assert data.origins[11] == (name, 11)
