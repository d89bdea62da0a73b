"""Which atoms belong together: molecules and sites (a heavy atom with its hydrogens), from bonds or from geometry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HYDROGEN = 1
BOND_FACTOR = 1.25
"""Atoms nearer than this times the sum of their covalent radii (Cordero 2008, as in ASE) are bonded."""


@dataclass(frozen=True)
class Topology:
    """Membership of the atoms of one structure.

    Attributes:
        molecule: (N,) int64, number of the molecule, from 0.
        site: (N,) int64, number of the heavy atom with its hydrogens, from 0. A hydrogen without heavy neighbour is
            a site of its own.
    """

    molecule: NDArray[np.int64]
    site: NDArray[np.int64]


def topology_of_bonds(z: NDArray[np.int64], bonds: NDArray[np.int64]) -> Topology:
    """Molecules and sites of known bonds.

    Args:
        z: atomic numbers, (N,).
        bonds: pairs of atoms, (B, 2), each once; of a hydrogen with several heavy neighbours the first counts.
    """
    atoms = len(z)
    bonds = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    molecule = _components(atoms, bonds)
    both = np.concatenate([bonds, bonds[:, ::-1]])
    to_heavy = both[(z[both[:, 0]] == HYDROGEN) & (z[both[:, 1]] != HYDROGEN)]
    _, first = np.unique(to_heavy[:, 0], return_index=True)
    return Topology(molecule, _components(atoms, to_heavy[first]))


def find_bonds(z: NDArray[np.int64], pos: NDArray[np.floating], box: NDArray[np.floating] | None) -> NDArray[np.int64]:
    """Bonds by distance, (B, 2), each once, a hydrogen's bond to its nearest heavy atom first.

    Args:
        z: atomic numbers, (N,).
        pos: positions, (N, 3), Å; wrapped atom by atom or not.
        box: box vectors as rows, (3, 3), Å; None if not periodic.
    """
    first, second = atom_pairs(len(z))
    distances = pair_distances(pos, box)
    radii = covalent_radii[z]
    bonded = distances < BOND_FACTOR * (radii[first] + radii[second])
    order = np.argsort(distances[bonded], kind="stable")
    return np.stack([first[bonded], second[bonded]], axis=1)[order].astype(np.int64)


@lru_cache(maxsize=16)
def atom_pairs(atoms: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and second atom of all pairs i < j, each (P,)."""
    first, second = np.triu_indices(atoms, k=1)
    return first, second


def pair_distances(pos: NDArray[np.floating], box: NDArray[np.floating] | None) -> NDArray[np.float64]:
    """Distances of all pairs in the order of ``atom_pairs``, (P,), Å, by minimum image.

    See ``tasks.geometry.minimum_image`` for what is exact in triclinic boxes.
    """
    first, second = atom_pairs(len(pos))
    vectors = np.asarray(pos, dtype=np.float64)[second] - np.asarray(pos, dtype=np.float64)[first]
    if box is not None:
        cell = np.asarray(box, dtype=np.float64)
        vectors -= np.round(vectors @ np.linalg.inv(cell)) @ cell
    distances: NDArray[np.float64] = np.sqrt(np.einsum("pi,pi->p", vectors, vectors))
    return distances


def _components(atoms: int, bonds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Connected components of a graph, numbered in the order of their first atom, (N,)."""
    graph = coo_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(atoms, atoms))
    labels = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[inverse].astype(np.int64)
