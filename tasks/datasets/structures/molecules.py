"""Which atoms belong together: molecules and sites (a heavy atom with its hydrogens), from bonds or from geometry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tasks.geometry import nearest_image

HYDROGEN, OXYGEN = 1, 8
BOND_FACTOR = 1.25
"""Atoms closer than this times the sum of their covalent radii (Cordero 2008, as in ASE) are bonded."""
OH_RANGE_A = 1.4
"""Half way between the bonds (0.97 Å) and the hydrogen bonds (1.85 Å) of liquid water."""
SHARED_FACTOR = 1.1
"""A hydrogen whose second oxygen is closer than this times the distance to the first may belong to either."""


@dataclass(frozen=True)
class Topology:
    """Which molecule and site the atoms of one structure belong to.

    Attributes:
        molecule: (N,) int64, number of the molecule, from 0.
        site: (N,) int64, number of the site, a heavy atom with its hydrogens, from 0. A hydrogen without heavy
            neighbour is a site of its own.
    """

    molecule: NDArray[np.int64]
    site: NDArray[np.int64]


def topology_of_single_atoms(atoms: int) -> Topology:
    """Every atom is a molecule and a site of its own: for structures whose molecules are not known."""
    return Topology(np.arange(atoms), np.arange(atoms))


def topology_of_bonds(z: NDArray[np.int64], bonds: NDArray[np.int64]) -> Topology:
    """Molecules and sites of known bonds.

    Args:
        z: atomic numbers, (N,).
        bonds: pairs of atoms, (B, 2), each once; a hydrogen with several heavy neighbours belongs to the first.
    """
    atoms = len(z)
    bonds = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    molecule = _components(atoms, bonds)
    both = np.concatenate([bonds, bonds[:, ::-1]])
    to_heavy = both[(z[both[:, 0]] == HYDROGEN) & (z[both[:, 1]] != HYDROGEN)]
    _, first = np.unique(to_heavy[:, 0], return_index=True)
    return Topology(molecule, _components(atoms, to_heavy[first]))


def find_bonds(z: NDArray[np.int64], pos: NDArray[np.floating], box: NDArray[np.floating] | None) -> NDArray[np.int64]:
    """Bonds by distance, (B, 2), each once, the shortest first.

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


def find_water_molecules(
    z: NDArray[np.int64], pos: NDArray[np.float64], box: NDArray[np.float64] | None
) -> Topology | None:
    """The water molecules of a structure: each hydrogen belongs to its nearest oxygen, by minimum image.

    Args:
        z: atomic numbers, (N,).
        pos: positions, (N, 3), Å; wrapped atom by atom or not, in any order.
        box: box vectors as rows in the form of `boxes.reduced_box`, (3, 3), Å; None if not periodic.

    Returns:
        Molecules, which are also the sites, numbered in the order of their oxygens. None if they cannot be told apart:
        there are other elements, an oxygen does not have exactly two hydrogens, a hydrogen has no oxygen within
        `OH_RANGE_A`, or its second oxygen is closer than `SHARED_FACTOR` times the distance to the first.
    """
    oxygens, hydrogens = np.flatnonzero(z == OXYGEN), np.flatnonzero(z == HYDROGEN)
    if len(oxygens) == 0 or len(oxygens) + len(hydrogens) < len(z) or len(hydrogens) != 2 * len(oxygens):
        return None
    vectors = nearest_image(pos[hydrogens, None] - pos[None, oxygens], box)
    distances = np.sqrt(np.einsum("hoi,hoi->ho", vectors, vectors))
    owner = distances.argmin(axis=1)
    rows = np.arange(len(hydrogens))
    first = distances[rows, owner]
    distances[rows, owner] = np.inf
    second = distances.min(axis=1)
    if (first > OH_RANGE_A).any() or (second < SHARED_FACTOR * first).any():
        return None
    if (np.bincount(owner, minlength=len(oxygens)) != 2).any():
        return None
    molecule = np.empty(len(z), dtype=np.int64)
    molecule[oxygens], molecule[hydrogens] = np.arange(len(oxygens)), owner
    return Topology(molecule, molecule)


@lru_cache(maxsize=16)
def atom_pairs(atoms: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and second atom of all pairs i < j, each (P,)."""
    first, second = np.triu_indices(atoms, k=1)
    return first, second


def pair_distances(pos: NDArray[np.floating], box: NDArray[np.floating] | None) -> NDArray[np.float64]:
    """Distances of all pairs, (P,), in Å, in the order of ``atom_pairs``, by minimum image.

    See ``tasks.geometry.minimum_image`` for its limits in triclinic boxes.
    """
    first, second = atom_pairs(len(pos))
    vectors = np.asarray(pos, dtype=np.float64)[second] - np.asarray(pos, dtype=np.float64)[first]
    vectors = nearest_image(vectors, None if box is None else np.asarray(box, dtype=np.float64))
    distances: NDArray[np.float64] = np.sqrt(np.einsum("pi,pi->p", vectors, vectors))
    return distances


def _components(atoms: int, bonds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Connected components of a graph, numbered in the order of their first atom, (N,)."""
    graph = coo_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(atoms, atoms))
    labels = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[inverse].astype(np.int64)
