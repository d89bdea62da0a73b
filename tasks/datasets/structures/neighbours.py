"""Whether a network has room for the neighbours that atoms have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch_geometric.data import Data

from tasks.datasets.base import DatasetError
from tasks.datasets.structures.molecules import pair_distances

LOOKED_AT = 10
"""Frames whose neighbours are counted, evenly spaced: those of a dataset are about equally dense."""
MARGIN = 1.25
"""Above the number that was found, in what is proposed: frames differ, and noise moves atoms."""


def check_neighbours(samples: Sequence[Data], cutoff_A: float, room: int, name: str, model: str) -> None:
    """Make sure that atoms have no more neighbours within the cutoff, on average, than a network makes room for.

    Args:
        samples: frames, periodic or not; boxes are at least two cutoffs wide.
        cutoff_A: cutoff of the network, Å.
        room: the network's option ``max_neighbors``.
        name: name of the dataset, for the message.
        model: name of the network, likewise.

    Raises:
        DatasetError: naming the first structure with more.
    """
    for number in np.unique(np.linspace(0, len(samples) - 1, LOOKED_AT).round().astype(int)).tolist():
        sample = samples[number]
        if sample.num_nodes - 1 <= room:
            continue
        distances = pair_distances(sample.pos.numpy(), sample.box[0].double().numpy() if "box" in sample else None)
        neighbours = 2 * int((distances < cutoff_A).sum()) / sample.num_nodes
        if neighbours > room:
            raise DatasetError(
                f"dataset {name!r}: atoms of structure {number} have {neighbours:.1f} neighbours within {cutoff_A:g} "
                f"Å, on average; model {model!r} has room for {room}. Raise its option 'max_neighbors' to "
                f"{int(MARGIN * neighbours) + 1}, or shorten 'cutoff_A'"
            )
