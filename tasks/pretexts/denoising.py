"""Coordinate denoising (arXiv 2402.15921, section 2.3; Zaidi et al. 2022, arXiv 2206.00133)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn.functional import mse_loss
from torch_geometric.data import Batch, Data

from tasks.options.pretexts import DenoisingConfig, NoiseRange, PretrainingConfig
from tasks.pretexts.base import Pretext


class Denoising(Pretext):
    """Gaussian noise on all coordinates, which the network predicts in units of its standard deviation.

    The unit makes the loss dimensionless (1 is what predicting nothing costs, whatever ``sd_A``) and the
    transferred outputs as large as the normalised forces that follow; the minimiser is the paper's. Where ``sd_A``
    has several values each structure has its own, in whose unit its noise is predicted; the network is not told which.
    """

    kind: ClassVar[str] = "denoising"
    title: ClassVar[str] = "denoising"
    Config: ClassVar[type[PretrainingConfig]] = DenoisingConfig

    def __init__(self, config: DenoisingConfig) -> None:
        self.config: DenoisingConfig = config

    def corrupt(self, batch: Batch, generator: Generator) -> Data:
        """Structures with displaced atoms and ``target`` (N, 3), the noise over ``sd_A`` (sign as configured)."""
        noise = torch.randn(batch.pos.shape, generator=generator, device=batch.pos.device, dtype=batch.pos.dtype)
        corrupted = Data(
            z=batch.z,
            pos=batch.pos + self._sd_A(batch, generator) * noise,
            batch=batch.batch,
            target=noise if self.config.target == "noise" else -noise,
        )
        if "box" in batch:
            corrupted.box = batch.box
        return corrupted

    def _sd_A(self, batch: Batch, generator: Generator) -> float | Tensor:
        """Standard deviation of the noise in Å: of all atoms, or (N, 1) where structures differ."""
        sd = self.config.sd_A
        if isinstance(sd, float):
            return sd
        draw = torch.rand(batch.num_graphs, generator=generator, device=batch.pos.device, dtype=batch.pos.dtype)
        if isinstance(sd, NoiseRange):
            scales = sd.low * (sd.high / sd.low) ** draw
        else:
            scales = draw.new_tensor(sd)[(draw * len(sd)).long().clamp(max=len(sd) - 1)]
        return scales[batch.batch].unsqueeze(1)

    def loss(self, prediction: Tensor, batch: Data) -> Tensor:
        """Mean squared error over all components, in units of the noise's variance."""
        return mse_loss(prediction, batch.target)
