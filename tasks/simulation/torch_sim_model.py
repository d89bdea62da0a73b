"""A trained potential in torch-sim, an optional dependency, which simulates many structures in one evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.datasets.structures.boxes import reduced_box
from tasks.simulation.card import PotentialError
from tasks.simulation.potential import TrainedPotential

try:
    from torch_sim import SimState
    from torch_sim.models.interface import ModelInterface
except ImportError as error:
    raise ImportError("torch-sim is not installed: pip install '.[torch-sim]' in the project's folder") from error


class TorchSimModel(ModelInterface):
    """What `torch_sim.integrate`, `torch_sim.optimize` and the like take as a model; in eV, Å and eV/Å³.

    Args:
        potential: as `load` gives it.
        stress: whether to compute the stress, too.

    Raises:
        PotentialError: if there is no stress; and later, for structures that the potential cannot be used for.
    """

    def __init__(self, potential: TrainedPotential, stress: bool = False) -> None:
        super().__init__()
        if stress and not potential.conservative:
            raise PotentialError("there is no stress of a network whose forces are no gradient of its energy")
        self._potential = potential
        self._device, self._dtype = torch.device(potential.device), torch.float64
        self._compute_forces, self._compute_stress = True, stress
        self._known: tuple[bytes, ...] = ()
        self._lattices: tuple[Tensor, Tensor] | None = None

    def forward(self, state: Any, **options: Any) -> dict[str, Tensor]:
        """See `ModelInterface.forward`: ``energy`` (B,), ``forces`` (N, 3), and ``stress`` (B, 3, 3) if asked for."""
        state = state if isinstance(state, SimState) else SimState(**state)
        self._look_at(state)
        numbers, which, pos = state.atomic_numbers.long(), state.system_idx, state.positions.to(self._dtype)
        if self._lattices is None:
            found = self._potential.evaluate(numbers, pos, which)
            return {"energy": found.energy, "forces": found.forces}
        boxes, rotations = self._lattices
        turned = torch.einsum("nij,nj->ni", rotations[which], pos)
        found = self._potential.evaluate(numbers, turned, which, boxes, self._compute_stress)
        values = {"energy": found.energy, "forces": torch.einsum("nji,nj->ni", rotations[which], found.forces)}
        if found.stress is not None:
            values["stress"] = rotations.transpose(1, 2) @ found.stress @ rotations
        return values

    def _look_at(self, state: SimState) -> None:
        """Refuse what the potential cannot be used for, and reduce the boxes; once for each set of atoms and boxes."""
        periodic = torch.as_tensor(state.pbc)
        if bool(periodic.any()) != bool(periodic.all()):
            raise PotentialError("the structures are periodic in some directions only: set pbc in all or in none")
        numbers, which = (_array(table) for table in (state.atomic_numbers, state.system_idx))
        cells = _array(state.row_vector_cell).astype(np.float64) if periodic.all() else None
        now = tuple(b"" if table is None else table.tobytes() for table in (numbers, which, cells))
        if now == self._known:
            return
        reduced = None if cells is None else [reduced_box(cell) for cell in cells]
        for system in range(int(which.max()) + 1):
            self._potential.check(numbers[which == system], None if reduced is None else reduced[system][0])
        if reduced is not None:
            tables = (np.stack(each) for each in zip(*reduced, strict=True))
            boxes, rotations = (torch.from_numpy(table).to(self._device) for table in tables)
            self._lattices = boxes, rotations
        else:
            self._lattices = None
        self._known = now


def _array(table: Tensor) -> NDArray[Any]:
    values: NDArray[Any] = table.detach().cpu().numpy()
    return values
