"""Internal coordinates of known molecules; gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.internal_coordinates import InternalCoordinates

PEROXIDE = np.array([[0.0, 0.0, 0.0], [1.45, 0.0, 0.0], [-0.2, 0.95, 0.0], [1.65, 0.3, 0.9]])
"""H2O2: O, O, and a hydrogen of each."""


def test_water():
    pos = np.array([[[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    coordinates = InternalCoordinates.find(np.array([8, 1, 1]), pos)
    assert coordinates.pairs.tolist() == [[0, 1], [0, 2]]
    assert coordinates.angles.tolist() == [[1, 0, 2]]
    assert coordinates.evaluate(pos)[0] == pytest.approx(np.array([[0.96, 1.0, np.pi / 2]]))


def test_what_neither_bond_nor_angle_connects_has_a_distance():
    coordinates = InternalCoordinates.find(np.array([8, 8, 1, 1]), PEROXIDE[None])
    assert coordinates.pairs.tolist() == [[0, 1], [0, 2], [1, 3], [2, 3]]
    assert coordinates.angles.tolist() == [[1, 0, 2], [0, 1, 3]]
    assert len(coordinates) == 6


def test_gradients_are_those_of_differences():
    rng = np.random.default_rng(0)
    pos = PEROXIDE + 0.1 * rng.normal(size=(3, 4, 3))
    coordinates = InternalCoordinates.find(np.array([8, 8, 1, 1]), pos)
    _, gradient = coordinates.evaluate(pos)
    step = 1e-6
    for atom in range(4):
        for axis in range(3):
            moved = [pos.copy() for _ in range(2)]
            moved[0][:, atom, axis] += step
            moved[1][:, atom, axis] -= step
            up, down = (coordinates.evaluate(places)[0] for places in moved)
            np.testing.assert_allclose(gradient[:, :, atom, axis], (up - down) / (2 * step), atol=1e-8)


def test_a_straight_angle_and_two_atoms_are_no_problem():
    straight = np.array([[[0.0, 0.0, 0.0], [1.16, 0.0, 0.0], [-1.16, 0.0, 0.0]]])
    values, gradient = InternalCoordinates.find(np.array([6, 8, 8]), straight).evaluate(straight)
    assert values[0, 2] == pytest.approx(np.pi)
    assert np.isfinite(gradient).all()
    values, gradient = InternalCoordinates.find(np.array([1, 1]), straight[:, :2] / 1.5).evaluate(straight[:, :2])
    assert values.tolist() == [[1.16]]
    assert gradient[0, 0].tolist() == [[-1, 0, 0], [1, 0, 0]]
