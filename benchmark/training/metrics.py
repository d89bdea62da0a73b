"""Means of losses that are exact over a split; errors are those of ``tasks.errors``."""

from __future__ import annotations

from torch import Tensor


class ExactMean:
    """Mean of batch losses weighted by what each of them averaged over."""

    def __init__(self) -> None:
        self._total: Tensor | None = None
        self._weight = 0

    def update(self, mean: Tensor, weight: int) -> None:
        """Add a batch's mean loss over ``weight`` terms."""
        value = mean.detach().double() * weight
        self._total = value if self._total is None else self._total + value
        self._weight += weight

    def compute(self) -> float:
        """The mean over all terms of all batches; NaN if there was none."""
        return float("nan") if self._total is None else float(self._total) / self._weight
