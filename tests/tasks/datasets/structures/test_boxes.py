"""Boxes: the reduced form is the same lattice, and a cutoff has to fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from tasks.datasets.base import DatasetError
from tasks.datasets.structures.boxes import box_widths, check_boxes, reduced_box
from tests.tasks.conftest import random_rotation


def random_box(seed):
    """Right-handed, up to strongly sheared, in any orientation."""
    rng = np.random.default_rng(seed)
    lower = np.tril(rng.uniform(-6, 6, (3, 3)))
    np.fill_diagonal(lower, rng.uniform(4, 12, 3))
    return lower @ random_rotation(rng)


@given(seed=st.integers(0, 500))
def test_the_reduced_box_is_the_same_lattice_turned(seed):
    box = random_box(seed)
    reduced, rotation = reduced_box(box)
    a, b, c = reduced
    assert np.allclose(np.triu(reduced, k=1), 0)
    assert (np.diag(reduced) > 0).all()
    assert abs(b[0]) <= a[0] / 2 + 1e-9
    assert abs(c[0]) <= a[0] / 2 + 1e-9
    assert abs(c[1]) <= b[1] / 2 + 1e-9
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1)
    # Each basis written in the other has whole numbers: they span one lattice.
    turned = box @ rotation.T
    whole = reduced @ np.linalg.inv(turned)
    assert np.allclose(whole, np.round(whole), atol=1e-6)
    assert abs(np.linalg.det(whole)) == pytest.approx(1)


@given(seed=st.integers(0, 200))
def test_a_reduced_box_stays_as_it_is(seed):
    reduced, _ = reduced_box(random_box(seed))
    again, rotation = reduced_box(reduced)
    assert np.allclose(again, reduced)
    assert np.allclose(rotation, np.eye(3))


def test_an_orthorhombic_box_is_left_alone():
    box = np.diag([7.0, 9.0, 11.0])
    reduced, rotation = reduced_box(box)
    assert np.array_equal(reduced, box)
    assert np.array_equal(rotation, np.eye(3))


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        (np.diag([1.0, 1.0, 0.0]), "flat"),
        (np.diag([1.0, 1.0, -1.0]), "left-handed"),
        ([[1, 0, 0], [2, 0, 0], [0, 0, 1]], "flat"),
        (np.diag([1.0, np.nan, 1.0]), "not finite"),
        (np.zeros((3, 3)), "flat"),
    ],
)
def test_boxes_without_a_volume_are_refused(box, kind):
    with pytest.raises(DatasetError, match=kind):
        reduced_box(np.asarray(box, dtype=float))


def test_widths_are_distances_between_faces():
    assert np.allclose(box_widths(np.diag([3.0, 4.0, 5.0])), [3, 4, 5])
    sheared = np.array([[4.0, 0, 0], [2.0, 2 * np.sqrt(3), 0], [0, 0, 5]])  # 60 degrees between a and b
    assert np.allclose(box_widths(sheared), [2 * np.sqrt(3), 2 * np.sqrt(3), 5])


def test_a_cutoff_over_half_a_width_is_refused_with_the_largest_that_fits():
    sample = Data(box=(torch.eye(3) * torch.tensor([12.0, 7.0, 9.0])).unsqueeze(0))
    check_boxes([Data(), sample], 3.5, "ice")
    with pytest.raises(DatasetError, match=r"'ice': structure 1 has a box 7.000 Å wide.*3.6 Å needs.*at most 3.5 Å"):
        check_boxes([Data(), sample], 3.6, "ice")
