"""ASE calculator: one potential, or a committee of several with their spread as uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, CalculatorSetupError, PropertyNotImplementedError, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from tasks.datasets.base import DatasetError
from tasks.datasets.structures.boxes import reduced_box
from tasks.simulation.card import PotentialError
from tasks.simulation.potential import TrainedPotential


class PotentialCalculator(Calculator):
    """Energies, forces and, of conservative networks, stress for ASE.

    Of a committee all are means over its members, and ``results`` also has ``energy_sd`` (eV), ``forces_sd``
    (N, 3, eV/Å) and ``stress_sd`` (6, eV/Å³): sample standard deviations, n − 1. They are the disagreement of the
    members, not an error: what all members got wrong alike is not in them.

    Args:
        potentials: one, or several of `load_committee`.

    Raises:
        CalculatorSetupError: without potentials; for a structure that they cannot be used for.
    """

    def __init__(self, potentials: TrainedPotential | Sequence[TrainedPotential], **options: Any) -> None:
        super().__init__(**options)
        self.members = [potentials] if isinstance(potentials, TrainedPotential) else list(potentials)
        if not self.members:
            raise CalculatorSetupError("a calculator needs a potential; give one, or a committee of several")
        self._conservative = all(member.conservative for member in self.members)
        names = ["energy", "free_energy", "forces", *(["stress"] if self._conservative else [])]
        spreads = [f"{name}_sd" for name in names if name != "free_energy"] if len(self.members) > 1 else []
        self.implemented_properties = [*names, *spreads]
        self._checked: tuple[bytes, ...] | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """See ASE's ``Calculator.calculate``."""
        super().calculate(atoms, list(properties), list(system_changes))
        structure = self.atoms
        assert structure is not None
        z = structure.numbers.astype(np.int64)
        box, rotation = _box_of(structure)
        self._check(z, box)
        stress = any(name.startswith("stress") for name in properties)
        if stress and box is None:
            raise PropertyNotImplementedError("there is no stress without a box")
        pos = torch.from_numpy(structure.positions @ rotation.T)
        boxes = None if box is None else torch.from_numpy(box).unsqueeze(0)
        found = [member.evaluate(torch.from_numpy(z), pos, None, boxes, stress) for member in self.members]
        values: dict[str, NDArray[np.float64]] = {
            "energy": np.array([float(one.energy) for one in found]),
            "forces": np.stack([one.forces.cpu().numpy() @ rotation for one in found]),
        }
        if stress:
            tensors = [one.stress[0].cpu().numpy() for one in found if one.stress is not None]
            values["stress"] = np.stack([full_3x3_to_voigt_6_stress(rotation.T @ one @ rotation) for one in tensors])
        for name, each in values.items():
            self.results[name] = each.mean(axis=0)
            if len(self.members) > 1:
                self.results[f"{name}_sd"] = each.std(axis=0, ddof=1)
        self.results["free_energy"] = self.results["energy"]

    def _check(self, z: NDArray[np.int64], box: NDArray[np.float64] | None) -> None:
        """Let every member refuse what it cannot be used for, once for each set of atoms and box."""
        now = (z.tobytes(), b"" if box is None else box.tobytes())
        if now == self._checked:
            return
        for member in self.members:
            try:
                member.check(z, box)
            except PotentialError as error:
                raise CalculatorSetupError(str(error)) from error
        self._checked = now


def _box_of(atoms: Atoms) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """Reduced box vectors (3, 3), None if not periodic, and the rotation to them."""
    periodic = atoms.pbc
    if not periodic.any():
        return None, np.eye(3)
    if not periodic.all():
        raise CalculatorSetupError(
            f"the structure is periodic in some directions only (pbc {periodic.tolist()}); the potential knows "
            "boxes or none. Set pbc to True in all directions, with a wide box where there is nothing"
        )
    try:
        return reduced_box(atoms.cell.array)
    except DatasetError as error:
        raise CalculatorSetupError(str(error)) from error
