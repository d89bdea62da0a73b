"""Errors that are exact over a split: sums over components and frames, never means of batch means."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Batch

EV_TO_MEV = 1000.0

WAITING = 64
"""Batches whose errors are kept before they are summed."""


class ErrorSums:
    """Running sums of force and energy errors of normalised predictions.

    Force errors are averaged over the components of all atoms (as in the field's usual force RMSE), energy
    errors over frames, either per simulation cell or divided by the frame's number of atoms.

    Args:
        scale_eV: the normalisation's scale, eV per normalised unit.
    """

    def __init__(self, scale_eV: float) -> None:
        self.unit_meV = scale_eV * EV_TO_MEV
        self.components = 0
        self.frames = 0
        self._sums: dict[str, Tensor] = {}
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []

    def update(self, energy: Tensor, force: Tensor, batch: Batch) -> None:
        """Add a batch: predicted energies (B, 1) and forces (N, 3), and the batch with y, neg_dy and ptr."""
        # Nothing but the differences is computed in a training step; they are summed many batches at a time.
        self._waiting.append((force.detach() - batch.neg_dy, energy.detach() - batch.y, batch.ptr.diff()))
        if len(self._waiting) == WAITING:
            self._add()

    def _add(self) -> None:
        """Sum what is waiting, in float64."""
        force_error, energy_error, atoms = (torch.cat(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting.clear()
        self.components += force_error.numel()
        self.frames += energy_error.numel()
        energy_error = energy_error.double()
        per_atom = energy_error / atoms.unsqueeze(1)
        for name, error in (("force", force_error.double()), ("energy", energy_error), ("atom", per_atom)):
            for power, value in (("rmse", error.square().sum()), ("mae", error.abs().sum())):
                key = f"{name}_{power}"
                self._sums[key] = self._sums[key] + value if key in self._sums else value

    def compute(self) -> dict[str, float]:
        """RMSE and MAE in meV/Å (forces), meV per cell and meV per atom (energies), by the records' names."""
        if self._waiting:
            self._add()

        def mean(key: str, count: int) -> float:
            value = float(self._sums[key]) / count
            return self.unit_meV * (value**0.5 if key.endswith("rmse") else value)

        return {
            "force_rmse_mev_per_A": mean("force_rmse", self.components),
            "force_mae_mev_per_A": mean("force_mae", self.components),
            "energy_rmse_mev": mean("energy_rmse", self.frames),
            "energy_mae_mev": mean("energy_mae", self.frames),
            "energy_rmse_mev_per_atom": mean("atom_rmse", self.frames),
            "energy_mae_mev_per_atom": mean("atom_mae", self.frames),
        }


class ExactMean:
    """Mean of batch losses weighted by what each of them averaged over."""

    def __init__(self) -> None:
        self._total: Tensor | None = None
        self._weight = 0
        self._waiting: list[tuple[Tensor, int]] = []

    def update(self, mean: Tensor, weight: int) -> None:
        """Add a batch's mean loss over ``weight`` terms."""
        self._waiting.append((mean.detach(), weight))
        if len(self._waiting) == WAITING:
            self._add()

    def _add(self) -> None:
        """Sum what is waiting, in float64."""
        means, weights = zip(*self._waiting, strict=True)
        self._waiting.clear()
        values = torch.stack(means).double()
        added = (values * values.new_tensor(weights)).sum()
        self._total = added if self._total is None else self._total + added
        self._weight += sum(weights)

    def compute(self) -> float:
        """The mean over all terms of all batches; NaN if there was none."""
        if self._waiting:
            self._add()
        return float("nan") if self._total is None else float(self._total) / self._weight
