"""Distance denoising: how far apart were two atoms before they were displaced?"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch_geometric.data import Batch, Data
from torchmdnet.models.utils import ExpNormalSmearing

from tasks.models.layers import mlp
from tasks.options.pretexts import DenoisingConfig, DistanceDenoisingConfig, PretrainingConfig
from tasks.pretexts.base import HeadedPretext
from tasks.pretexts.denoising import Denoising
from tasks.pretexts.pairs import has_room, pairs_within

RADIAL_FUNCTIONS = 32


class PairHead(nn.Module):
    """One number for each pair, of the sum of its atoms' features and of its distance: the order does not matter."""

    def __init__(self, width: int, radius_A: float) -> None:
        super().__init__()
        self.basis = ExpNormalSmearing(0.0, radius_A, RADIAL_FUNCTIONS, trainable=False)
        self.mlp = mlp([width + RADIAL_FUNCTIONS, width, 1], nn.SiLU)

    def forward(self, features: Tensor, batch: Data) -> Tensor:
        """Answers (P, 1) of features (N, width), for ``pairs`` (2, P) with the noisy distances ``pair_A`` (P,)."""
        first, second = batch.pairs
        together = features.index_select(0, first) + features.index_select(0, second)
        answers: Tensor = self.mlp(torch.cat([together, self.basis(batch.pair_A)], dim=1))
        return answers


class DistanceDenoising(HeadedPretext):
    """Gaussian noise on all coordinates; the network tells for pairs of atoms how far apart they were without it.

    Pairs are those within ``radius_A`` in the noisy structure, which is all that is seen. The target is the change that
    leads back, true less noisy distance, over √2 ``sd_A``: that is its standard deviation where the noise is small
    against distances, and 1 then is what answering "no change" costs. Unlike the displacements that denoising asks for
    it has no direction, so that all networks can answer, invariant or not. Recovering distances from noisy structures
    is the idea of Liu, Guo and Tang (arXiv 2206.13602), who match scores over many scales of noise.
    """

    kind: ClassVar[str] = "distance-denoising"
    title: ClassVar[str] = "distance denoising"
    Config: ClassVar[type[PretrainingConfig]] = DistanceDenoisingConfig

    def __init__(self, config: DistanceDenoisingConfig) -> None:
        self.config: DistanceDenoisingConfig = config
        self._noise = Denoising(DenoisingConfig(sd_A=config.sd_A))

    @property
    def requirement(self) -> str:
        """See `PretrainingTask.requirement`."""
        return f"two atoms and, if it is periodic, a box at least {2 * self.config.radius_A:g} Å wide"

    def applies_to(self, sample: Data) -> bool:
        """Whether there is a pair, and each has one distance."""
        return has_room(self.config.radius_A, sample)

    def head(self, width: int) -> PairHead:
        """See `HeadedPretext.head`."""
        return PairHead(width, self.config.radius_A)

    def corrupt(self, batch: Batch, generator: Generator) -> Data:
        """Displaced structures with ``pairs`` (2, P), their distances ``pair_A`` (P,) and ``target`` (P, 1)."""
        corrupted = self._noise.corrupt(batch, generator)
        shift = self.config.sd_A * corrupted.target
        corrupted.pairs, vectors = pairs_within(self.config.radius_A, corrupted)
        first, second = corrupted.pairs
        corrupted.pair_A = vectors.norm(dim=1)
        change = (vectors - (shift[first] - shift[second])).norm(dim=1) - corrupted.pair_A
        corrupted.target = (change / (math.sqrt(2) * self.config.sd_A)).unsqueeze(1)
        return corrupted

    def loss(self, prediction: Tensor, batch: Data) -> Tensor:
        """Mean squared error over the pairs, in units of the change's variance; zero where there is no pair."""
        return (prediction - batch.target).square().sum() / max(len(batch.target), 1)
