"""Internal coordinates of a molecule: bond lengths, angles, and distances of atoms further apart."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray

from tasks.datasets.structures.molecules import BOND_FACTOR

SMALLEST_SINE = 1e-6
"""The direction in which an angle of 180° grows is not defined; its gradient is kept finite."""


@dataclass(frozen=True)
class InternalCoordinates:
    """Q coordinates of molecules of n atoms, which do not change with place and pose.

    Attributes:
        pairs: (P, 2), atoms whose distance counts: bonded ones, and those that neither a bond nor an angle connects
            (their distances hold the torsions).
        angles: (A, 3), atoms of each angle between two bonds, the one that they share in the middle.
    """

    pairs: NDArray[np.int64]
    angles: NDArray[np.int64]

    @classmethod
    def find(cls, z: NDArray[np.int64], pos: NDArray[np.floating]) -> InternalCoordinates:
        """Coordinates of molecules with atomic numbers z (n,): bonds are what `BOND_FACTOR` says of mean distances.

        Args:
            z: atomic numbers, (n,).
            pos: positions of M molecules, (M, n, 3), Å, not cut by a box.
        """
        atoms = list(itertools.combinations(range(len(z)), 2))
        mean = {(i, j): float(np.linalg.norm(pos[:, i] - pos[:, j], axis=1).mean()) for i, j in atoms}
        bonds = [(i, j) for i, j in atoms if mean[i, j] < BOND_FACTOR * (covalent_radii[z[i]] + covalent_radii[z[j]])]
        bonded: dict[int, list[int]] = {i: [] for i in range(len(z))}
        for i, j in bonds:
            bonded[i].append(j)
            bonded[j].append(i)
        angles = [(i, j, k) for j in bonded for i, k in itertools.combinations(sorted(bonded[j]), 2)]
        near = {*bonds, *((i, k) for i, _, k in angles)}
        pairs = [*bonds, *(pair for pair in atoms if pair not in near)]
        return cls(np.array(pairs, dtype=np.int64).reshape(-1, 2), np.array(angles, dtype=np.int64).reshape(-1, 3))

    def __len__(self) -> int:
        return len(self.pairs) + len(self.angles)

    def evaluate(self, pos: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates and their gradients.

        Args:
            pos: positions of M molecules, (M, n, 3), Å, not cut by a box.

        Returns:
            Distances (Å), then angles (rad), (M, Q), and their derivatives by positions, (M, Q, n, 3).
        """
        pos = np.asarray(pos, dtype=np.float64)
        first, second = self.pairs.T
        distance, along = _unit(pos[:, first] - pos[:, second])
        start, centre, end = self.angles.T
        (a, to_start), (b, to_end) = _unit(pos[:, start] - pos[:, centre]), _unit(pos[:, end] - pos[:, centre])
        cosine = np.einsum("mai,mai->ma", to_start, to_end).clip(-1, 1)
        sine = np.sqrt(1 - cosine**2).clip(SMALLEST_SINE)
        by_start = (cosine[..., None] * to_start - to_end) / (a * sine)[..., None]
        by_end = (cosine[..., None] * to_end - to_start) / (b * sine)[..., None]
        gradient = np.zeros((len(pos), len(self), pos.shape[1], 3))
        pair, angle = np.arange(len(self.pairs)), len(self.pairs) + np.arange(len(self.angles))
        gradient[:, pair, first], gradient[:, pair, second] = along, -along
        gradient[:, angle, start], gradient[:, angle, end] = by_start, by_end
        gradient[:, angle, centre] = -by_start - by_end
        return np.concatenate([distance, np.arccos(cosine)], axis=1), gradient


def _unit(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lengths (...) and directions (..., 3)."""
    lengths = np.linalg.norm(vectors, axis=-1)
    return lengths, vectors / lengths[..., None]
