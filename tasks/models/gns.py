"""GNS, the graph network simulator, force-centric (Sanchez-Gonzalez et al. 2020, arXiv 2002.09405).

Encode, process, decode: node and edge encoders, ``layers`` message-passing steps with weights of their own and residual
connections, a decoder; MLPs have two hidden layers and, but for the decoder's, a LayerNorm at their end. Edges carry
the displacement and the distance over the cutoff. Translations change nothing; rotations do: the network learns
directions as they are. Weights start as in the original's library (Sonnet): a normal distribution of sd
1 / √inputs cut at two sd, no bias; an edge's first layer is three such maps, of its two ends and its features.
The original's noise on its input is no part of the suite's training; rotations of the frames are where a suite asks for
them.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from tasks.geometry import wrap
from tasks.models.base import AtomEmbedding
from tasks.models.force_centric import ForceCentric, PooledEnergy, turned
from tasks.models.graph import Graph
from tasks.models.layers import EdgeLinear, mlp, radial_basis
from tasks.options.models import GNSConfig, PotentialConfig


class GNSLayer(nn.Module):
    """One step: new edges from their ends, new nodes from the sum of their new edges (paper, section 3.2)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.edge_input = EdgeLinear(hidden, hidden, hidden)
        self.edge_mlp = nn.Sequential(nn.ReLU(), mlp([hidden] * 3, nn.ReLU, norm=True))
        self.node_mlp = mlp([2 * hidden, hidden, hidden, hidden], nn.ReLU, norm=True)

    def forward(self, h: Tensor, e: Tensor, receiver: Tensor, sender: Tensor) -> tuple[Tensor, Tensor]:
        """New nodes (N, hidden) and edges (E, hidden), both residual."""
        messages = self.edge_mlp(self.edge_input(h, e, receiver, sender))
        summed = torch.zeros_like(h).index_add(0, receiver, messages)
        return h + self.node_mlp(torch.cat([h, summed], dim=1)), e + messages


class GNS(ForceCentric):
    """Graph network simulator that decodes a force on each atom."""

    kind: ClassVar[str] = "gns"
    title: ClassVar[str] = "GNS"
    compiled_saves: ClassVar[float] = 0.2
    Config: ClassVar[type[PotentialConfig]] = GNSConfig

    config: GNSConfig

    def __init__(self, config: GNSConfig) -> None:
        super().__init__(config)
        self.config = config
        hidden = config.hidden
        self.embedding = AtomEmbedding(config.max_z, hidden)
        node_features = hidden + 3 * config.absolute_positions
        self.node_encoder = mlp([node_features, hidden, hidden, hidden], nn.ReLU, norm=True)
        self.basis = radial_basis(config, config.num_rbf) if config.radial == "expnorm" else None
        edge_features = 3 + (1 if self.basis is None else config.num_rbf)
        self.edge_encoder = mlp([edge_features, hidden, hidden, hidden], nn.ReLU, norm=True)
        self.layers = nn.ModuleList(GNSLayer(hidden) for _ in range(config.layers))
        self.decoder = mlp([hidden, hidden, hidden, 3], nn.ReLU)
        self.energy = PooledEnergy(hidden, nn.ReLU)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                sd = 1 / math.sqrt(module.in_features)
                nn.init.trunc_normal_(module.weight, std=sd, a=-2 * sd, b=2 * sd)
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
        """Node embeddings (N, hidden) after all steps."""
        receiver, sender = graph.edges
        vectors = turned(graph.vectors(pos), batch.index_select(0, receiver), extra_args)
        distances = vectors.norm(dim=1)
        features = self.embedding(z, extra_args)
        if self.config.absolute_positions:
            wrapped = pos if box is None else wrap(pos, box.reshape(-1, 3, 3)[batch])
            wrapped = turned(wrapped, batch, extra_args)
            features = torch.cat([features, wrapped / self.config.cutoff_A], dim=1)
        h = self.node_encoder(features)
        radial = distances.unsqueeze(1) / self.config.cutoff_A if self.basis is None else self.basis(distances)
        e = self.edge_encoder(torch.cat([vectors / self.config.cutoff_A, radial], dim=1))
        for layer in self.layers:
            h, e = layer(h, e, receiver, sender)
        return h
