"""Errors that are exact over a split: sums over components and frames, never means of batch means."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.utils import scatter

EV_TO_MEV = 1000.0


class ErrorSums:
    """Running sums of force and energy errors of normalised predictions.

    Force errors are averaged over the components of all atoms (as in the field's usual force RMSE), energy
    errors over frames, either per structure (box or molecule) or divided by the frame's number of atoms.

    Args:
        scale_eV: the normalisation's scale, eV per normalised unit.
    """

    def __init__(self, scale_eV: float) -> None:
        self.unit_meV = scale_eV * EV_TO_MEV
        self.components = 0
        self.frames = 0
        self._sums: dict[str, Tensor] = {}

    def update(self, energy: Tensor, force: Tensor, batch: Batch) -> None:
        """Add a batch: predicted energies (B, 1) and forces (N, 3), and the batch with y, neg_dy and batch."""
        force_error = (force.detach() - batch.neg_dy).double()
        energy_error = (energy.detach() - batch.y).double()
        atoms = scatter(torch.ones_like(batch.batch), batch.batch, dim_size=len(energy), reduce="sum")
        per_atom = energy_error / atoms.unsqueeze(1)
        self.components += force_error.numel()
        self.frames += energy_error.numel()
        for name, error in (("force", force_error), ("energy", energy_error), ("atom", per_atom)):
            for power, value in (("rmse", error.square().sum()), ("mae", error.abs().sum())):
                key = f"{name}_{power}"
                self._sums[key] = self._sums[key] + value if key in self._sums else value

    def compute(self) -> dict[str, float]:
        """RMSE and MAE in meV/Å (forces), meV per structure and meV per atom (energies), by the records' names."""

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

    def update(self, mean: Tensor, weight: int) -> None:
        """Add a batch's mean loss over ``weight`` terms."""
        value = mean.detach().double() * weight
        self._total = value if self._total is None else self._total + value
        self._weight += weight

    def compute(self) -> float:
        """The mean over all terms of all batches; NaN if there was none."""
        return float("nan") if self._total is None else float(self._total) / self._weight
