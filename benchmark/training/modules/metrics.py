"""Means of losses that are exact over a split; errors are those of ``tasks.errors``."""

from __future__ import annotations

import torch
from torch import Tensor

WAITING = 64
"""Batches whose means are kept before they are summed."""


class ExactMean:
    """Mean of batch losses weighted by what each of them averaged over."""

    def __init__(self) -> None:
        self._total: Tensor | None = None
        self._weight = 0
        self._waiting: list[tuple[Tensor, int]] = []

    def update(self, mean: Tensor, weight: int) -> None:
        """Add a batch's mean loss over ``weight`` terms."""
        self._waiting.append((mean.detach(), weight))
        if len(self._waiting) == WAITING:
            self._add()

    def _add(self) -> None:
        """Sum what is waiting, in float64."""
        means, weights = zip(*self._waiting, strict=True)
        self._waiting.clear()
        values = torch.stack(means).double()
        added = (values * values.new_tensor(weights)).sum()
        self._total = added if self._total is None else self._total + added
        self._weight += sum(weights)

    def compute(self) -> float:
        """The mean over all terms of all batches; NaN if there was none."""
        if self._waiting:
            self._add()
        return float("nan") if self._total is None else float(self._total) / self._weight
