"""What finetuning starts from: the forces that a potential predicts before its first step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from tasks.errors import EV_TO_MEV
from tasks.models.base import Potential


def handover(
    potential: Potential, samples: Sequence[Data], scale_eV: float, batch_size: int, device: str
) -> dict[str, float]:
    """Force errors on labelled frames that were not trained on, by the records' names.

    A pretext need not fix the scale of forces (a cosine does not), nor their sign: with predicted forces p and true
    ones t, all components of all frames as one vector each, these are |p| / |t|, p · t / (|p| |t|) and the RMSE. What
    is not finite, or has no direction, is left out.

    Args:
        potential: pretrained or fresh; it is left in the mode and on the device where it was.
        samples: normalised validation frames.
        scale_eV: the normalisation's scale, eV per normalised unit.
        batch_size: frames a batch.
        device: where to predict, ``cpu`` or ``cuda``.
    """
    training, home = potential.training, next(potential.parameters()).device
    potential.eval().to(device)
    predicted, true = [], []
    for batch in DataLoader(list(samples), batch_size=batch_size):
        batch = batch.to(device)
        _, forces = potential(batch.z, batch.pos, batch.batch, batch.box if "box" in batch else None)
        predicted.append(forces.detach().double().flatten())
        true.append(batch.neg_dy.double().flatten())
    potential.train(training).to(home)
    p, t = torch.cat(predicted), torch.cat(true)
    lengths = float(p.norm()), float(t.norm())
    found = {"handover_force_rmse_mev_per_A": scale_eV * EV_TO_MEV * float((p - t).square().mean().sqrt())}
    if lengths[1] > 0:
        found["handover_force_rms"] = lengths[0] / lengths[1]
    if 0 < lengths[0] < math.inf and lengths[1] > 0:
        found["handover_cosine"] = min(1.0, max(-1.0, float(p @ t) / lengths[0] / lengths[1]))
    return {name: value for name, value in found.items() if math.isfinite(value)}
