"""Reference energies and one scale: from eV to the normalised units in which potentials are trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from ase.formula import Formula
from torch import Tensor
from torch_geometric.data import Data


@dataclass(frozen=True)
class Normalisation:
    """Affine map between energies (eV), forces (eV/Å) and the potential's units.

    ``energy = scale × normalised + Σ reference[z]``, ``force = scale × normalised``: one scale for both, so that
    forces stay the gradient of the energy.

    Attributes:
        reference_eV: energy of each species, by atomic number.
        scale_eV: root mean square of the training forces' components, in eV/Å, taken as the unit of energy in eV.
    """

    reference_eV: dict[int, float]
    scale_eV: float

    @classmethod
    def fit(cls, samples: Sequence[Data]) -> Normalisation:
        """Least squares of the energies on species counts, in float64, and the forces' root mean square.

        Where compositions do not tell the species apart (all samples the same, or all water), the solution of
        least norm is taken: only its sum over a sample matters.

        Raises:
            ValueError: without samples, or where all forces are zero or not finite.
        """
        if not samples:
            raise ValueError("normalisation needs at least one training sample")
        species = torch.unique(torch.cat([s.z for s in samples]))
        counts = np.array([[int((s.z == z).sum()) for z in species] for s in samples], dtype=np.float64)
        energies = np.array([float(s.y.double()) for s in samples])
        reference = np.linalg.lstsq(counts, energies, rcond=None)[0]
        forces = torch.cat([s.neg_dy.double().flatten() for s in samples])
        scale = float(forces.square().mean().sqrt())
        if not np.isfinite(scale) or scale == 0 or not np.isfinite(reference).all():
            raise ValueError(f"training labels cannot set a scale (force RMS {scale} eV/Å); check the data's units")
        return cls(dict(zip(species.tolist(), reference.tolist(), strict=True)), scale)

    def describe(self) -> dict[str, Any]:
        """What provenance says of it; can be written as JSON."""
        return {"reference_eV": self.reference_eV, "scale_eV": self.scale_eV}

    def reference_energy(self, z: Tensor) -> float:
        """Sum of reference energies of atoms (N,), eV, in float64."""
        return float(sum(self.reference_eV[number] for number in z.tolist()))

    def normalise(self, sample: Data) -> Data:
        """A labelled sample with normalised float32 labels, all else shared; the subtraction is done in float64."""
        normalised = copy(sample)
        normalised.y = ((sample.y.double() - self.reference_energy(sample.z)) / self.scale_eV).float()
        normalised.neg_dy = (sample.neg_dy.double() / self.scale_eV).float()
        return normalised

    def energy_eV(self, normalised: Tensor, z: Tensor) -> Tensor:
        """Energies in eV, float64, of normalised ones (1, 1) of one sample with atoms z (N,)."""
        return normalised.double() * self.scale_eV + self.reference_energy(z)


def find_undetermined(training: Iterable[Data], others: Iterable[Data]) -> str | None:
    """Formula of a structure whose energy no potential that is fitted to the training frames could be measured by.

    Reference energies of the elements are a least-squares fit to the training frames' compositions: what is no
    combination of these has none.

    Returns:
        Of the first of the others' compositions that training does not determine; None where it determines all.
    """
    known = np.array(sorted(_compositions(training)), dtype=np.float64)
    projector = np.linalg.pinv(known) @ known
    for composition in sorted(_compositions(others)):
        counts = np.array(composition, dtype=np.float64)
        if np.abs(counts @ projector - counts).max() > 1e-6:
            return f"{Formula.from_dict({chemical_symbols[z]: n for z, n in enumerate(composition) if n}):hill}"
    return None


def _compositions(samples: Iterable[Data]) -> set[tuple[int, ...]]:
    """Atoms of each element, by atomic number: each composition once."""
    return {tuple(np.bincount(sample.z.numpy(), minlength=len(chemical_symbols)).tolist()) for sample in samples}
