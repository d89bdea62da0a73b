"""Neighbours as a plain research code finds them: all pairs of each structure, in numpy, on the CPU, in every step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Graph(NamedTuple):
    """Directed edges of a batch.

    Attributes:
        i: receiving atom of each edge, (E,).
        j: sending atom, (E,).
        shift: what is added to x_i − x_j to make it the shortest image, (E, 3), Å.
    """

    i: Tensor
    j: Tensor
    shift: Tensor


def neighbour_list(pos: Tensor, batch: Tensor, box: Tensor | None, cutoff: float) -> Graph:
    """All pairs closer than the cutoff, in both directions, each with its shortest image.

    Args:
        pos: positions, (N, 3), Å.
        batch: structure of each atom, (N,), ascending.
        box: box vectors as rows, (B, 3, 3), Å, at least twice as wide as the cutoff; None if not periodic.
        cutoff: in Å.
    """
    positions, structure = pos.detach().cpu().double().numpy(), batch.cpu().numpy()
    boxes = None if box is None else box.detach().cpu().double().numpy()
    receivers, senders, shifts = [], [], []
    for number in range(int(structure.max()) + 1):
        own = np.flatnonzero(structure == number)
        vectors = positions[own][:, None] - positions[own][None]
        shift = np.zeros_like(vectors)
        if boxes is not None:
            cell = boxes[number]
            shift = -np.round(vectors @ np.linalg.inv(cell)) @ cell
        near = ((vectors + shift) ** 2).sum(axis=2) < cutoff**2
        np.fill_diagonal(near, False)
        first, second = np.nonzero(near)
        receivers.append(own[first])
        senders.append(own[second])
        shifts.append(shift[first, second])
    return Graph(
        torch.as_tensor(np.concatenate(receivers), device=pos.device),
        torch.as_tensor(np.concatenate(senders), device=pos.device),
        torch.as_tensor(np.concatenate(shifts), device=pos.device, dtype=pos.dtype),
    )


def add_up(values: Tensor, place: Tensor, places: int) -> Tensor:
    """Sums of rows (M, F) that belong to one place (M,): (places, F)."""
    return torch.zeros(places, values.shape[1], dtype=values.dtype, device=values.device).index_add(0, place, values)
