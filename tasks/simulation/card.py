"""What a potential's file says beside the weights: enough to build it, to use it rightly, and to cite it."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from ase.data import chemical_symbols
from ase.formula import Formula
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

UNITS = {"energy": "eV", "length": "Å", "force": "eV/Å"}
DETERMINED = 1e-6
"""Largest number of atoms by which a composition may miss the span of those in training."""


class PotentialError(ValueError):
    """A potential's file cannot be used, or a potential cannot be used for a structure; the message is for the user."""


class Network(BaseModel):
    """Architecture: a kind of `tasks.registry.MODELS` with its options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    options: dict[str, Any]


class Spent(BaseModel):
    """What a pretraining has cost, as the file of its body says."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    epochs: Annotated[int, Field(gt=0, strict=True)]
    """Passes over its training frames."""
    frames: Annotated[int, Field(gt=0, strict=True)]
    """Frames of a pass."""
    steps: Annotated[int, Field(ge=0, strict=True)]
    """Optimizer steps."""
    seconds: Annotated[float, Field(ge=0)]
    """Wall time, s, on the machine that made it."""
    label_seconds: Annotated[float, Field(ge=0)] | None = None
    """Processor time of making the labels that it learned, s; None where none were made."""


class Card(BaseModel):
    """All of a potential's file but the weights; can be written as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    network: Network
    """The architecture."""
    reference_eV: dict[int, float] = {}
    """Reference energy of each element, eV, by atomic number; none for a pretrained body."""
    scale_eV: Annotated[float, Field(gt=0)] | None = None
    """Energy unit of the network, eV; None for a pretrained body, which predicts no energies."""
    species: Annotated[tuple[int, ...], Field(min_length=1)]
    """Atomic numbers that occurred in training."""
    compositions: list[dict[int, int]] = []
    """Atoms by atomic number of the structures in training: each composition once, as many as tell all that is known
    of the reference energies."""
    periodic: bool
    """Whether the structures in training had a box."""
    units: dict[str, str] = UNITS
    """Units of what the loaded potential takes and gives."""
    provenance: dict[str, Any]
    """Where it comes from: cell, data with licence and citation, versions."""

    @property
    def finetuned(self) -> bool:
        """Whether it predicts energies and forces; a pretrained body does not."""
        return self.scale_eV is not None

    @property
    def cutoff_A(self) -> float:
        """Distance up to which atoms are neighbours, Å."""
        return float(self.network.options["cutoff_A"])

    def check_species(self, z: NDArray[np.int64]) -> None:
        """Refuse elements that did not occur in training.

        Raises:
            PotentialError: naming them.
        """
        unknown = sorted(set(np.unique(z).tolist()) - set(self.species))
        if unknown:
            raise PotentialError(
                f"the structure has {_symbols(unknown)}, which the potential never saw; it was trained on "
                f"{_symbols(self.species)}. Leave these atoms out, or train on structures that have them"
            )

    def undetermined(self, z: NDArray[np.int64]) -> str | None:
        """The formula of a structure whose total energy the training set did not determine; None if it did.

        Reference energies of the elements are fitted to the compositions in training. Where all of these are the same
        molecule, say, only its own sum is known: energies of anything else are off by an unknown constant. Forces, and
        differences of energies of one composition, are not affected.
        """
        species = sorted({*self.species, *z.tolist()})
        known = np.array([[row.get(number, 0) for number in species] for row in self.compositions], dtype=float)
        counts = np.array([(z == number).sum() for number in species], dtype=float)
        if np.abs(counts @ np.linalg.pinv(known) @ known - counts).max() <= DETERMINED:
            return None
        formula = {chemical_symbols[n]: int(c) for n, c in zip(species, counts, strict=True) if c}
        return f"{Formula.from_dict(formula):hill}"


def spanning(compositions: list[dict[int, int]]) -> list[dict[int, int]]:
    """As few of the compositions as span them all, in order: what others can be combined of."""
    species = sorted({number for row in compositions for number in row})
    chosen: list[dict[int, int]] = []
    rows: list[list[int]] = []
    for composition in compositions:
        row = [composition.get(number, 0) for number in species]
        if np.linalg.matrix_rank(np.array([*rows, row], dtype=float)) > len(rows):
            rows.append(row)
            chosen.append(composition)
    return chosen


def _symbols(numbers: tuple[int, ...] | list[int]) -> str:
    return ", ".join(chemical_symbols[n] if 0 < n < len(chemical_symbols) else f"number {n}" for n in numbers)
