"""What a pretext scores: vectors that the network has anyhow, or what the pretext's own head makes of its features."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from benchmark.streams import stream_seed
from benchmark.training.steps.parts import in_parts
from tasks.models.base import Potential
from tasks.models.graph import POINTERS
from tasks.pretexts.base import HeadedPretext, Pretext

Seen = tuple[Tensor, Tensor, Tensor, Tensor | None, dict[str, Tensor]]
"""z, pos, batch, box and ``extra_args`` of a network."""


def fresh_head(pretext: Pretext, potential: Potential, seed: int) -> nn.Module | None:
    """The pretext's own head, None where it trains vectors of the network.

    Its initial weights are of a stream of their own: those of the body are what they are in all arms of the seed.
    """
    if not isinstance(pretext, HeadedPretext):
        return None
    width = potential.feature_width
    if width is None:  # a suite with such an arm is refused before
        raise TypeError(f"{type(potential).__name__} offers no features for the head of {pretext.title}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "head"))
        return pretext.head(width)


def answer(pretext: Pretext, potential: Potential, head: nn.Module | None, seen: Seen, corrupted: Data) -> Tensor:
    """What the pretext's loss scores, of a corrupted batch and what the network sees of it."""
    if head is not None:
        found: Tensor = head(in_parts(potential.features, *seen), corrupted)
    else:
        assert pretext.vectors is not None
        found = in_parts(partial(potential.vectors, pretext.vectors), *seen)
    return found


def seen_by_network(corrupted: Data, batch: Batch) -> Seen:
    """What a network sees of a corrupted batch: z, pos, batch, box, and all else but the target."""
    seen = {k: v for k, v in corrupted.to_dict().items() if k not in ("z", "pos", "batch", "box", "target")}
    seen[POINTERS] = batch.ptr
    box = corrupted.box if "box" in corrupted else None
    return corrupted.z, corrupted.pos, corrupted.batch, box, seen
