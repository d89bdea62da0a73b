"""Graphs apart from networks: which atoms are neighbours, through which image, and potentials that are given them."""

from __future__ import annotations

import abc
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from tasks.models.base import Potential, count_samples
from tasks.models.layers import neighbour_search
from tasks.options.models import PotentialConfig

EDGES = "edge_index"
"""Key in ``extra_args`` (and in a batch) of a graph's edges; PyG renumbers what is called so when it collates."""
SHIFTS = "edge_shift"
"""Key in ``extra_args`` (and in a batch) of the image shifts of these edges."""
POINTERS = "ptr"
"""Key in ``extra_args`` (and in a batch) of PyG's boundaries between samples, (B + 1,)."""


class Graph(NamedTuple):
    """Neighbours within a cutoff.

    Attributes:
        edges: receiver and sender of each edge, each pair in both directions, (2, E) int64.
        shifts: what periodic images add to receiver − sender, (E, 3) in Å.
    """

    edges: Tensor
    shifts: Tensor

    def vectors(self, pos: Tensor) -> Tensor:
        """Vectors from sender to receiver (E, 3) of positions (N, 3), in Å; differentiable in both."""
        receiver, sender = self.edges
        return pos.index_select(0, receiver) - pos.index_select(0, sender) + self.shifts

    def without(self, removed: Tensor) -> Graph:
        """The graph of the atoms that stay, numbered anew; removed is (N,) bool."""
        kept = ~removed
        edges = kept[self.edges].all(dim=0).nonzero().squeeze(1)
        number = kept.cumsum(0) - 1
        return Graph(number[self.edges.index_select(1, edges)], self.shifts.index_select(0, edges))


class GraphPotential(Potential):
    """A potential that is a pure function of atoms and their graph.

    ``forward`` has TorchMD-Net's signature and searches for neighbours where ``extra_args`` hold no graph. A subclass
    implements ``predict``, ``displace`` if it has the head ``coordinate``, ``represent`` if it offers features. None
    may search, wait for the device or look at values, so that all can be compiled.

    Class attributes:
        mixes_samples: True where atoms of one sample change what is computed of another (a batch norm in training).
        compiled_saves: part of an eager training step that a compiled one saves on a CPU, about; for estimates.
    """

    mixes_samples: ClassVar[bool] = False
    compiled_saves: ClassVar[float] = 0.3

    def __init__(self, config: PotentialConfig) -> None:
        super().__init__()
        self.neighbors = neighbour_search(config)

    @abc.abstractmethod
    def predict(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor,
        samples: int,
        graph: Graph,
        box: Tensor | None,
        extra_args: dict[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Energies (samples, 1) and forces (N, 3); see ``Potential.forward``."""

    def displace(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor,
        samples: int,
        graph: Graph,
        box: Tensor | None,
        extra_args: dict[str, Tensor],
    ) -> Tensor:
        """Displacements (N, 3) in Å; see ``Potential.coordinate_output``."""
        raise NotImplementedError(f"{type(self).__name__} has no head 'coordinate'; it has {', '.join(self.heads)}")

    def represent(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor,
        samples: int,
        graph: Graph,
        box: Tensor | None,
        extra_args: dict[str, Tensor],
    ) -> Tensor:
        """Features of the atoms (N, ``feature_width``); see ``Potential.features``."""
        raise NotImplementedError(f"{type(self).__name__} offers no features of atoms")

    def graph(self, pos: Tensor, batch: Tensor, box: Tensor | None, extra_args: dict[str, Tensor] | None) -> Graph:
        """The graph that ``extra_args`` hold, or the neighbours of atoms (N, 3) by a search.

        Raises:
            RuntimeError: if there are more neighbours than ``max_neighbors`` makes room for.
        """
        if extra_args is not None and EDGES in extra_args:
            return Graph(extra_args[EDGES], extra_args[SHIFTS])
        with torch.no_grad():
            edges, _, vectors = self.neighbors(pos.detach(), batch=batch, box=box)
            receiver, sender = edges
            return Graph(edges, vectors - (pos.index_select(0, receiver) - pos.index_select(0, sender)))

    def forward(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor | None = None,
        box: Tensor | None = None,
        q: Tensor | None = None,
        s: Tensor | None = None,
        extra_args: dict[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Energies (B, 1) and forces (N, 3); see ``Potential.forward``."""
        batch = torch.zeros_like(z) if batch is None else batch
        graph = self.graph(pos, batch, box, extra_args)
        return self.predict(z, pos, batch, samples_of(batch, box, extra_args), graph, box, extra_args or {})

    def coordinate_output(
        self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, extra_args: dict[str, Tensor]
    ) -> Tensor:
        """Output minus input coordinates (N, 3) in Å."""
        graph = self.graph(pos, batch, box, extra_args)
        return self.displace(z, pos, batch, samples_of(batch, box, extra_args), graph, box, extra_args)

    def features(
        self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, extra_args: dict[str, Tensor]
    ) -> Tensor:
        """See ``Potential.features``."""
        graph = self.graph(pos, batch, box, extra_args)
        return self.represent(z, pos, batch, samples_of(batch, box, extra_args), graph, box, extra_args)


def samples_of(batch: Tensor, box: Tensor | None, extra_args: dict[str, Tensor] | None) -> int:
    """Number of samples; where the batch's own boundaries are there it is read without waiting for the device."""
    if extra_args is not None and POINTERS in extra_args:
        return len(extra_args[POINTERS]) - 1
    return count_samples(batch, box)
