"""Measures against closed forms: ideal gases and lattices, oscillators, straight lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.simulation import observables
from tasks.simulation.observables import Curve
from tasks.simulation.units import ACCELERATION, PER_CM_OF_PER_FS
from tests.tasks.conftest import make_water


def test_an_ideal_gas_has_no_structure():
    rng = np.random.default_rng(0)
    frames = rng.uniform(0, 8, (400, 24, 3))
    z, molecule = np.tile([8, 1, 1], 8), np.repeat(np.arange(8), 3)
    found = observables.radial_distributions(z, molecule, frames, np.eye(3) * 8)
    assert list(found) == ["O-O", "O-H", "H-H"]
    for curve in found.values():
        assert curve.x[-1] == pytest.approx(3.975)
        assert np.average(curve.y, weights=curve.x**2) == pytest.approx(1, abs=0.03)


def test_a_lattice_has_its_neighbours_where_they_are():
    grid = np.stack(np.meshgrid(*[np.arange(3.0)] * 3), -1).reshape(-1, 3) * 3.0
    found = observables.radial_distributions(np.full(27, 18), np.arange(27), grid[None], np.eye(3) * 9)
    curve = found["Ar-Ar"]
    assert observables.first_peak(curve)[0] == pytest.approx(3.0, abs=0.05)
    # Six neighbours: 4π ρ ∫ g r² dr.
    near = curve.x < 3.5
    shells = 4 / 3 * np.pi * ((curve.x + 0.025) ** 3 - (curve.x - 0.025) ** 3)
    assert (curve.y * shells)[near].sum() * 27 / 9**3 == pytest.approx(6 * 27 / 26, rel=0.01)


def test_differences_of_structure():
    r = np.linspace(0, 4, 80)
    flat, peak = Curve(r, np.ones(80)), Curve(r, 1 + np.exp(-((r - 2.8) ** 2)))
    assert observables.rdf_difference(peak, peak) == 0
    assert observables.rdf_difference(flat, peak) == pytest.approx(1)
    assert observables.first_peak(flat) is None


def test_bonds_and_angles_of_water():
    sample = make_water(4, 1, 8.0)
    z, molecule, pos, box = (sample[name].numpy() for name in ("z", "molecule", "pos", "box"))
    geometry = observables.find_geometry(z, molecule, pos, box[0])
    assert geometry.bonds.tolist() == [[3 * m, 3 * m + h] for m in range(4) for h in (1, 2)]
    assert geometry.angles.tolist() == [[3 * m + 1, 3 * m, 3 * m + 2] for m in range(4)]
    frames = pos[None].astype(np.float64)
    lengths = observables.by_elements(z, geometry.bonds, observables.bond_lengths(frames, geometry.bonds, box[0]))
    angles = observables.by_elements(z, geometry.angles, observables.bond_angles(frames, geometry.angles, box[0]))
    assert set(lengths) == {"O-H"}
    assert set(angles) == {"H-O-H"}
    np.testing.assert_allclose(angles["H-O-H"], 104.52, atol=1e-3)
    assert ((lengths["O-H"] > 0.9) & (lengths["O-H"] < 1.01)).all()


def test_names_do_not_hang_on_the_order():
    z, values = np.array([6, 8, 1]), np.array([[1.0, 2.0]])
    assert observables.by_elements(z, np.array([[0, 1], [1, 0]]), values)["O-C"].tolist() == [1, 2]
    assert set(observables.by_elements(z, np.array([[2, 0, 1], [1, 0, 2]]), values)) == {"O-C-H"}


def test_distances_of_a_molecule():
    one = np.array([[[0, 0, 0], [1.02, 0, 0]]] * 3)
    two = one * 2
    same, other = (observables.distance_distribution(np.array([1, 1]), frames) for frames in (one, two))
    assert same.y.sum() * observables.BIN_A == pytest.approx(1)
    assert observables.distribution_difference(same, same) == 0
    assert observables.distribution_difference(same, other) == pytest.approx(2)


@given(slope=st.floats(-3, 3), start=st.floats(-1e4, 1e4))
def test_drift_is_the_slope(slope, start):
    times = np.linspace(0, 10, 101)
    found, scatter = observables.drift(times, start + slope * times, 48)
    assert found == pytest.approx(1000 * slope / 48, abs=1e-6)
    assert scatter == pytest.approx(0, abs=1e-6)


def test_an_oscillator_has_one_line():
    """ν = √(k/μ) / 2π of a diatomic; 2 fs apart and 4 ps long."""
    k, mass = 30.0, 1.008
    frequency = (2 * k / mass * ACCELERATION) ** 0.5 / (2 * np.pi)
    times = np.arange(0, 4000, 2.0)
    swing = 0.05 * np.cos(2 * np.pi * frequency * times)
    frames = np.zeros((len(times), 2, 3))
    frames[:, 0, 0], frames[:, 1, 0] = swing, 1 - swing
    curve = observables.spectrum(frames, 2.0, np.array([mass, mass]))
    assert curve.y.sum() * (curve.x[1] - curve.x[0]) == pytest.approx(1)
    assert observables.stretch_peak(curve) == pytest.approx(frequency * PER_CM_OF_PER_FS, abs=9)
    shifted = Curve(curve.x, np.roll(curve.y, 10))
    assert observables.moved(shifted, curve) == pytest.approx(10 * (curve.x[1] - curve.x[0]), rel=1e-3)


def test_moved_values_are_as_far_as_they_were_moved():
    values = np.random.default_rng(0).normal(size=500)
    one, other = (observables.histogram(v, -8, 8, 0.05) for v in (values, values + 0.25))
    assert one.y.sum() * 0.05 == pytest.approx(1)
    assert observables.moved(one, other) == pytest.approx(0.25, abs=1e-6)
