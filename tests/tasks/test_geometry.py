"""The minimum image against all images by hand, in cubic and reduced triclinic boxes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.geometry import minimum_image, wrap

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


def test_one_box_a_vector_and_no_box():
    vectors = torch.tensor([[5.0, 0, 0], [5.0, 0, 0]])
    boxes = torch.stack([torch.eye(3) * 8, torch.eye(3) * 20])
    torch.testing.assert_close(minimum_image(vectors, boxes), torch.tensor([[-3.0, 0, 0], [5.0, 0, 0]]))
    assert minimum_image(vectors, None) is vectors


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
