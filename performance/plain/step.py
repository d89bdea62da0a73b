"""A plain training step: neighbours on the CPU, forward, forces, loss, backward, optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]


def finetuning_step(
    network: nn.Module, batch: Any, force_weight: float = 1.0, energy_weight: float = 0.01
) -> Callable[[], float]:
    """A function that makes one step on a batch of labelled structures and returns the loss.

    Args:
        network: a plain network in training.
        batch: with z, pos, batch, y (B, 1), neg_dy (N, 3), and box if periodic.
        force_weight: of the mean squared error of force components.
        energy_weight: of that of the energies.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)
    box = batch.box if "box" in batch else None

    def step() -> float:
        optimizer.zero_grad()
        energy, force = network(batch.z, batch.pos, batch.batch, box)
        loss = force_weight * (force - batch.neg_dy).square().mean()
        loss = loss + energy_weight * (energy - batch.y.float()).square().mean()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step
