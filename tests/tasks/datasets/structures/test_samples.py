"""Samples have the fields and types that datasets promise, and no more memory than they need."""

from __future__ import annotations

import numpy as np
import torch

from tasks.datasets.structures.samples import make_sample

WATER = np.array([8, 1, 1])


def test_all_fields_and_their_types():
    pos, forces, box = np.ones((3, 3)), np.full((3, 3), 2.0), np.eye(3) * 9
    sample = make_sample(WATER.astype(np.uint8), pos, np.zeros(3, np.int32), np.arange(3), box, -76.5, forces)
    assert {key: (sample[key].dtype, tuple(sample[key].shape)) for key in sample.keys()} == {  # noqa: SIM118
        "z": (torch.int64, (3,)),
        "pos": (torch.float32, (3, 3)),
        "molecule": (torch.int64, (3,)),
        "site": (torch.int64, (3,)),
        "box": (torch.float32, (1, 3, 3)),
        "y": (torch.float64, (1, 1)),
        "neg_dy": (torch.float32, (3, 3)),
    }
    assert sample.z.tolist() == [8, 1, 1]
    assert sample.site.tolist() == [0, 1, 2]
    assert sample.y.item() == -76.5
    assert sample.neg_dy.sum().item() == 18
    assert sample.box[0].trace().item() == 27


def test_fields_that_are_not_there_are_left_out():
    sample = make_sample(WATER, np.zeros((3, 3)), np.zeros(3, int), np.zeros(3, int))
    assert set(sample.keys()) == {"z", "pos", "molecule", "site"}


def test_arrays_are_copied_and_tensors_shared():
    """A sample that is pickled must not drag along the trajectory, and frames may have their atoms in common."""
    trajectory, z = np.zeros((100, 3, 3), dtype=np.float32), torch.tensor(WATER)
    sample = make_sample(z, trajectory[5], z, z)
    assert sample.pos.untyped_storage().nbytes() == 36
    trajectory += 1
    assert sample.pos.sum().item() == 0
    assert sample.z.data_ptr() == z.data_ptr()
