"""A finetuning step on a GPU in each of its ways, against the plain one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch_geometric.data import Batch

from benchmark.training.steps.captured import CapturedStep
from benchmark.training.steps.checked import try_step
from benchmark.training.steps.compiled import compile_step
from performance import ours
from performance.plain.step import finetuning_step as plain_step
from performance.plain.weights import plain_of
from performance.rows import Finding, Row, Settings, of_pairs
from performance.steps import LARGE, PLAIN, edges_of
from performance.timing import Pairs, turns
from tasks.models.graph import GraphPotential

DEEP = {"hidden": 128, "layers": 10}
CASES: tuple[tuple[str, int, int, dict[str, Any]], ...] = (
    ("egnn", 16, 2, {"hidden": 48, "layers": 3}),
    ("egnn", 32, 10, LARGE),
    ("egnn", 258, 2, LARGE),
    ("gns", 32, 10, DEEP),
    ("gns", 258, 2, DEEP),
    ("forcenet", 32, 10, LARGE),
    ("forcenet", 258, 2, LARGE),
)
"""Network, molecules a frame, frames, options."""


class CannotBe(Exception):
    """A network's step cannot be computed in a way; why, in words."""


def _eager(potential: GraphPotential, batches: Callable[[], Batch]) -> Any:
    return ours.predictor(potential, lambda: ours.inputs_of(batches()), compiled=False)


def _captured(potential: GraphPotential, batches: Callable[[], Batch]) -> Any:
    if potential.mixes_samples:
        raise CannotBe("its batch norm ties the samples of a batch together")
    step, computed = try_step("captured", lambda: CapturedStep(potential, "predict"), lambda: ours.inputs_of(batches()))
    if step is None:
        raise CannotBe(computed.why)
    return step


def _compiled(potential: GraphPotential, batches: Callable[[], Batch]) -> Any:
    step, computed = compile_step(potential, "predict", lambda: ours.inputs_of(batches()))
    if step is None:
        raise CannotBe(computed.why)
    return step


WAYS: dict[str, Callable[[GraphPotential, Callable[[], Batch]], Any]] = {
    "eager": _eager,
    "captured": _captured,
    "compiled": _compiled,
}
"""What predicts in each way of computing a step."""


def compare(
    kind: str, molecules: int, frames: int, options: dict[str, Any], settings: Settings, ways: Sequence[str]
) -> Iterator[Finding]:
    """Steps of a network in several ways and the plain one, in turns; each has weights of its own, equal at first."""
    samples = ours.water(molecules, frames)
    potential = ours.network(kind, settings.device, **options)
    config: Any = potential.config
    batch = ours.collate(potential, samples, settings.device)
    size = f"{kind} {config.layers} × {config.hidden}, {frames} × {3 * molecules} atoms"
    actions = {"plain": plain_step(plain_of(kind, potential, config), batch)}
    for way in ways:
        network = ours.network(kind, settings.device, **options)
        assert isinstance(network, GraphPotential)
        batches = ours.loader(network, samples, settings.device)
        try:
            actions[way] = ours.step_of(network, batches, WAYS[way](network, batches))
        except CannotBe as error:
            print(f"gpu: {size}: not {way}: {error}", flush=True)
    times = dict(zip(actions, turns(list(actions.values()), settings.budget(5)), strict=True))
    details = {"edges": edges_of(batch, config.cutoff_A), "device": settings.device}
    plain = times.pop("plain")
    for way, spent in times.items():
        yield of_pairs(f"gpu-{way}", f"finetuning step, {size}: {way}", PLAIN, Pairs(spent, plain), None, **details)


def measure(settings: Settings) -> list[Finding]:
    """All networks and sizes in all ways.

    Raises:
        RuntimeError: without ``--device cuda``.
    """
    if settings.device != "cuda":
        raise RuntimeError("row gpu is measured on a GPU: give --device cuda")
    return [finding for case in CASES for finding in compare(*case, settings, tuple(WAYS))]


ROWS = (Row("gpu", "a step on a GPU: eager, captured, compiled", measure, long=True),)
