"""Training steps against plain ones with the same weights on the same frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch_geometric.data import Batch

from performance import ours
from performance.plain.graph import neighbour_list
from performance.plain.masking import direction_loss, masked_batch
from performance.plain.step import finetuning_step
from performance.plain.weights import plain_of
from performance.rows import Finding, Row, Settings, of_pairs
from performance.timing import alternate

PLAIN = "a plain step: edge MLPs on concatenations, neighbours on the CPU in every step"
RATIO = 0.5
LARGE = {"hidden": 128, "layers": 5}


def edges_of(batch: Batch, cutoff: float) -> int:
    """Directed edges of a batch."""
    return len(neighbour_list(batch.pos, batch.batch, batch.box, cutoff).i)


def _compare(
    kind: str, molecules: int, frames: int, wanted: float, budget_s: float, options: dict[str, Any], settings: Settings
) -> Finding:
    """A finetuning step of a network on boxes of water."""
    samples = ours.water(molecules, frames)
    potential = ours.network(kind, settings.device, **options)
    config: Any = potential.config
    plain = plain_of(kind, potential, config)
    batches = ours.loader(potential, samples, settings.device)
    batch = batches()
    other = finetuning_step(plain, batch)
    pairs = alternate(ours.finetuning_step(potential, batches, compiled=True), other, settings.budget(budget_s))
    eager = alternate(ours.finetuning_step(potential, batches), other, settings.budget(budget_s / 2))
    what = f"finetuning step, {kind} {config.layers} × {config.hidden}, {frames} × {3 * molecules} atoms"
    details = {"edges": edges_of(batch, config.cutoff_A), "threads": settings.threads, "device": settings.device}
    details |= {"eager_ratio": eager.ratio}
    return of_pairs(_name(kind, molecules, frames, config), what, PLAIN, pairs, wanted, **details)


def _name(kind: str, molecules: int, frames: int, config: Any) -> str:
    return f"{kind}-{config.layers}x{config.hidden}-{frames}x{3 * molecules}"


def _finetuning(*cases: tuple[str, int, int, float, float, dict[str, Any]]) -> Callable[[Settings], list[Finding]]:
    def measure(settings: Settings) -> list[Finding]:
        return [_compare(*case, settings) for case in cases]

    return measure


def _pretraining(molecules: int, frames: int, settings: Settings) -> list[Finding]:
    """A masking step, and what masking itself costs."""
    samples = ours.water(molecules, frames, density_g_per_cm3=0.965)
    pretext = ours.masking(RATIO)
    potential = ours.network("egnn", settings.device, **LARGE)
    plain = plain_of("egnn", potential, potential.config)
    batches = ours.loader(potential, samples, settings.device)
    step = ours.pretraining_step(potential, pretext, batches, settings.device, compiled=True)
    update = torch.optim.AdamW(plain.parameters(), lr=1e-5)

    def other() -> float:
        masked = masked_batch(samples, RATIO).to(settings.device)
        update.zero_grad()
        prediction = plain(masked.z, masked.pos, masked.batch, masked.box, masked.mask_label)[1]
        loss = direction_loss(prediction, masked)
        loss.backward()
        update.step()
        return float(loss.detach())

    against = "the plain step, masked sample by sample in the data loader"
    size = f"{frames} × {3 * molecules} atoms"
    whole = alternate(step, other, settings.budget(60), warm_up=1, fewest=3)
    corrupt = ours.corruption(pretext, batches, settings.device)
    alone = alternate(corrupt, partial(masked_batch, samples, RATIO), settings.budget(5))
    return [
        of_pairs("pretraining", f"pretraining step with corruption, egnn 5 × 128, {size}", against, whole, 5.0),
        of_pairs("corruption", f"the corruption alone, {size}", "masking sample by sample", alone, None),
    ]


def _subnormal(settings: Settings) -> list[Finding]:
    """What the mode of the processor is worth that takes numbers too small to be normal for zero."""
    findings = []
    for kind, options in (("egnn", {"hidden": 48, "layers": 3}), ("gns", {"hidden": 64, "layers": 2})):
        potential = ours.network(kind, settings.device, radial="expnorm", num_rbf=64, **options)
        step = ours.finetuning_step(
            potential, ours.loader(potential, ours.water(16, 2), settings.device), compiled=True
        )

        def kept(step: ours.Step = step) -> None:
            torch.set_flush_denormal(False)
            step()
            torch.set_flush_denormal(True)

        pairs = alternate(step, kept, settings.budget(10))
        what = (
            f"finetuning step, {kind} {options['layers']} × {options['hidden']} with 64 radial functions, 2 × 48 atoms"
        )
        findings.append(of_pairs("subnormal", what, "the same, such numbers kept", pairs, None))
    return findings


def _products(settings: Settings) -> list[Finding]:
    """Share of a step's time in matrix products of which a side is as long as the list of edges."""
    potential = ours.network("egnn", settings.device, **LARGE)
    batches = ours.loader(potential, ours.water(32, 10), settings.device)
    batch = batches()
    step = ours.finetuning_step(potential, batches, compiled=True)
    config: Any = potential.config
    edges = edges_of(batch, config.cutoff_A)
    for _ in range(2):
        step()
    activities = [torch.profiler.ProfilerActivity.CPU]
    if settings.device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities, record_shapes=True) as profile:
        for _ in range(2 if settings.quick else 5):
            step()
    events = profile.key_averages(group_by_input_shape=True)
    spent = "self_device_time_total" if settings.device == "cuda" else "self_cpu_time_total"
    total = sum(getattr(event, spent) for event in events)
    products = sum(
        getattr(event, spent)
        for event in events
        if event.key in ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")
        and any(size == edges for shape in event.input_shapes for size in shape)
    )
    what = "time in edge-sized matrix products, egnn 5 × 128, 10 × 96 atoms"
    return [Finding("products", what, "the whole step", products / total, "", 0.8, details={"edges": edges})]


ROWS = (
    Row(
        "egnn-quick",
        "finetuning step of EGNN at scale quick",
        _finetuning(("egnn", 16, 2, 3.0, 10, {"hidden": 48, "layers": 3})),
    ),
    Row(
        "egnn",
        "finetuning step of EGNN 5 × 128",
        _finetuning(("egnn", 32, 10, 2.5, 30, LARGE), ("egnn", 258, 2, 2.5, 60, LARGE)),
    ),
    Row("gns", "finetuning step of GNS 10 × 128", _finetuning(("gns", 32, 10, 2.5, 30, {"hidden": 128, "layers": 10}))),
    Row("forcenet", "finetuning step of ForceNet 5 × 128", _finetuning(("forcenet", 32, 10, 2.5, 30, LARGE))),
    Row("pretraining", "pretraining step with corruption, 774 atoms", partial(_pretraining, 258, 2)),
    Row("subnormal", "finetuning step with many radial functions, subnormal numbers taken for zero", _subnormal),
    Row("products", "share of edge-sized matrix products", _products),
)
