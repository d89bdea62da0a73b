"""Scans: a bond, an angle and the distance of two molecules, taken from a structure of the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch_geometric.data import Data

from tasks.geometry import nearest_image
from tasks.simulation.observables import Floats, find_geometry
from tasks.simulation.structures import whole_molecules
from tasks.simulation.units import MEV

STRETCH = np.linspace(-0.15, 0.3, 46)
"""Å beside the length that the bond has."""
BEND = np.linspace(-25.0, 25.0, 51)
"""Degrees beside the angle."""
APART = np.linspace(-0.4, 4.0, 221)
"""Å beside the distance of two neighbours in the data: close enough together to see a jump at a cutoff."""
VACUUM_A = 24.0
"""Side of the box that isolated molecules are put into, where the potential knows boxes."""
HYDROGEN = atomic_numbers["H"]


@dataclass(frozen=True)
class Scan:
    """Structures along one coordinate.

    Attributes:
        name: of what, `O-H stretch`, say.
        unit: `Å` or `°`.
        x: values of the coordinate, (K,).
        sample: the atoms, with a box if they have one.
        frames: positions, (K, N, 3), Å.
        home: place of the structure that the scan started from.
    """

    name: str
    unit: str
    x: Floats
    sample: Data
    frames: Floats
    home: int


def scans_of(sample: Data) -> list[Scan]:
    """The scans of a structure's molecules; those that it has not the atoms for are left out.

    The bond is the first one to a hydrogen, the angle the first one with a hydrogen at its end. Two molecules are the
    nearest ones of the structure, moved apart along the line between their centres, each kept as it is.
    """
    z, molecule = sample.z.numpy(), sample.molecule.numpy()
    pos = sample.pos.double().numpy()
    box = sample.box[0].double().numpy() if "box" in sample else None
    geometry = find_geometry(z, molecule, pos, box)
    found = []
    whole = whole_molecules(pos, geometry.bonds, box)
    for bond in geometry.bonds:
        if HYDROGEN in z[bond]:
            found.append(_stretch(sample, whole, molecule == molecule[bond[0]], bond))
            break
    for angle in geometry.angles:
        if HYDROGEN in (z[angle[0]], z[angle[2]]):
            found.append(_bend(sample, whole, molecule == molecule[angle[1]], angle))
            break
    if len(set(molecule.tolist())) > 1:
        found.append(_apart(sample, whole, molecule, box))
    return found


def jump(scan: Scan, energies: Floats, forces: Floats) -> float:
    """Largest |ΔE + ½ (F + F′) · Δx| between neighbouring points, meV: what the forces do not explain.

    For a smooth energy and its gradient it vanishes with the third power of the spacing; a cutoff without envelope and
    forces that are no gradient leave what they are.
    """
    moves = np.diff(scan.frames, axis=0)
    work = ((forces[1:] + forces[:-1]) / 2 * moves).sum((1, 2))
    return float(np.abs(np.diff(energies) + work).max() * MEV)


def _stretch(sample: Data, pos: Floats, atoms: NDArray[np.bool_], bond: NDArray[np.int64]) -> Scan:
    """Only the hydrogen is moved."""
    z = sample.z.numpy()
    fixed, moved = bond if z[bond[1]] == HYDROGEN else bond[::-1]
    along = pos[moved] - pos[fixed]
    length = float(np.linalg.norm(along))
    frames = np.repeat(pos[None], len(STRETCH), axis=0)
    frames[:, moved] += STRETCH[:, None] * along / length
    return _scan(f"{_symbols(z[[fixed, moved]])} stretch", "Å", length + STRETCH, sample, frames, atoms, STRETCH)


def _bend(sample: Data, pos: Floats, atoms: NDArray[np.bool_], angle: NDArray[np.int64]) -> Scan:
    """Only the hydrogen is moved, in the plane of the angle."""
    z = sample.z.numpy()
    one, centre, moved = angle if z[angle[2]] == HYDROGEN else angle[::-1]
    to_one, to_moved = pos[one] - pos[centre], pos[moved] - pos[centre]
    axis = np.cross(to_one, to_moved)
    axis /= np.linalg.norm(axis)
    cosine = to_one @ to_moved / np.linalg.norm(to_one) / np.linalg.norm(to_moved)
    frames = np.repeat(pos[None], len(BEND), axis=0)
    turns = Rotation.from_rotvec(np.deg2rad(BEND)[:, None] * axis)
    frames[:, moved] = pos[centre] + turns.apply(to_moved)
    degrees = float(np.rad2deg(np.arccos(cosine))) + BEND
    return _scan(f"{_symbols(z[[one, centre, moved]])} bend", "°", degrees, sample, frames, atoms, BEND)


def _apart(sample: Data, pos: Floats, molecule: NDArray[np.int64], box: Floats | None) -> Scan:
    """The two molecules whose centres are nearest."""
    numbers = np.unique(molecule)
    centres = np.array([pos[molecule == number].mean(0) for number in numbers])
    vectors = nearest_image(centres[:, None] - centres[None], box)
    distances = np.linalg.norm(vectors, axis=2) + np.where(np.eye(len(numbers)), np.inf, 0)
    one, other = np.unravel_index(np.argmin(distances), distances.shape)
    distance, along = float(distances[one, other]), vectors[one, other] / distances[one, other]
    first, second = molecule == numbers[one], molecule == numbers[other]
    near = pos.copy()
    near[first] += centres[other] + vectors[one, other] - centres[one]  # the image that is nearest
    frames = np.repeat(near[None], len(APART), axis=0)
    frames[:, first] += APART[:, None, None] * along
    return _scan("distance of two molecules", "Å", distance + APART, sample, frames, first | second, APART)


def _scan(
    name: str, unit: str, x: Floats, sample: Data, frames: Floats, atoms: NDArray[np.bool_], moves: Floats
) -> Scan:
    """The chosen atoms alone, in the middle of a large box if the data has boxes."""
    frames = frames[:, atoms]
    frames = frames - frames.mean((0, 1)) + VACUUM_A / 2
    chosen = torch.from_numpy(atoms)
    fields = {key: sample[key][chosen] for key in ("z", "molecule")}
    if "box" in sample:
        fields["box"] = torch.eye(3).unsqueeze(0) * VACUUM_A
    home = int(np.argmin(np.abs(moves)))
    return Scan(name, unit, x, Data(pos=torch.tensor(frames[home]), **fields), frames, home)


def _symbols(numbers: NDArray[np.int64]) -> str:
    return "-".join(chemical_symbols[number] for number in numbers)
