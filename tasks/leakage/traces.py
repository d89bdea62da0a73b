"""What is kept of structures so that they are recognised when they are not at hand, as in a file of weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from tasks.leakage.recognition import (
    FINGERPRINT,
    NEAREST,
    composition,
    composition_hash,
    fingerprint,
    nearest_distances,
)

TRACED_ATOMS = 4
"""Atoms that are kept of a structure, evenly chosen, by the distances to their nearest neighbours."""


@dataclass(frozen=True, eq=False)
class Traces:
    """Traces of M structures; whatever does not change the geometry does not change them.

    Attributes:
        compositions: hash of the atomic numbers of each, (M,) int64.
        fingerprints: (M, 6) float32.
        elements: atomic numbers of some atoms of each, (M, 4) int64.
        distances: of these atoms to their nearest neighbours, ascending, (M, 4, 24) float32, Å; 0 beyond the last.
        precision_A: step to which positions were rounded where they were read, Å; 0 if that is not known.
    """

    compositions: NDArray[np.int64]
    fingerprints: NDArray[np.float32]
    elements: NDArray[np.int64]
    distances: NDArray[np.float32]
    precision_A: float = 0.0

    def __len__(self) -> int:
        return len(self.compositions)

    def content(self) -> dict[str, Any]:
        """As it is stored: tensors and a number."""
        tables = {name: torch.from_numpy(getattr(self, name)) for name in _TABLES}
        return {**tables, "precision_A": float(self.precision_A)}

    @classmethod
    def of(cls, content: Any) -> Traces:
        """From what was stored.

        Raises:
            ValueError: if that are no traces.
        """
        if not isinstance(content, dict) or content.keys() != {*_TABLES, "precision_A"}:
            raise ValueError(f"traces of structures have {', '.join(_TABLES)} and precision_A")
        count = len(content["compositions"])
        for name, (dtype, shape) in _TABLES.items():
            table = content[name]
            right = isinstance(table, torch.Tensor) and table.dtype == dtype and table.shape == (count, *shape)
            if not right or not bool(table.isfinite().all()):
                raise ValueError(f"{name}: a table of {count} rows, {dtype}, was expected")
        precision_A = content["precision_A"]
        if not isinstance(precision_A, float) or not 0 <= precision_A < 1:
            raise ValueError(f"precision_A {precision_A!r}: a length in Å was expected")
        return cls(**{name: content[name].numpy() for name in _TABLES}, precision_A=precision_A)


_TABLES = {
    "compositions": (torch.int64, ()),
    "fingerprints": (torch.float32, (FINGERPRINT,)),
    "elements": (torch.int64, (TRACED_ATOMS,)),
    "distances": (torch.float32, (TRACED_ATOMS, NEAREST)),
}
"""Tables of traces: type, and shape of a row."""


def trace(samples: Sequence[Data], precision_A: float) -> Traces:
    """What is kept of structures to recognise them by.

    Args:
        samples: M structures.
        precision_A: step to which their positions were rounded, Å; 0 if that is not known.
    """
    traces = Traces(
        np.array([composition_hash(composition(sample)) for sample in samples], dtype=np.int64),
        np.array([fingerprint(sample) for sample in samples], dtype=np.float32).reshape(-1, FINGERPRINT),
        np.zeros((len(samples), TRACED_ATOMS), dtype=np.int64),
        np.zeros((len(samples), TRACED_ATOMS, NEAREST), dtype=np.float32),
        precision_A,
    )
    for row, sample in enumerate(samples):
        atoms = np.linspace(0, sample.num_nodes - 1, TRACED_ATOMS).round().astype(int)
        nearest = nearest_distances(sample)[atoms]
        traces.elements[row] = sample.z.numpy()[atoms]
        traces.distances[row, :, : nearest.shape[1]] = nearest
    return traces
