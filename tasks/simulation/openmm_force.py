"""A trained potential in OpenMM: a system whose only force is the potential, through `openmm.PythonForce`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import openmm
import torch
from ase.data import atomic_masses
from numpy.typing import NDArray
from openmm import unit

from tasks.datasets.structures.units import A_PER_NM, KJ_PER_MOL_PER_EV
from tasks.simulation.card import PotentialError
from tasks.simulation.potential import TrainedPotential

if not hasattr(openmm, "PythonForce"):
    raise ImportError(
        f"openmm {openmm.__version__} has no PythonForce, which a potential is put into: 8.6.1 and newer have it"
    )


class _Computation:
    """What OpenMM asks in each step: energy (kJ/mol) and forces (kJ/mol/nm) of a state."""

    def __init__(self, potential: TrainedPotential, z: NDArray[np.int64], periodic: bool) -> None:
        self._potential, self._z, self._periodic = potential, torch.from_numpy(z), periodic
        self._box: NDArray[np.float64] | None = None

    def __call__(self, state: openmm.State) -> tuple[float, NDArray[np.float64]]:
        pos = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
        box = None
        if self._periodic:
            box = np.asarray(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom), dtype=np.float64)
            if self._box is None or not np.array_equal(box, self._box):
                # A barostat changes the box; the first one was checked when the system was made.
                self._potential.check(self._z.numpy(), box)
                self._box = box
        found = self._potential.evaluate(
            self._z, torch.tensor(pos), None, None if box is None else torch.from_numpy(box).unsqueeze(0)
        )
        energy, forces = float(found.energy), found.forces.cpu().numpy()
        return energy * KJ_PER_MOL_PER_EV, forces * (KJ_PER_MOL_PER_EV * A_PER_NM)


def openmm_system(
    potential: TrainedPotential, numbers: Sequence[int] | NDArray[np.integer], box_A: Any = None
) -> openmm.System:
    """An OpenMM system of atoms whose only force is the potential; nothing is constrained.

    Args:
        potential: as `load` gives it.
        numbers: atomic numbers, (N,).
        box_A: side of a cubic box, sides of an orthorhombic one (3,), or box vectors as rows in OpenMM's reduced form
            (3, 3), Å; None if not periodic.

    Raises:
        PotentialError: for a structure that the potential cannot be used for.
    """
    z = np.asarray(numbers, dtype=np.int64)
    box = None if box_A is None else _vectors(np.asarray(box_A, dtype=np.float64))
    potential.check(z, box)
    system = openmm.System()
    for number in z:
        system.addParticle(atomic_masses[number] * unit.dalton)
    force = openmm.PythonForce(_Computation(potential, z, box is not None))
    force.setUsesPeriodicBoundaryConditions(box is not None)
    system.addForce(force)
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*row) / A_PER_NM for row in box))
    return system


def _vectors(box: NDArray[np.float64]) -> NDArray[np.float64]:
    if box.size in (1, 3):
        return np.diag(np.broadcast_to(box.ravel(), 3)).astype(np.float64)
    if box.shape == (3, 3):
        return box
    raise PotentialError(f"box_A has the shape {box.shape}; give one side, three sides, or three vectors as rows")
