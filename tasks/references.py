"""References that a network has to beat, from the training frames alone: nothing, and one molecule at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Batch, Data

from tasks.errors import ErrorSums
from tasks.geometry import nearest_image
from tasks.internal_coordinates import InternalCoordinates
from tasks.normalisation import Normalisation

MOST_ATOMS = 32
"""Of a molecule: pairs of atoms grow with the square, and what is larger is a polymer or a crystal."""
MOST_MOLECULES = 20_000
"""That a fit uses, evenly chosen of what there is; a fit has far fewer parameters."""
EQUATIONS_PER_PARAMETER = 4
"""Of a fit, at least: with N equations of noise for P parameters errors grow by 1 / √(1 − P / N), here by 15 %."""
SMALLEST = 1e-10
"""Of the eigenvalues of a fit's normal matrix, relative to the largest: below it coordinates depend on each other."""
CHUNK = 256
"""Molecules whose equations are set up at once."""
TOGETHER = 128
"""Frames whose errors are summed up at once."""


class Reference(Protocol):
    """Something that predicts without a network."""

    def predict(self, sample: Data) -> tuple[float, NDArray[np.float64]]:
        """Energy in eV, and forces (N, 3) in eV/Å, of a structure."""


def fit_references(train: Sequence[Data]) -> dict[str, Reference]:
    """The references by name: `null`, and `one molecule` where it can be had.

    Args:
        train: labelled frames of the training set (eV, eV/Å).
    """
    one = OneMolecule.fit(train)
    return {"null": Null.fit(train), **({} if one is None else {"one molecule": one})}


def reference_errors(reference: Reference, samples: Sequence[Data]) -> dict[str, float]:
    """Errors on labelled frames by the records' names; see `ErrorSums.compute`."""
    sums = ErrorSums(1.0, molecules=True)
    for start in range(0, len(samples), TOGETHER):
        some = samples[start : start + TOGETHER]
        energies, forces = zip(*map(reference.predict, some), strict=True)
        energy = torch.tensor(energies, dtype=torch.float64).unsqueeze(1)
        sums.update(energy, torch.tensor(np.concatenate(forces)), Batch.from_data_list(list(some)))
    return sums.compute()


@dataclass(frozen=True)
class Null:
    """No force, and the reference energies of the species."""

    normalisation: Normalisation

    @classmethod
    def fit(cls, train: Sequence[Data]) -> Null:
        """Reference energies of labelled frames."""
        return cls(Normalisation.fit(train))

    def predict(self, sample: Data) -> tuple[float, NDArray[np.float64]]:
        """See `Reference`."""
        return self.normalisation.reference_energy(sample.z), np.zeros((sample.num_nodes, 3))


@dataclass(frozen=True)
class Springs:
    """Potential of one kind of molecule: Σ (b_q x_q + k_q x_q² / 2), x_q = (q − mean) / sd of internal coordinate q.

    Attributes:
        coordinates: the Q internal coordinates.
        mean: (Q,), Å or rad.
        sd: (Q,), likewise.
        coefficients: b, then k, (2 Q,), eV.
    """

    coordinates: InternalCoordinates
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    coefficients: NDArray[np.float64]

    @classmethod
    def fit(cls, z: NDArray[np.int64], pos: NDArray[np.float64], forces: NDArray[np.float64]) -> Springs | None:
        """Least squares of the forces (M, n, 3), eV/Å, of molecules at positions (M, n, 3), Å; None if too few."""
        coordinates = InternalCoordinates.find(z, pos[:CHUNK])
        if forces.size < EQUATIONS_PER_PARAMETER * 2 * len(coordinates):
            return None
        chunks = [slice(start, start + CHUNK) for start in range(0, len(pos), CHUNK)]
        values = np.concatenate([coordinates.evaluate(pos[chunk])[0] for chunk in chunks])
        sd = values.std(axis=0)
        empty = cls(coordinates, values.mean(axis=0), np.where(sd > 0, sd, 1.0), np.zeros(2 * len(coordinates)))
        size = len(empty.coefficients)
        normal, right = np.zeros((size, size)), np.zeros(size)
        for chunk in chunks:
            gradients = empty._terms(pos[chunk])[1]
            equations = -gradients.swapaxes(0, 1).reshape(size, -1)
            normal += equations @ equations.T
            right += equations @ forces[chunk].ravel()
        return cls(coordinates, empty.mean, empty.sd, _solve(normal, right))

    def predict(self, pos: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Energy of all M molecules at positions (M, n, 3), eV, and forces (M, n, 3), eV/Å."""
        terms, gradients = self._terms(pos)
        return float((terms @ self.coefficients).sum()), -np.einsum("mpni,p->mni", gradients, self.coefficients)

    def _terms(self, pos: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The x and x² / 2, (M, 2 Q), and their gradients, (M, 2 Q, n, 3)."""
        values, gradients = self.coordinates.evaluate(pos)
        x = (values - self.mean) / self.sd
        slopes = gradients / self.sd[:, None, None]
        both = np.concatenate([slopes, x[..., None, None] * slopes], axis=1)
        return np.concatenate([x, x**2 / 2], axis=1), both


@dataclass(frozen=True)
class OneMolecule:
    """Each molecule as if it were alone: what can be known of forces without its neighbours.

    For each kind of molecule (what has the same atoms) a harmonic potential in internal coordinates is fitted to the
    training forces: for water in both bond lengths and the angle, for others also in the distances between atoms that
    neither a bond nor an angle connects. It is linear in its parameters, and exact for a harmonic molecule. Atoms of
    a kind are told apart by element and order. What is left are the forces between molecules, and what is anharmonic.

    Attributes:
        kinds: potential by atomic numbers, heaviest first. Molecules of other kinds have no force.
        normalisation: reference energies of what the potentials leave of the energies.
    """

    kinds: dict[tuple[int, ...], Springs]
    normalisation: Normalisation

    @classmethod
    def fit(cls, train: Sequence[Data]) -> OneMolecule | None:
        """Fit to labelled frames.

        None where it is not known what belongs together, or no kind of molecule has from 2 to `MOST_ATOMS` atoms and
        enough forces for a fit.
        """
        if any("molecule" not in sample for sample in train):
            return None
        found: dict[tuple[int, ...], list[tuple[Data, NDArray[np.int64]]]] = {}
        for sample in train:
            for kind, atoms in _molecules(sample):
                found.setdefault(kind, []).append((sample, atoms))
        kinds = {}
        for kind, places in found.items():
            if 2 <= len(kind) <= MOST_ATOMS and (springs := _fit_kind(kind, places)) is not None:
                kinds[kind] = springs
        if not kinds:
            return None
        alone = cls(kinds, Normalisation({}, 1.0))
        rest = []
        for sample in train:
            left = sample.clone()
            left.y = sample.y.double() - alone._molecular(sample)[0]
            rest.append(left)
        return cls(kinds, Normalisation.fit(rest))

    def predict(self, sample: Data) -> tuple[float, NDArray[np.float64]]:
        """See `Reference`."""
        energy, forces = self._molecular(sample)
        return energy + self.normalisation.reference_energy(sample.z), forces

    def _molecular(self, sample: Data) -> tuple[float, NDArray[np.float64]]:
        """Sum of the molecules' energies, eV, and forces (N, 3), eV/Å."""
        total, forces = 0.0, np.zeros((sample.num_nodes, 3))
        for kind, atoms in _molecules(sample):
            if kind in self.kinds:
                energy, forces[atoms] = self.kinds[kind].predict(_positions(sample, atoms))
                total += energy
        return total, forces


def _fit_kind(kind: tuple[int, ...], places: Sequence[tuple[Data, NDArray[np.int64]]]) -> Springs | None:
    """Fit to samples and the atoms (M, n) of their molecules of one kind: every so many of the molecules."""
    every = -(-sum(len(atoms) for _, atoms in places) // MOST_MOLECULES)
    pos, forces, before = [], [], 0
    for sample, atoms in places:
        chosen = atoms[-before % every :: every]
        before += len(atoms)
        pos.append(_positions(sample, chosen))
        forces.append(sample.neg_dy.double().numpy()[chosen])
    return Springs.fit(np.array(kind), np.concatenate(pos), np.concatenate(forces))


def _solve(normal: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solution of least norm of symmetric equations."""
    values, vectors = np.linalg.eigh(normal)
    kept = values > SMALLEST * values[-1]
    solution: NDArray[np.float64] = vectors[:, kept] @ ((vectors[:, kept].T @ right) / values[kept])
    return solution


def _molecules(sample: Data) -> Iterator[tuple[tuple[int, ...], NDArray[np.int64]]]:
    """Kinds of molecules (atomic numbers, heaviest first), and the atoms of each molecule in that order, (M, n)."""
    z, molecule = sample.z.numpy(), sample.molecule.numpy()
    order = np.lexsort((-z, molecule))
    kinds: dict[tuple[int, ...], list[NDArray[np.int64]]] = {}
    for atoms in np.split(order, np.flatnonzero(np.diff(molecule[order])) + 1):
        kinds.setdefault(tuple(z[atoms].tolist()), []).append(atoms)
    for kind, members in kinds.items():
        yield kind, np.stack(members)


def _positions(sample: Data, atoms: NDArray[np.int64]) -> NDArray[np.float64]:
    """Positions (M, n, 3) in Å relative to the first atom of each molecule, by minimum image."""
    pos = sample.pos.double().numpy()[atoms]
    return nearest_image(pos - pos[:, :1], sample.box[0].double().numpy() if "box" in sample else None)
