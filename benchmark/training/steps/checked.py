"""A training step computed in another way than eagerly, and checked against the eager one before it is used."""

from __future__ import annotations

import abc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from tasks.models.graph import EDGES, POINTERS, SHIFTS, Graph, GraphPotential, samples_of

Way = Literal["eager", "compiled", "captured"]
"""How a fit's training steps are computed; the values of a record's column ``computed``."""

WORDS: dict[Way, str] = {"compiled": "the compiler", "captured": "capturing the step"}

TOLERANCE = 1e-3
"""How far energies, forces and gradients of parameters may be from eager ones, relative to the largest of each: sums of
float32 in another order are off by some 1e-6, second derivatives of deep networks by up to 1e-4."""

Inputs = tuple[Tensor, Tensor, Tensor, int, Graph, Tensor | None, dict[str, Tensor]]
"""What ``GraphPotential.predict`` takes."""


@dataclass(frozen=True)
class Computed:
    """How a fit is computed, why eagerly if so; what preparing and checking took, s; eager time over this way's."""

    way: Way
    why: str = ""
    seconds: float = 0.0
    speedup: float = 1.0


class CheckedStep(abc.ABC):
    """One of a potential's functions in training, computed in another way; batches that it is not for eagerly.

    Args:
        potential: whose function it is; its weights may change.
        name: ``predict``, ``displace`` or ``represent``.
    """

    def __init__(self, potential: GraphPotential, name: str) -> None:
        self._potential = potential
        self.eager: Callable[..., Any] = getattr(potential, name)

    def __call__(self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, extra_args: dict[str, Tensor]) -> Any:
        """What the function returns for a batch; see ``GraphPotential.forward``."""
        inputs = self.inputs(z, pos, batch, box, extra_args)
        return self.other(*inputs) if self.takes(inputs) else self.eager(*inputs)

    def inputs(
        self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, extra_args: dict[str, Tensor]
    ) -> Inputs:
        """The function's arguments; neighbours are searched if the batch has no graph."""
        graph = self._potential.graph(pos, batch, box, extra_args)
        seen = {name: value for name, value in extra_args.items() if name not in (EDGES, SHIFTS, POINTERS)}
        return z, pos, batch, samples_of(batch, box, extra_args), graph, box, seen

    @abc.abstractmethod
    def takes(self, inputs: Inputs) -> bool:
        """Whether a batch is of the sort that can be computed in the other way."""

    @abc.abstractmethod
    def other(self, *inputs: Any) -> Any:
        """The function in the other way."""

    def check(self, inputs: Inputs) -> str | None:
        """Prepare the other way, and compare with the eager one on a batch; what differs, in words, or None.

        Weights, buffers and gradients are left as they were.
        """
        if not self.takes(inputs):
            return "the first batch is a single atom or has no edges"
        eager = self._results(self.eager, inputs)
        return disagreement(eager, self._results(self.other, inputs))

    def measure(self, inputs: Inputs) -> float:
        """Time of an eager step over that of the other way: medians, in alternation, three of each."""
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for other in [True, False] * 3:
            started = time.perf_counter()
            found = self._results(self.other if other else self.eager, inputs)
            float(found["output 0"].sum())  # waits for the device
            seconds[other].append(time.perf_counter() - started)
        return statistics.median(seconds[False]) / statistics.median(seconds[True])

    def _results(self, function: Callable[..., Any], inputs: Inputs) -> dict[str, Tensor]:
        """Outputs and gradients of a fixed function of them, by name; buffers (running means) stay as they are."""
        buffers = [buffer.clone() for buffer in self._potential.buffers()]
        outputs = function(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        named = [(name, weight) for name, weight in self._potential.named_parameters() if weight.requires_grad]
        total = sum(output.square().mean() for output in outputs)
        gradients = torch.autograd.grad(total, [weight for _, weight in named], allow_unused=True)
        with torch.no_grad():
            for buffer, before in zip(self._potential.buffers(), buffers, strict=True):
                buffer.copy_(before)
        # What a captured graph returned it overwrites the next time: kept are copies.
        found = {f"output {number}": output.detach().clone() for number, output in enumerate(outputs)}
        pairs = zip(named, gradients, strict=True)
        return found | {f"gradient of {name}": value.clone() for (name, _), value in pairs if value is not None}


def try_step(
    way: Way, make: Callable[[], CheckedStep], batch: Callable[[], tuple[Any, ...]]
) -> tuple[CheckedStep | None, Computed]:
    """Prepare a step in another way, check and time it, or say why not: training goes on without it.

    Args:
        way: its name.
        make: gives the step.
        batch: gives z, pos, batch, box and extra_args of a batch.
    """
    started = time.perf_counter()
    try:
        step = make()
        inputs = step.inputs(*batch())
        wrong = step.check(inputs)
    except Exception as error:  # whatever a compiler or a driver may raise
        text = str(error).splitlines()
        wrong = f"{WORDS[way]} failed: {type(error).__name__}: {text[0] if text else ''}"
    seconds = time.perf_counter() - started
    if wrong is not None:
        return None, Computed("eager", wrong, seconds)
    return step, Computed(way, seconds=seconds, speedup=step.measure(inputs))


def disagreement(eager: dict[str, Tensor], other: dict[str, Tensor]) -> str | None:
    """The first result that differs by more than `TOLERANCE`, in words, or None.

    Gradients are compared with the largest of all gradients: that of a parameter may vanish but for rounding.
    """
    largest = max((float(v.abs().max()) for name, v in eager.items() if name.startswith("gradient")), default=0.0)
    for name, expected in eager.items():
        scale = largest if name.startswith("gradient") else float(expected.abs().max())
        # A gradient that is zero everywhere may be left out by one of the two.
        error = float((other.get(name, torch.zeros_like(expected)) - expected).abs().max())
        if not error <= TOLERANCE * max(scale, 1e-12):
            return f"{name} differs from the eager one by {error:.1e}, of {scale:.1e}"
    return None
