"""Periodic geometry shared by datasets, pretexts and models."""

from __future__ import annotations

from torch import Tensor, linalg


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
