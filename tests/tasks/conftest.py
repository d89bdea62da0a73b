"""Small periodic water samples, made without dynamics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

OH_A, ANGLE = 0.9572, np.deg2rad(104.52)


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """A uniform proper rotation matrix (3, 3)."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def make_water(molecules: int, seed: int = 0, side: float = 8.0, dtype: torch.dtype = torch.float32) -> Data:
    """Molecules on a jittered grid in a cubic box, wrapped atom by atom so that bonds cross the border."""
    rng = np.random.default_rng(seed)
    n = int(np.ceil(molecules ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3)[:molecules]
    oxygen = grid * side / n + rng.uniform(-0.2, 0.2, (molecules, 3))
    local = (
        OH_A
        * np.array([[0, 0, 0], [1, 0, 0], [np.cos(ANGLE), np.sin(ANGLE), 0]], dtype=float)
        * rng.uniform(0.95, 1.05, (3, 1))
    )
    pos = np.concatenate([o + local @ random_rotation(rng).T for o in oxygen]) % side
    return Data(
        z=torch.tensor([8, 1, 1]).repeat(molecules),
        pos=torch.tensor(pos, dtype=dtype),
        box=(torch.eye(3, dtype=dtype) * side).unsqueeze(0),
        molecule=torch.arange(molecules).repeat_interleave(3),
        y=torch.tensor([[float(rng.normal())]], dtype=torch.float64),
        neg_dy=torch.tensor(rng.normal(size=(3 * molecules, 3)), dtype=torch.float32),
    )


def sets(labels: np.ndarray) -> set[frozenset[int]]:
    """Which atoms have a label in common, whatever the labels are."""
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


@pytest.fixture(scope="session")
def water() -> Callable[..., Data]:
    """Factory of water samples."""
    return make_water


@pytest.fixture(scope="session")
def rotation() -> Tensor:
    """A proper rotation in float64."""
    return torch.tensor(random_rotation(np.random.default_rng(5)), dtype=torch.float64)
