"""How a fit's training steps are computed: compiled on a CPU, captured on a GPU, or eagerly with a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmark.training.steps.captured import CapturedStep
from benchmark.training.steps.checked import CheckedStep, Computed, Way, try_step
from benchmark.training.steps.compiled import compile_step, write_measured
from tasks.models.base import Potential
from tasks.models.graph import GraphPotential


def fastest_way(network: type[Potential], device: str) -> Way:
    """How the steps of a network are computed where they are not to be eager."""
    if not issubclass(network, GraphPotential):
        return "eager"
    return "captured" if device == "cuda" and not network.mixes_samples else "compiled"


def prepare_step(
    potential: Potential, name: str, function: str, batch: Callable[[], tuple[Any, ...]]
) -> tuple[CheckedStep | None, Computed]:
    """The step of a fit, checked against the eager one, or None where it has to be eager, and why.

    Args:
        potential: in training mode, on its device.
        name: which of its functions: ``predict``, ``displace`` or ``represent``.
        function: what a step computes; see ``function_of``.
        batch: gives z, pos, batch, box and extra_args of a batch.
    """
    way = fastest_way(type(potential), next(potential.parameters()).device.type)
    if way == "captured":
        assert isinstance(potential, GraphPotential)
        graphed = potential
        step, computed = try_step(way, lambda: CapturedStep(graphed, name), batch)
    else:
        step, computed = compile_step(potential, name, batch)
    if step is not None:
        write_measured(function, computed)
    return step, computed
