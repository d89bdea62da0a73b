"""EGNN, energy-centric and periodic (Satorras, Hoogeboom, Welling 2021, arXiv 2102.09844).

Departures from the paper's text, all of them for use as a potential:

* Edges come from a cutoff with periodic boundaries; after a coordinate update the displacement between two
  atoms is the first one (minimum image) plus the difference of their updates, so re-wrapped atoms do not matter.
* Coordinate differences are divided by r + 1, which is differentiated: forces must be the exact gradient of the
  energy. Of its authors' two codes one does the same, the other divides by r + 1e-8, detached from the gradient.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torchmdnet.models.utils import CosineCutoff

from tasks.models.base import AtomEmbedding
from tasks.models.graph import Graph, GraphPotential
from tasks.models.layers import EdgeLinear, Linear, radial_basis
from tasks.options.models import EGNNConfig, Head, PotentialConfig


class EGNNLayer(nn.Module):
    """One equivariant graph convolution, equations 3 to 6 of the paper."""

    def __init__(self, hidden: int, radial_features: int) -> None:
        super().__init__()
        self.edge_input = EdgeLinear(hidden, radial_features, hidden)
        self.edge_mlp = nn.Sequential(nn.SiLU(), Linear(hidden, hidden), nn.SiLU())
        to_scalar = Linear(hidden, 1, bias=False)
        # Small, as in the reference implementation: coordinate updates start near zero.
        nn.init.xavier_uniform_(to_scalar.weight, gain=0.001)
        self.coordinate_mlp = nn.Sequential(Linear(hidden, hidden), nn.SiLU(), to_scalar)
        self.node_mlp = nn.Sequential(Linear(2 * hidden, hidden), nn.SiLU(), Linear(hidden, hidden))

    def messages(self, h: Tensor, radial: Tensor, edges: Tensor, weight: Tensor | None) -> Tensor:
        """Messages m_ij (E, hidden), equation 3, weighted by the envelope if there is one."""
        receiver, sender = edges
        m = self.edge_mlp(self.edge_input(h, radial, receiver, sender))
        return m if weight is None else m * weight

    def coordinate_update(
        self, messages: Tensor, vectors: Tensor, distances: Tensor, receiver: Tensor, norm: Tensor
    ) -> Tensor:
        """Displacement of each atom (N, 3) in Å, equation 4 with normalised differences and mean aggregation."""
        shifts = vectors / (distances + 1.0) * self.coordinate_mlp(messages)
        total = shifts.new_zeros(norm.shape[0], 3).index_add(0, receiver, shifts)
        return total / norm

    def node_update(self, h: Tensor, messages: Tensor, receiver: Tensor) -> Tensor:
        """New node embeddings (N, hidden), equations 5 and 6, residual."""
        summed = torch.zeros_like(h).index_add(0, receiver, messages)
        return h + self.node_mlp(torch.cat([h, summed], dim=1))


class EGNN(GraphPotential):
    """E(n)-equivariant graph neural network whose forces are minus the gradient of its energy."""

    kind: ClassVar[str] = "egnn"
    title: ClassVar[str] = "EGNN"
    Config: ClassVar[type[PotentialConfig]] = EGNNConfig
    heads: ClassVar[tuple[Head, ...]] = ("force", "coordinate")
    conservative: ClassVar[bool] = True
    compiled_saves: ClassVar[float] = 0.45
    readout_modules: ClassVar[tuple[str, ...]] = ("readout",)

    def __init__(self, config: EGNNConfig) -> None:
        super().__init__(config)
        self.config = config
        self.basis = None
        if config.radial != "squared":
            self.basis = radial_basis(config, config.num_rbf, cutoff=config.radial == "expnorm")
        self.envelope = CosineCutoff(0.0, config.cutoff_A) if config.envelope else None
        self.embedding = AtomEmbedding(config.max_z, config.hidden)
        radial_features = 1 if self.basis is None else config.num_rbf
        self.layers = nn.ModuleList(EGNNLayer(config.hidden, radial_features) for _ in range(config.layers))
        norm: list[nn.Module] = [nn.LayerNorm(config.hidden)] if config.readout_norm else []
        self.readout = nn.Sequential(*norm, Linear(config.hidden, config.hidden), nn.SiLU(), Linear(config.hidden, 1))
        if config.readout_zero:
            for parameter in self.readout[-1].parameters():
                nn.init.zeros_(parameter)

    def _propagate(
        self, z: Tensor, pos: Tensor, graph: Graph, extra_args: dict[str, Tensor], last_update: bool
    ) -> tuple[Tensor, Tensor]:
        """Run all layers; the last coordinate update, on which no energy depends, only if asked for.

        Returns:
            Node embeddings (N, hidden) and displacements (N, 3) in Å.
        """
        receiver, sender = graph.edges
        first_vectors = graph.vectors(pos)
        weight, norm = self._aggregation(receiver, first_vectors, pos.shape[0])
        h = self.embedding(z, extra_args)
        shift = torch.zeros_like(pos)
        vectors = first_vectors
        for number, layer in enumerate(self.layers, start=1):
            assert isinstance(layer, EGNNLayer)
            squared = vectors.square().sum(dim=1, keepdim=True)
            distances = squared.sqrt()
            radial = self._radial(squared, distances)
            messages = layer.messages(h, radial, graph.edges, weight)
            h = layer.node_update(h, messages, receiver)
            if number < len(self.layers) or last_update:
                shift = shift + layer.coordinate_update(messages, vectors, distances, receiver, norm)
                vectors = first_vectors + shift.index_select(0, receiver) - shift.index_select(0, sender)
        return h, shift

    def _radial(self, squared: Tensor, distances: Tensor) -> Tensor:
        """How distances enter the messages, (E, F), from r² and r, each (E, 1)."""
        if self.basis is not None:
            return self.basis(distances.squeeze(1))
        return squared if self.config.radial_scale == 1 else self.config.radial_scale * squared

    def _aggregation(self, receiver: Tensor, vectors: Tensor, atoms: int) -> tuple[Tensor | None, Tensor]:
        """Weight of each message (E, 1) and divisor of each atom's mean (N, 1)."""
        if self.envelope is None:
            ones = vectors.new_ones(receiver.shape[0], 1)
            return None, vectors.new_zeros(atoms, 1).index_add(0, receiver, ones).clamp(min=1)
        # A count of neighbours would jump where an atom crosses the cutoff; the sum of envelopes does not.
        weight = self.envelope(vectors.norm(dim=1)).unsqueeze(1)
        return weight, 1.0 + vectors.new_zeros(atoms, 1).index_add(0, receiver, weight)

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
        """Energies and forces, which are minus the gradient; see ``GraphPotential.predict``."""

        def total(pos: Tensor) -> tuple[Tensor, Tensor]:
            h, _ = self._propagate(z, pos, graph, extra_args, last_update=False)
            atomic = self.readout(h)
            energies = atomic.new_zeros(samples, 1).index_add(0, batch, atomic)
            return energies.sum(), energies

        # In evaluation nothing is differentiated a second time.
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            gradient, energies = torch.func.grad(total, has_aux=True)(pos)
        return energies, -gradient

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
        """Output minus input coordinates (N, 3) in Å."""
        return self._propagate(z, pos, graph, extra_args, last_update=True)[1]

    @property
    def feature_width(self) -> int:
        """See ``Potential.feature_width``."""
        return self.config.hidden

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
        """Node embeddings (N, hidden) after all layers, which the readout turns into energies."""
        return self._propagate(z, pos, graph, extra_args, last_update=False)[0]
