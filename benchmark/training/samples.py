"""What a test leaves beside its errors: exact force errors by element, and a sample of predictions for parity plots."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Batch

from reports.records.samples import AXES, MOST_PREDICTIONS
from tasks.errors import EV_TO_MEV


class Details:
    """Predictions of one evaluation, collected batch by batch.

    Args:
        scale_eV: the normalisation's scale, eV per normalised unit.
    """

    def __init__(self, scale_eV: float) -> None:
        self._unit_meV = scale_eV * EV_TO_MEV
        self._batches: list[tuple[Tensor, ...]] = []

    def update(self, energy: Tensor, force: Tensor, batch: Batch) -> None:
        """Add a batch: normalised predicted energies (B, 1) and forces (N, 3), and the batch with its labels."""
        atoms = torch.bincount(batch.batch, minlength=len(energy))
        energies = torch.cat([batch.y, energy.detach()], dim=1).double() / atoms.unsqueeze(1)
        forces = torch.stack([batch.neg_dy, force.detach()]).double()
        self._batches.append((energies.cpu(), forces.cpu(), batch.z.cpu(), atoms.cpu()))

    def elements(self) -> pd.DataFrame:
        """Exact force errors of each element: ``element``, ``n_atoms``, RMSE and MAE in meV/Å."""
        _, forces, z, _ = self._joined()
        errors = self._unit_meV * (forces[1] - forces[0])
        rows = []
        for number in np.unique(z):
            own = errors[z == number]
            rows.append(
                {
                    "element": int(number),
                    "n_atoms": len(own),
                    "force_rmse_mev_per_A": float(np.sqrt(np.mean(own**2))),
                    "force_mae_mev_per_A": float(np.mean(np.abs(own))),
                }
            )
        return pd.DataFrame(rows)

    def predictions(self, frames: NDArray[np.int64], seed: int) -> pd.DataFrame:
        """References and predictions, at most as many as ``MOST_PREDICTIONS`` says.

        Args:
            frames: index in the dataset of each frame that was evaluated, (F,).
            seed: of the choice, where there are more.

        Returns:
            ``quantity``, ``frame``, ``atom``, ``axis`` and ``element`` (none for energies), ``reference`` and
            ``predicted``: energies in meV/atom without the reference energies of the elements, forces in meV/Å.
        """
        energies, forces, z, atoms = self._joined()
        rng = np.random.default_rng(seed)
        of_atom = np.repeat(frames, atoms)
        in_frame = np.arange(len(z)) - np.repeat(np.cumsum(atoms) - atoms, atoms)
        chosen = _choose(len(energies), MOST_PREDICTIONS["energy"], rng)
        component = _choose(forces[0].size, MOST_PREDICTIONS["force"], rng)
        atom = component // 3
        tables = [
            pd.DataFrame(
                {
                    "quantity": "energy",
                    "frame": frames[chosen],
                    "atom": pd.array([pd.NA] * len(chosen), dtype="Int64"),
                    "axis": None,
                    "element": pd.array([pd.NA] * len(chosen), dtype="Int64"),
                    "reference": self._unit_meV * energies[chosen, 0],
                    "predicted": self._unit_meV * energies[chosen, 1],
                }
            ),
            pd.DataFrame(
                {
                    "quantity": "force",
                    "frame": of_atom[atom],
                    "atom": pd.array(in_frame[atom], dtype="Int64"),
                    "axis": np.array(AXES)[component % 3],
                    "element": pd.array(z[atom], dtype="Int64"),
                    "reference": self._unit_meV * forces[0].reshape(-1)[component],
                    "predicted": self._unit_meV * forces[1].reshape(-1)[component],
                }
            ),
        ]
        return pd.concat(tables, ignore_index=True)

    def _joined(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Energies (F, 2) and forces (2, N, 3), reference first, atomic numbers (N,), atoms of each frame (F,)."""
        energies, forces, z, atoms = zip(*self._batches, strict=True)
        return (
            torch.cat(energies).numpy(),
            torch.cat(forces, dim=1).numpy(),
            torch.cat(z).numpy(),
            torch.cat(atoms).numpy(),
        )


def _choose(available: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted random indices, all of them if there are no more than wanted."""
    return np.sort(rng.permutation(available)[:wanted])
