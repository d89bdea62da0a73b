"""The minimum image against all images by hand, in cubic and reduced triclinic boxes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.geometry import minimum_image, nearest_image, random_rotations, wrap

BOXES = {
    "cubic": torch.eye(3, dtype=torch.float64) * 9,
    "orthorhombic": torch.diag(torch.tensor([8.0, 9.5, 11.0], dtype=torch.float64)),
    "triclinic": torch.tensor([[9.0, 0, 0], [2.5, 9, 0], [-1.5, 3, 10]], dtype=torch.float64),
}


@pytest.mark.parametrize("name", BOXES)
@given(data=st.data())
def test_wrapped_vectors_come_back_to_the_shortest_image(name, data):
    box = BOXES[name]
    component = st.floats(-2, 2, allow_nan=False)
    vector = torch.tensor([data.draw(component) for _ in range(3)], dtype=torch.float64)
    shift = torch.tensor([data.draw(st.integers(-3, 3)) for _ in range(3)], dtype=torch.float64)
    wrapped = (vector + shift @ box).unsqueeze(0)
    # |vector| is at most 3.5 Å, below half of every width: it is the shortest image.
    torch.testing.assert_close(minimum_image(wrapped, box)[0], vector, rtol=0, atol=1e-9)
    torch.testing.assert_close(
        torch.from_numpy(nearest_image(wrapped.numpy(), box.numpy()))[0], vector, rtol=0, atol=1e-9
    )


def test_one_box_a_vector_and_no_box():
    vectors = torch.tensor([[5.0, 0, 0], [5.0, 0, 0]])
    boxes = torch.stack([torch.eye(3) * 8, torch.eye(3) * 20])
    torch.testing.assert_close(minimum_image(vectors, boxes), torch.tensor([[-3.0, 0, 0], [5.0, 0, 0]]))
    assert minimum_image(vectors, None) is vectors
    assert nearest_image(one := vectors.numpy(), None) is one


def test_wrapped_positions_are_in_the_box_and_whole_vectors_away():
    generator = torch.Generator().manual_seed(1)
    box = torch.tensor([[5.0, 0, 0], [1, 6, 0], [-1, 2, 7]], dtype=torch.float64).expand(200, 3, 3)
    pos = 40 * torch.rand(200, 3, generator=generator, dtype=torch.float64) - 20
    wrapped = wrap(pos, box)
    inverse = torch.linalg.inv(box[0])
    fractional = wrapped @ inverse
    assert fractional.min() >= 0
    assert fractional.max() < 1
    moved = (pos - wrapped) @ inverse
    torch.testing.assert_close(moved, moved.round(), rtol=0, atol=1e-9)


def test_random_rotations_are_proper_and_uniform():
    """Uniform over all rotations: R averages to 0, and R R of one element to 1/3 (Schur's orthogonality relations)."""
    rotations = random_rotations(20_000, torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).double().expand_as(rotations), rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(20_000).double(), rtol=0, atol=1e-5)
    assert rotations.mean(dim=0).abs().max() < 0.02  # five standard errors of √(1/3 / 20 000)
    assert (rotations.square().mean(dim=0) - 1 / 3).abs().max() < 0.015
    # Angles have the density (1 − cos φ) / π: a trace of 1 + 2 cos φ averages to 0, its square to 1.
    trace = rotations.diagonal(dim1=1, dim2=2).sum(dim=1)
    assert trace.square().mean() == pytest.approx(1, abs=0.05)
