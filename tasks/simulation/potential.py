"""A trained potential, loaded: energies in eV, forces in eV/Å and stress in eV/Å³ of batches of structures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torchmdnet.models.utils import OptimizedDistance

from tasks.datasets.structures.boxes import TOLERANCE, box_widths
from tasks.models.base import Potential
from tasks.models.graph import EDGES, SHIFTS, GraphPotential
from tasks.simulation.card import Card, PotentialError
from tasks.simulation.file import build_network, read_potential

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Prediction:
    """What is predicted for B structures with N atoms in all, float64.

    Attributes:
        energy: (B,), eV.
        forces: (N, 3), eV/Å.
        stress: (B, 3, 3), eV/Å³, positive where the structure would contract, as ASE has it; None if not asked for.
    """

    energy: Tensor
    forces: Tensor
    stress: Tensor | None = None


class TrainedPotential:
    """A network with the units of its training set.

    Args:
        card: what it is.
        network: with its weights.
        device: ``cpu`` or ``cuda``.
        dtype: of the network's arithmetic; energies and forces of the benchmark's records are in float32.
    """

    def __init__(self, card: Card, network: Potential, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        if not card.finetuned:
            raise PotentialError(
                "this file holds a pretrained body: it predicts no energies or forces yet. Finetune it, "
                "or export a cell"
            )
        self.card, self.device, self.dtype = card, device, dtype
        self.network = network.to(device=device, dtype=dtype).eval().requires_grad_(False)
        table = torch.zeros(max(card.species) + 1, dtype=torch.float64)
        for number, energy in card.reference_eV.items():
            table[number] = energy
        self._reference = table.to(device)
        assert card.scale_eV is not None
        self._scale = card.scale_eV
        self._told: set[str] = set()

    @property
    def conservative(self) -> bool:
        """Whether forces are minus the gradient of the energy; only then is there a stress."""
        return self.network.conservative

    def check(self, z: NDArray[np.int64], box: NDArray[np.float64] | None) -> None:
        """Refuse a structure that the potential cannot be used for; warn of an energy that is not determined.

        Args:
            z: atomic numbers, (N,).
            box: box vectors as rows, (3, 3), Å; None if not periodic.

        Raises:
            PotentialError: for elements that it never saw, no box where it was trained on boxes, or one too small.
        """
        card = self.card
        if not len(z):
            raise PotentialError("the structure has no atoms")
        card.check_species(z)
        if box is None and card.periodic:
            raise PotentialError(
                "the structure has no box, and the potential was trained on periodic structures. Give it a box, of at "
                f"least {2 * card.cutoff_A:g} Å: a large one around an isolated molecule"
            )
        if box is not None:
            width = float(box_widths(box).min())
            if card.cutoff_A > width / 2 * (1 + TOLERANCE):
                raise PotentialError(
                    f"the box is {width:.3f} Å wide; a potential with a cutoff of {card.cutoff_A:g} Å needs at least "
                    f"{2 * card.cutoff_A:g} Å. Repeat the structure to fill a larger box"
                )
        formula = card.undetermined(z)
        if formula is not None and formula not in self._told:
            self._told.add(formula)
            warnings.warn(
                f"the total energy of {formula} is off by an unknown constant: the compositions in training do not "
                "determine the reference energies that it needs. Forces are not affected, nor are differences of "
                "energies of one composition",
                stacklevel=2,
            )

    def evaluate(
        self, z: Tensor, pos: Tensor, batch: Tensor | None = None, box: Tensor | None = None, stress: bool = False
    ) -> Prediction:
        """Energies and forces of B structures with N atoms in all; structures are not checked, see `check`.

        Args:
            z: atomic numbers, (N,) int64.
            pos: positions, (N, 3), Å.
            batch: structure of each atom, (N,) int64, ascending; None for a single one.
            box: box vectors as rows, (B, 3, 3), Å, in the form of `tasks.datasets.structures.boxes.reduced_box`; None
                if not periodic.
            stress: whether to compute the stress, too: of periodic structures, by a conservative network.
        """
        z, pos = z.to(self.device), pos.to(self.device, self.dtype)
        batch = torch.zeros_like(z) if batch is None else batch.to(self.device)
        box = None if box is None else box.to(self.device, self.dtype)
        reference = torch.zeros(int(batch.max()) + 1, dtype=torch.float64, device=self.device)
        reference.index_add_(0, batch, self._reference[z])
        tensor = None
        if stress:
            energy, forces, tensor = self._with_stress(z, pos, batch, box, len(reference))
        else:
            with torch.no_grad():
                energy, forces = self.network(z, pos, batch=batch, box=box)
        return Prediction(
            energy.detach().double().squeeze(1) * self._scale + reference,
            forces.detach().double() * self._scale,
            tensor,
        )

    def _with_stress(
        self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, samples: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Stress (1/V) ∂E/∂ε: all vectors between neighbours become v + v ε, and the energy is differentiated by ε."""
        if not self.conservative or box is None:
            raise PotentialError(
                "there is no stress "
                + ("without a box" if self.conservative else "of a network whose forces are no gradient of its energy")
            )
        strain = torch.zeros(samples, 3, 3, dtype=self.dtype, device=self.device, requires_grad=True)
        with _graph_kept(self.network):
            if isinstance(self.network, GraphPotential):
                graph = self.network.graph(pos, batch, box, None)
                stretched = pos + _times(pos, strain[batch])
                shifts = graph.shifts + _times(graph.shifts, strain[batch[graph.edges[0]]])
                given = {EDGES: graph.edges, SHIFTS: shifts}
                energy, forces = self.network(z, stretched, batch=batch, box=box, extra_args=given)
            else:
                with _strained(self.network, strain, batch) as seen:
                    energy, forces = self.network(z, pos, batch=batch, box=box)
                if not seen:
                    raise PotentialError(
                        f"there is no stress of model {self.card.network.kind!r}: it does not search neighbours by "
                        "TorchMD-Net's OptimizedDistance"
                    )
            (slope,) = torch.autograd.grad(energy.sum(), strain, allow_unused=True)
        slope = torch.zeros_like(strain) if slope is None else slope
        slope = (slope + slope.transpose(1, 2)).double() / 2
        return energy, forces, slope * self._scale / torch.linalg.det(box.double())[:, None, None]


def load(path: Path | str, device: str = "cpu", dtype: torch.dtype = torch.float32) -> TrainedPotential:
    """The potential in a file that `export` wrote; nothing in the file is executed.

    Args:
        path: the file.
        device: ``cpu`` or ``cuda``.
        dtype: of the network's arithmetic; `torch.float64` for finite differences.

    Raises:
        PotentialError: for a file that cannot be used, or a device that is not there.
    """
    if device not in DEVICES or (device == "cuda" and not torch.cuda.is_available()):
        raise PotentialError(f"device {device!r} is not available here; allowed are {', '.join(DEVICES)}")
    card, weights = read_potential(Path(path))
    return TrainedPotential(card, build_network(card, weights, str(path)), device, dtype)


def load_committee(paths: Sequence[Path | str], **options: Any) -> list[TrainedPotential]:
    """Several potentials that are asked together, as those of one arm with several seeds; options are those of `load`.

    Raises:
        PotentialError: as `load`, and where they were trained on different elements, or only some of them on boxes.
    """
    members = [load(path, **options) for path in paths]
    if not members:
        raise PotentialError("a committee has at least one member; give a file")
    for path, member in zip(paths, members, strict=True):
        for what in ("species", "periodic"):
            first, own = getattr(members[0].card, what), getattr(member.card, what)
            if own != first:
                raise PotentialError(f"{path} has {what} {own}, {paths[0]} has {first}: they are no committee")
    return members


def _times(vectors: Tensor, matrices: Tensor) -> Tensor:
    """Each of the vectors (M, 3) times its matrix (M, 3, 3)."""
    return torch.einsum("mi,mij->mj", vectors, matrices)


@contextmanager
def _strained(network: nn.Module, strain: Tensor, batch: Tensor) -> Iterator[list[nn.Module]]:
    """Vectors that any neighbour search in the network finds are strained; yields the searches that were asked."""
    seen: list[nn.Module] = []
    searches = {m: m.return_vecs for m in network.modules() if isinstance(m, OptimizedDistance)}

    def hook(search: nn.Module, _: Any, found: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        edges, lengths, vectors = found
        seen.append(search)
        strained = vectors + _times(vectors, strain[batch[edges[0].long()]])
        # An atom's edge to itself has length 0, and no direction in which it could grow.
        itself = lengths == 0
        grown = torch.where(itself, lengths, torch.where(itself[:, None], 1.0, strained).norm(dim=1))
        return edges, grown, strained if searches[search] else None

    handles = [search.register_forward_hook(hook) for search in searches]
    try:
        for search in searches:
            search.return_vecs = True
        yield seen
    finally:
        for search, vectors in searches.items():
            search.return_vecs = vectors
        for handle in handles:
            handle.remove()


@contextmanager
def _graph_kept(network: nn.Module) -> Iterator[None]:
    """Networks keep the graph of their forces only in training; what else training changes stays as in evaluation."""
    network.train()
    for module in network.modules():
        if isinstance(module, _BatchNorm | _DropoutNd):
            module.eval()
    try:
        yield
    finally:
        network.eval()
