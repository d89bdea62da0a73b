"""ForceNet, force-centric (Hu et al. 2021, arXiv 2103.01436).

Atoms enter by nine properties of their element, edges by spherical harmonics of their direction times sines of their
length (the basis ``sphallmul``); messages are filtered by an MLP of the edge and both its ends, weighted by a
cosine that falls to zero at the cutoff. Translations change nothing; rotations do.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from e3nn.o3 import spherical_harmonics
from torch import Tensor, nn

from tasks.models.base import MaskEmbedding
from tasks.models.elements import PROPERTIES, covalent_radii_A, element_properties
from tasks.models.force_centric import ForceCentric, PooledEnergy, turned
from tasks.models.graph import Graph
from tasks.models.layers import EdgeLinear, Linear
from tasks.options.models import ForceNetConfig, PotentialConfig

OXYGEN = 8
N_LENGTHS = 4
"""r, r − R_i, r − R_j and r − R_i − R_j, with the covalent radii R of an edge's ends."""


class SineBasis(nn.Module):
    """sin(1.1^k x) of each of F features for k = 0, 1, ...: (M, F) to (M, F · frequencies)."""

    frequency: Tensor

    def __init__(self, frequencies: int) -> None:
        super().__init__()
        self.register_buffer("frequency", 1.1 ** torch.arange(frequencies, dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Sines of all features at all frequencies."""
        return torch.sin(x.unsqueeze(2) * self.frequency).flatten(1)


class ForceNetLayer(nn.Module):
    """One interaction block (paper, equations 2 to 4): filtered messages, a self term, a node MLP; residual."""

    def __init__(self, hidden: int, edge_features: int) -> None:
        super().__init__()
        self.edge_input = EdgeLinear(hidden, edge_features, hidden)
        self.filter = nn.Sequential(nn.SiLU(), Linear(hidden, hidden), nn.SiLU(), Linear(hidden, hidden))
        self.linear = Linear(hidden, hidden)
        self.self_weight = nn.Parameter(torch.empty(1, hidden))
        self.node_mlp = nn.Sequential(Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.SiLU(), Linear(hidden, hidden))
        nn.init.xavier_uniform_(self.self_weight)

    def forward(self, h: Tensor, basis: Tensor, weight: Tensor, receiver: Tensor, sender: Tensor) -> Tensor:
        """New nodes (N, hidden) of nodes, edge basis (E, F) and envelope (E, 1)."""
        filters = self.filter(self.edge_input(h, basis, receiver, sender)) * weight
        x = self.linear(h)
        messages = torch.zeros_like(h).index_add(0, receiver, x.index_select(0, sender) * filters)
        return h + self.node_mlp(messages + self.self_weight * x)


class ForceNet(ForceCentric):
    """Graph network with directional filters that decodes a force on each atom."""

    kind: ClassVar[str] = "forcenet"
    title: ClassVar[str] = "ForceNet"
    mixes_samples: ClassVar[bool] = True
    Config: ClassVar[type[PotentialConfig]] = ForceNetConfig

    config: ForceNetConfig
    properties: Tensor
    radii: Tensor

    def __init__(self, config: ForceNetConfig) -> None:
        super().__init__(config)
        self.config = config
        hidden = config.hidden
        self.register_buffer("properties", element_properties(config.max_z))
        self.register_buffer("radii", covalent_radii_A(config.max_z))
        self.sines = SineBasis(config.frequencies)
        self.embedding = Linear(len(PROPERTIES) * config.frequencies, hidden)
        self.mask = MaskEmbedding(hidden)
        self.lengths = Linear(N_LENGTHS * config.frequencies, N_LENGTHS)
        edge_features = N_LENGTHS * config.degrees**2
        self.layers = nn.ModuleList(ForceNetLayer(hidden, edge_features) for _ in range(config.layers))
        self.output = nn.Sequential(Linear(hidden, hidden), nn.SiLU())
        self.decoder = nn.Sequential(Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.SiLU(), Linear(hidden, 3))
        self.energy = PooledEnergy(hidden, nn.SiLU)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.energy.start_at_zero()

    def embed(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor,
        graph: Graph,
        box: Tensor | None,
        extra_args: dict[str, Tensor],
    ) -> Tensor:
        """Node embeddings (N, hidden) after all blocks."""
        if self.config.species == "all-oxygen":
            z = torch.full_like(z, OXYGEN)
        receiver, sender = graph.edges
        vectors = turned(graph.vectors(pos), batch.index_select(0, receiver), extra_args)
        distances = vectors.norm(dim=1)
        basis = self._edge_basis(z, receiver, sender, distances, vectors)
        weight = torch.cos(0.5 * math.pi * distances / self.config.cutoff_A).unsqueeze(1)
        h = self.mask.added_to(self.embedding(self.sines(self.properties[z])), extra_args)
        for layer in self.layers:
            h = layer(h, basis, weight, receiver, sender)
        return self.output(h)

    def _edge_basis(self, z: Tensor, receiver: Tensor, sender: Tensor, distances: Tensor, vectors: Tensor) -> Tensor:
        """Spherical harmonics of the direction times four learned functions of the length, (E, 4 · degrees²)."""
        radius_i, radius_j = self.radii[z[receiver]], self.radii[z[sender]]
        lengths = [distances, distances - radius_i, distances - radius_j, distances - radius_i - radius_j]
        scaled = (torch.stack(lengths, dim=1) / self.config.cutoff_A).clamp(min=1e-3)
        angular = spherical_harmonics(
            list(range(self.config.degrees)), vectors, normalize=True, normalization="integral"
        )
        return (angular.unsqueeze(2) * self.lengths(self.sines(scaled)).unsqueeze(1)).flatten(1)
