"""Pairs of atoms within a distance, for pretexts that ask about them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torchmdnet.models.utils import OptimizedDistance

from tasks.datasets.structures.boxes import TOLERANCE, box_widths

MOST_PAIRS = 128
"""Room for pairs per atom, each pair once: twice what the densest solid has within `LARGEST_RADIUS_A`."""


def pairs_within(radius_A: float, structures: Data) -> tuple[Tensor, Tensor]:
    """All pairs of atoms of one structure that are closer than a radius, by minimum image.

    Args:
        radius_A: at most half the width of a box, Å.
        structures: a batch with pos, batch and, if periodic, box.

    Returns:
        Pairs (2, P), each once, and the vectors from their second to their first atom (P, 3), Å.
    """
    search = OptimizedDistance(
        cutoff_upper=radius_A, max_num_pairs=-MOST_PAIRS, return_vecs=True, include_transpose=False
    ).to(structures.pos.device)
    with torch.no_grad():
        pairs, _, vectors = search(structures.pos, structures.batch, structures.box if "box" in structures else None)
    return pairs, vectors


def has_room(radius_A: float, sample: Data) -> bool:
    """Whether a structure has two atoms and, if it is periodic, a box of two radii."""
    if sample.num_nodes < 2:
        return False
    widths = box_widths(sample.box[0].double().numpy()) if "box" in sample else None
    return widths is None or bool(radius_A <= widths.min() / 2 * (1 + TOLERANCE))
