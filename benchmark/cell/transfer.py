"""What finetuning takes over of a pretrained network: everything or its body, at the right scale or shuffled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from benchmark.planning.strategies import Transfer
from benchmark.streams import stream_seed
from tasks.models.base import Potential

SCALING_FRAMES = 64
"""Training frames on which the scale of the predicted forces is measured, evenly spaced: some thousand components."""


def take_over(
    potential: Potential,
    state: dict[str, Tensor],
    transfer: Transfer,
    training: Sequence[Data],
    batch_size: int,
    seed: int,
) -> float | None:
    """Give a fresh potential the weights of a pretrained one, or a part of them; see the strategy's ``transfer``.

    Args:
        potential: with its initial weights, which the readout keeps where only the body is taken over.
        state: the pretrained weights.
        transfer: what is taken over.
        training: normalised samples of the training set, whose forces have a root mean square of 1.
        batch_size: frames predicted at a time.
        seed: the cell's, for the order of shuffled weights.

    Returns:
        The factor on energies and forces, where they are scaled.

    Raises:
        ValueError: where all predicted forces are zero, or some are not finite.
    """
    if transfer in ("body", "shuffled"):
        body = potential.body(state)
        if transfer == "shuffled":
            weights = {name for name, _ in potential.named_parameters()}
            body |= _shuffled({name: value for name, value in body.items() if name in weights}, seed)
        potential.load_state_dict(body, strict=False)
        return None
    potential.load_state_dict(state)
    if transfer == "all":
        return None
    rms = _force_rms(potential, training, batch_size)
    if not np.isfinite(rms) or rms == 0:
        raise ValueError(f"transfer 'scaled': the pretrained forces have a root mean square of {rms}; use 'body'")
    potential.scale_output(1 / rms)
    return 1 / rms


def _shuffled(weights: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """The same numbers in another order: in every row (the weights of one output, the embedding of one element), and
    where rows have a single number (the weights on r²) along the column.

    In the spirit of drawing weights with the statistics of pretrained ones (Raghu et al., arXiv 1902.07208).
    """
    generator = torch.Generator().manual_seed(stream_seed(seed, "shuffle"))

    def shuffle(value: Tensor) -> Tensor:
        if value.ndim == 0:
            return value
        dim = -1 if value.shape[-1] > 1 else 0
        return value.gather(dim, torch.rand(value.shape, generator=generator).argsort(dim=dim))

    return {name: shuffle(value) for name, value in weights.items()}


def _force_rms(potential: Potential, training: Sequence[Data], batch_size: int) -> float:
    """Root mean square of the predicted force components, normalised, in the potential's evaluation mode."""
    chosen = np.unique(np.linspace(0, len(training) - 1, min(SCALING_FRAMES, len(training))).round().astype(int))
    potential.eval()
    squares, components = 0.0, 0
    for first in range(0, len(chosen), batch_size):
        batch = Batch.from_data_list([training[i] for i in chosen[first : first + batch_size]])
        box = batch.box if "box" in batch else None
        forces = potential(batch.z, batch.pos, batch=batch.batch, box=box)[1].detach().double()
        squares += float(forces.square().sum())
        components += forces.numel()
    potential.train()
    return float((squares / components) ** 0.5)
