"""What structures are recognised by, however they are turned, moved, wrapped, renumbered or rounded.

All distances of a structure have to agree, sorted, and the neighbours of single atoms too: two frames of a crystal have
nearly the same distances.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import squareform
from torch_geometric.data import Data

from tasks.datasets.structures.molecules import atom_pairs, pair_distances

DECAYS_PER_A = (0.5, 1.0, 2.0)
FINGERPRINT = 2 * len(DECAYS_PER_A)
"""Numbers in a fingerprint."""
FEATURE_TOLERANCE = 2e-3
"""Times 1/sqrt(atoms): above what rounding to 0.001 Å does to a feature, below what motion does. Coarser steps are
allowed as many times more."""
FINE_STEP_A = 1e-3
SAME_A = 1.5e-3
"""Two structures are the same if their sorted distances differ by less than this, root mean square. Rounding to 0.001 Å
makes a difference of 0.0004 Å; half a femtosecond of motion at 300 K makes 0.004 Å or more."""
ABOVE_ROUNDING = 2.5
"""Of coarser files: how many times the difference that rounding makes. For steps of 0.01 Å this allows 0.010 Å, about a
femtosecond of motion at 300 K: what is nearer cannot be told apart there."""
NEAREST, WATCHED = 24, 16
"""How many neighbours of how many atoms are compared one by one. A crystal has so many equal distances that all of
them, sorted, differ by no more than 0.001 to 0.006 Å between any two frames (100 to 900 atoms that move by 0.04 or
0.08 Å). What a single atom sees differs by 0.014 Å or more, and rounding changes it no more than all distances."""

Surroundings = dict[int, NDArray[np.float32]]
"""For the atoms of each element the distances to their nearest neighbours, ascending, (M, `NEAREST`) or fewer."""


def composition(sample: Data) -> bytes:
    """The sorted atomic numbers of a structure, as bytes."""
    return np.sort(sample.z.numpy()).astype("<i2").tobytes()


def composition_hash(composition: bytes) -> int:
    """A number of 64 bits that stands for a composition."""
    return int.from_bytes(hashlib.sha256(composition).digest()[:8], "little", signed=True)


def fingerprint(sample: Data) -> NDArray[np.float64]:
    """Descriptors that do not depend on orientation, order of the atoms or wrapping, (6,).

    ``sum over pairs of w exp(-a d) / N`` for three decays a and two weights w: 1, and the product of the atomic
    numbers (scaled to a mean of 1).
    """
    z = sample.z.numpy().astype(np.float64)
    first, second = atom_pairs(len(z))
    if not len(first):
        return np.zeros(FINGERPRINT)
    distances = pair_distances(sample.pos.numpy(), _box(sample))
    products = z[first] * z[second]
    weights = np.stack([np.ones_like(products), products / products.mean()])
    decays = np.exp(-np.asarray(DECAYS_PER_A)[:, None] * distances)
    return (decays @ weights.T).ravel() / len(z)


def sorted_distances(sample: Data) -> NDArray[np.float32]:
    """All distances, by pair of elements and then ascending, (N (N - 1) / 2,), Å."""
    z = sample.z.numpy()
    first, second = atom_pairs(len(z))
    kinds = np.minimum(z[first], z[second]) * 1000 + np.maximum(z[first], z[second])
    distances = pair_distances(sample.pos.numpy(), _box(sample))
    return distances[np.lexsort((distances, kinds))].astype(np.float32)


def same_geometry(a: NDArray[np.float32], b: NDArray[np.float32], allowed_A: float) -> bool:
    """Whether the sorted distances of each pair of elements are the same."""
    return bool(np.sqrt(np.mean((a - b) ** 2)) < allowed_A) if len(a) else True


def same_surroundings(a: Surroundings, b: Surroundings, allowed_A: float) -> bool:
    """Whether some atoms of one structure are found in the other of the same composition, each by its neighbours."""
    for element, rows in a.items():
        watched = rows[np.unique(np.linspace(0, len(rows) - 1, WATCHED).round().astype(int))]
        if not has_atoms(b, [element] * len(watched), watched, allowed_A):
            return False
    return True


def has_atoms(
    surroundings: Surroundings, elements: Sequence[int], distances: NDArray[np.float32], allowed_A: float
) -> bool:
    """Whether a structure has atoms of these elements with these distances to their neighbours, (M, `NEAREST`)."""
    for element, row in zip(elements, distances, strict=True):
        if element not in surroundings:
            return False
        differences = surroundings[element] - row[: surroundings[element].shape[1]]
        if differences.size and np.sqrt(np.square(differences).mean(axis=1).min()) >= allowed_A:
            return False
    return True


def surroundings(sample: Data) -> Surroundings:
    """What the atoms of a structure have around them."""
    z, nearest = sample.z.numpy(), nearest_distances(sample)
    return {int(element): nearest[z == element] for element in np.unique(z)}


def nearest_distances(sample: Data) -> NDArray[np.float32]:
    """Of each atom the distances to its nearest neighbours, ascending, (N, `NEAREST`), or fewer of few atoms."""
    count = min(NEAREST, sample.num_nodes - 1)
    distances = squareform(pair_distances(sample.pos.numpy(), _box(sample))).astype(np.float32)
    nearest = np.partition(distances, count, axis=1)[:, : count + 1]
    return np.sort(nearest, axis=1)[:, 1:]  # the first is the atom itself


def tolerance_A(first_step_A: float, second_step_A: float) -> float:
    """Root mean square difference of sorted distances up to which frames count as the same, Å.

    Rounding coordinates to steps a and b changes the distance of two atoms by sqrt((a² + b²) / 6), root mean square.
    """
    rounding = np.hypot(first_step_A, second_step_A) / np.sqrt(6)
    return float(max(SAME_A, ABOVE_ROUNDING * rounding))


def reach(steps_A: Sequence[float]) -> float:
    """How far fingerprints of the same frame may be apart, times the root of its atoms."""
    return max([FINE_STEP_A, *steps_A]) / FINE_STEP_A * FEATURE_TOLERANCE


def _box(sample: Data) -> NDArray[np.float64] | None:
    return sample.box[0].double().numpy() if "box" in sample else None
