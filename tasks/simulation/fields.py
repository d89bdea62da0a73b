"""What drives a simulation: energies and forces of several replicas of one structure at once."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from tasks.datasets.base import Model
from tasks.references import Reference
from tasks.simulation.potential import TrainedPotential


class Field(Protocol):
    """Energies and forces of replicas: the same atoms, each replica with a box of its own."""

    def __call__(self, pos: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (A,), eV, and forces (A, N, 3), eV/Å, float64; NaN where there are none.

        Args:
            pos: positions of A replicas, (A, N, 3), Å; they need not lie in the box.
            which: their numbers, (A,): which boxes are theirs.
        """


class NetworkField:
    """A trained potential; all replicas in one evaluation.

    Args:
        potential: as `load` gives it.
        z: atomic numbers, (N,).
        boxes: box vectors of each replica, (R, 3, 3), Å; None if not periodic.
    """

    def __init__(self, potential: TrainedPotential, z: Tensor, boxes: Tensor | None) -> None:
        self._potential, self._z, self._boxes = potential, z, boxes

    def __call__(self, pos: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """See `Field`."""
        replicas, atoms = pos.shape[:2]
        batch = torch.arange(replicas).repeat_interleave(atoms)
        boxes = None if self._boxes is None else self._boxes[which]
        try:
            found = self._potential.evaluate(self._z.repeat(replicas), pos.reshape(-1, 3), batch, boxes)
        except RuntimeError:
            # Atoms that have collapsed have more neighbours than there is room for. Who did is found one by one.
            if replicas == 1:
                return torch.full((1,), torch.nan).double(), torch.full_like(pos, torch.nan)
            parts = [self(pos[i : i + 1], which[i : i + 1]) for i in range(replicas)]
            return torch.cat([energy for energy, _ in parts]), torch.cat([forces for _, forces in parts])
        return found.energy.cpu(), found.forces.cpu().reshape(replicas, atoms, 3)


class ModelField:
    """Models without a network, one of each replica, asked one after the other."""

    def __init__(self, models: list[Model]) -> None:
        self._models = models

    def __call__(self, pos: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """See `Field`."""
        energies, forces = torch.full((len(pos),), torch.nan).double(), torch.full_like(pos, torch.nan)
        for i, number in enumerate(which.tolist()):
            if pos[i].isfinite().all():
                energies[i], found = self._models[number](pos[i].numpy())
                forces[i] = torch.from_numpy(found)
        return energies, forces


def reference_model(reference: Reference, sample: Data) -> Model:
    """A reference of `tasks.references` for structures with the atoms, molecules and box of a sample."""

    def predict(pos: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        moved = sample.clone()
        moved.pos = torch.from_numpy(pos)
        return reference.predict(moved)

    return predict
