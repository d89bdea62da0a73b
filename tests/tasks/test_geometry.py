"""The minimum image against all images by hand, in cubic and reduced triclinic boxes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.geometry import minimum_image

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
