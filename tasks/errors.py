"""Errors that are exact over a set of frames: sums over components, frames, molecules, never means of batch means."""

from __future__ import annotations

import torch
from ase.data import atomic_masses
from torch import Tensor
from torch.linalg import cross
from torch_geometric.data import Batch
from torch_geometric.utils import scatter

from tasks.geometry import minimum_image

EV_TO_MEV = 1000.0
WAITING = 64
"""Batches whose errors are kept before they are summed."""


def net_forces_and_torques(force: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """What the forces on its atoms do to each molecule as a whole.

    In a liquid this is what molecules do to each other: forces within a molecule add up to no net force and no torque.
    Both are linear in the forces, so that of errors of forces they are the errors of both.

    Args:
        force: (N, 3), or errors of it, in any unit.
        batch: with `z`, `pos` (Å), `molecule`, `batch`, and `box` if periodic. A molecule may be cut by the border of
            its box, but has to be smaller than half of it.

    Returns:
        Net forces (M, 3) in the unit of `force`, and torques about the centres of mass (M, 3) in that unit times Å, of
        the molecules in the order of (sample, number), both float64; and the samples (M,) that the molecules are in.
    """
    place = torch.stack([batch.batch, batch.molecule])
    places, molecule = torch.unique(place, dim=1, return_inverse=True)
    count = int(molecule.max()) + 1
    first = torch.full((count,), batch.num_nodes, device=molecule.device)
    first = first.scatter_reduce(0, molecule, torch.arange(batch.num_nodes, device=molecule.device), "amin")
    box = batch.box[batch.batch].double() if "box" in batch else None
    arms = minimum_image((batch.pos - batch.pos[first[molecule]]).double(), box)
    mass = torch.as_tensor(atomic_masses, device=arms.device)[batch.z].unsqueeze(1)
    centre = scatter(mass * arms, molecule, dim_size=count) / scatter(mass, molecule, dim_size=count)
    force = force.double()
    torque = cross(arms - centre[molecule], force, dim=1)
    return scatter(force, molecule, dim_size=count), scatter(torque, molecule, dim_size=count), places[0]


class ErrorSums:
    """Running sums of force and energy errors, of predictions in eV or normalised.

    Force errors are averaged over the components of all atoms (as in the field's usual force RMSE), energy errors over
    frames, either per structure (box or molecule) or divided by the frame's number of atoms.

    Args:
        scale_eV: eV per unit of the predictions: the normalisation's scale, or 1.
        molecules: whether to add the errors of net forces and torques, over the frames that know their molecules and
            have several: all of a frame of one molecule is the sum of its forces, which says nothing of neighbours.
    """

    def __init__(self, scale_eV: float, molecules: bool = False) -> None:
        self.unit_meV = scale_eV * EV_TO_MEV
        self.molecules = molecules
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._energies: list[Tensor] = []
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []

    def update(self, energy: Tensor, force: Tensor, batch: Batch) -> None:
        """Add a batch: predicted energies (B, 1) and forces (N, 3), and the batch with y, neg_dy and ptr."""
        error = force.detach() - batch.neg_dy
        if self.molecules and "molecule" in batch:
            net, torque, sample = net_forces_and_torques(error, batch)
            several = sample.bincount()[sample] > 1
            if several.any():
                self._add("molecule_force", net[several])
                self._add("molecule_torque", torque[several])
        # Nothing but the differences is computed in a training step; they are summed many batches at a time.
        self._waiting.append((error, (energy.detach() - batch.y).squeeze(1), batch.ptr.diff()))
        if len(self._waiting) == WAITING:
            self._sum_up()

    def _sum_up(self) -> None:
        """Sum what is waiting, in float64."""
        force, energy, atoms = (torch.cat(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting.clear()
        self._add("force", force.double())
        self._energies.append(torch.stack([energy.double(), energy.double() / atoms]))

    def _add(self, name: str, error: Tensor) -> None:
        for power, value in (("rmse", error.square().sum()), ("mae", error.abs().sum())):
            key = f"{name}_{power}"
            self._sums[key] = self._sums[key] + value if key in self._sums else value
        self._counts[name] = self._counts.get(name, 0) + error.numel()

    def compute(self) -> dict[str, float]:
        """RMSE and MAE in meV/Å (forces), meV per structure and meV per atom (energies), by the records' names.

        Of energies further the constant, which is the mean error (predicted less reference) and may be negative, and
        the standard deviation over frames, which is the RMSE without it: dynamics and relative energies do not feel the
        constant. RMSE² = sd² + constant². Per structure both are of use for boxes of one size, per atom for others. Of
        molecules, if asked for, the RMSE of net forces (meV/Å) and of torques (meV), over all their components.
        """
        if self._waiting:
            self._sum_up()
        found = {f"force_{kind}_mev_per_A": self._mean("force", kind) for kind in ("rmse", "mae")}
        for error, unit in zip(self.unit_meV * torch.cat(self._energies, dim=1), ("mev", "mev_per_atom"), strict=True):
            found[f"energy_rmse_{unit}"] = float(error.square().mean().sqrt())
            found[f"energy_mae_{unit}"] = float(error.abs().mean())
            found[f"energy_sd_{unit}"] = float(error.std(correction=0))
            found[f"energy_bias_{unit}"] = float(error.mean())
        if "molecule_force" in self._counts:
            found["molecule_force_rmse_mev_per_A"] = self._mean("molecule_force", "rmse")
            found["molecule_torque_rmse_mev"] = self._mean("molecule_torque", "rmse")
        return found

    def _mean(self, name: str, kind: str) -> float:
        mean = float(self._sums[f"{name}_{kind}"]) / self._counts[name]
        return self.unit_meV * (mean**0.5 if kind == "rmse" else mean)
