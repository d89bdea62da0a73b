"""A loss that is not finite: what it is called, and how it is found without a GPU being waited for."""

from __future__ import annotations

import math

from torch import Tensor, stack

WATCHED_STEPS = 64
"""After so many steps on a GPU it is seen whether a loss was not finite."""


class Diverged(ArithmeticError):
    """A loss that is NaN or infinite; the message says where.

    Attributes:
        steps: optimizer steps that were made before.
    """

    def __init__(self, what: str, loss: float, step: int, epoch: int) -> None:
        super().__init__(f"the {what} loss became {loss} at step {step + 1}, epoch {epoch + 1}")
        self.steps = step


class Watch:
    """Sees to it that a loss which is not finite ends a fit, without waiting for a GPU in every step.

    Losses are looked at a number of steps together, and before anything is saved: ``check`` must be called at the end
    of an epoch.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._first = 0

    def note(self, loss: Tensor, step: int, epoch: int) -> None:
        """Take the loss of a step into account; on a CPU, where it costs nothing, at once.

        Raises:
            Diverged: naming the first step whose loss is not finite.
        """
        if not self._losses:
            self._first = step
        self._losses.append(loss.detach())
        if not loss.is_cuda or len(self._losses) == WATCHED_STEPS:
            self.check(epoch)

    def check(self, epoch: int) -> None:
        """Look at all losses that were not looked at yet.

        Raises:
            Diverged: naming the first step whose loss is not finite.
        """
        losses = stack(self._losses).tolist() if self._losses else []
        self._losses.clear()
        for number, loss in enumerate(losses):
            if not math.isfinite(loss):
                raise Diverged("training", loss, self._first + number, epoch)
