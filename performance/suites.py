"""What a suite costs at its large scales, from steps measured here: Σ over fits of steps × seconds a step."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.planning.cells import Work
from benchmark.planning.frames import count_training_frames
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite
from performance import ours
from performance.rows import Finding, Row, Settings
from performance.timing import medians

SECONDS_A_DAY = 86400


@dataclass(frozen=True)
class Share:
    """All fits of one network on one size of batch.

    Attributes:
        kind: of the network.
        steps: optimizer steps in all of them.
        step_s: seconds of one.
    """

    kind: str
    steps: int
    step_s: float


def days(shares: Iterable[Share], workers: int) -> float:
    """Days for all steps with so many workers that are always busy and do not hinder each other."""
    return sum(share.steps * share.step_s for share in shares) / workers / SECONDS_A_DAY


def _fits(name: str, scale: str) -> list[Work]:
    """Pretrainings and cells of a suite, each pretraining once."""
    cells = make_plan(load_suite(name, scale))
    pretrainings = {cell.pretraining.key: cell.pretraining for cell in cells if cell.pretraining}
    return [*pretrainings.values(), *cells]


def count_steps(fits: Iterable[Work]) -> dict[tuple[str, int, str], int]:
    """Optimizer steps by network, frames a step and the network's options."""
    steps: dict[tuple[str, int, str], int] = defaultdict(int)
    for work in fits:
        frames = sum(count_training_frames(part, work.seed, Path()) or 0 for part in work.trains_on)
        place = (work.model.kind, work.batch_size, work.model.model_dump_json())
        steps[place] += math.ceil(work.phase.epochs * frames / work.batch_size)
    return dict(steps)


def measure(scale: str, settings: Settings) -> list[Finding]:
    """Suite `tip3p`, whose frames can be counted before they are made."""
    fits = _fits("tip3p", scale)
    counted = count_steps(fits)
    molecules = fits[0].trains_on[0].options["molecules"]
    density = fits[0].trains_on[0].options["density_g_per_cm3"] or 0.965
    options = {work.model.model_dump_json(): work.model.options for work in fits}
    shares = []
    for (kind, frames, model), steps in counted.items():
        potential = ours.network(kind, settings.device, **options[model])
        batches = ours.loader(potential, ours.water(molecules, frames, density), settings.device)
        step = ours.finetuning_step(potential, batches, compiled=True)
        (seconds,) = medians([step], settings.budget(20), warm_up=1)
        shares.append(Share(kind, steps, seconds))
    parts: dict[str, Any] = {s.kind: f"{s.steps} steps × {s.step_s:.3g} s" for s in shares}
    machines = (("one GPU", 1), ("eight GPUs", 8)) if settings.device == "cuda" else (("2 cores", 2),)
    return [
        Finding(f"{scale}-cost", f"tip3p at {scale} on {machine}", "–", days(shares, workers), "days", details=parts)
        for machine, workers in machines
    ]


ROWS = (
    Row("standard-cost", "what tip3p costs at scale standard", partial(measure, "standard")),
    Row("paper-cost", "what tip3p costs at scale paper", partial(measure, "paper"), long=True),
)
