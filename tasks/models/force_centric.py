"""What force-centric potentials share: forces decoded per atom, the energy from pooled node embeddings."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from tasks.models.base import ROTATION
from tasks.models.graph import Graph, GraphPotential
from tasks.models.layers import mlp
from tasks.options.models import Head, PotentialConfig


class PooledEnergy(nn.Module):
    """E = N · MLP(mean of the node embeddings of a sample): the energy of N atoms is extensive.

    The paper (arXiv 2402.15921, section 2.4) says that an MLP predicts the energy from the node embeddings.
    """

    def __init__(self, hidden: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.mlp = mlp([hidden, hidden, 1], activation)

    def start_at_zero(self) -> None:
        """Let the first prediction be the reference energy: N times a random number would swamp the first steps."""
        last = self.mlp[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, h: Tensor, batch: Tensor, samples: int) -> Tensor:
        """Energies (samples, 1) of node embeddings (N, hidden)."""
        atoms = h.new_zeros(samples, 1).index_add(0, batch, h.new_ones(h.shape[0], 1))
        mean = h.new_zeros(samples, h.shape[1]).index_add(0, batch, h) / atoms
        return atoms * self.mlp(mean)


def turned(vectors: Tensor, sample: Tensor, extra_args: dict[str, Tensor], back: bool = False) -> Tensor:
    """Vectors (M, 3) of samples (M,) turned by the samples' rotations, or back by them; as they are without."""
    if ROTATION not in extra_args:
        return vectors
    rotation = extra_args[ROTATION].to(vectors.dtype).index_select(0, sample)
    return ((rotation.mT if back else rotation) @ vectors.unsqueeze(2)).squeeze(2)


class ForceCentric(GraphPotential):
    """A potential that decodes forces directly: they are not the gradient of its energy, and need not be equivariant.

    A subclass sets ``decoder`` (embeddings to 3 numbers an atom) and ``energy``, and computes the node embeddings.
    """

    heads: ClassVar[tuple[Head, ...]] = ("force",)
    conservative: ClassVar[bool] = False
    readout_modules: ClassVar[tuple[str, ...]] = ("decoder", "energy")

    config: PotentialConfig
    decoder: nn.Module
    energy: PooledEnergy

    @abc.abstractmethod
    def embed(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor,
        graph: Graph,
        box: Tensor | None,
        extra_args: dict[str, Tensor],
    ) -> Tensor:
        """Node embeddings (N, hidden) after all message passing."""

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
        """Energies and forces, both decoded; see ``GraphPotential.predict``."""
        h = self.embed(z, pos, batch, graph, box, extra_args)
        return self.energy(h, batch, samples), turned(self.decoder(h), batch, extra_args, back=True)

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
        """Node embeddings (N, hidden), from which energy and forces are decoded."""
        return self.embed(z, pos, batch, graph, box, extra_args)
