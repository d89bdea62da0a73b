"""Periodic geometry shared by datasets, pretexts and models."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, linalg


def wrap(pos: Tensor, box: Tensor) -> Tensor:
    """Positions moved by whole box vectors into the box.

    Args:
        pos: positions in Å, shape (M, 3).
        box: box vectors as rows in Å, shape (M, 3, 3), one box a position.

    Returns:
        Positions in Å, shape (M, 3), with fractional coordinates in [0, 1).
    """
    shifts = (pos.unsqueeze(-2) @ linalg.inv(box)).floor()
    return pos - (shifts @ box).squeeze(-2)


def minimum_image(vectors: Tensor, box: Tensor | None) -> Tensor:
    """Shortest periodic image of displacement vectors.

    Exact for orthorhombic boxes, and for triclinic ones in the reduced form that TorchMD-Net's
    neighbour search asks for as long as the true distance is below half the box width.

    Args:
        vectors: displacements in Å, shape (M, 3).
        box: box vectors as rows in Å, shape (3, 3) for one box or (M, 3, 3) for one a vector;
            None without periodicity.

    Returns:
        Displacements in Å, shape (M, 3).
    """
    if box is None:
        return vectors
    shifts = (vectors.unsqueeze(-2) @ linalg.inv(box)).round()
    return vectors - (shifts @ box).squeeze(-2)


def nearest_image(vectors: NDArray[np.float64], box: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """The same of NumPy's arrays, with the same limits.

    Args:
        vectors: displacements in Å, shape (..., 3).
        box: box vectors as rows in Å, shape (3, 3); None without periodicity.

    Returns:
        Displacements in Å, shape (..., 3).
    """
    return vectors if box is None else vectors - np.round(vectors @ np.linalg.inv(box)) @ box


def random_rotations(count: int, generator: Generator) -> Tensor:
    """Proper rotations, uniform over all of them: those of normally distributed quaternions, scaled to unit length.

    Args:
        count: how many.
        generator: source of the random numbers; the rotations are on its device.

    Returns:
        Matrices that turn column vectors, shape (count, 3, 3).
    """
    quaternion = torch.randn(count, 4, generator=generator, device=generator.device)
    w, x, y, z = (quaternion / linalg.norm(quaternion, dim=1, keepdim=True)).unbind(1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
