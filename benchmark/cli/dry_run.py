"""What `run --dry-run` and `data check` print: the plan and its cost in words, and everything that was checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from benchmark.cli.options import table
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:  # some of these import torch
    from benchmark.cell.checking.inspection import Inspection
    from benchmark.planning.cells import Cell
    from benchmark.run.execute import Run
    from benchmark.run.length.estimate import Estimate

STYLES = {"ok": "green", "note": "yellow", "stop": "bold red", "later": "cyan"}
MEANT_FOR_A_GPU_HOURS = 24.0
"""A plan that takes longer on a CPU is better run on a GPU."""


def summary(cells: Sequence[Cell], title: str, folder: str) -> str:
    """What is planned, in a sentence."""
    counts = [len({getattr(cell.arm, field) for cell in cells}) for field in ("dataset", "model", "strategy")]
    product = " × ".join(counted(*pair) for pair in zip(counts, ("dataset", "network", "arm"), strict=True))
    # Networks may differ in their number of seeds.
    seeds: dict[str, set[int]] = {}
    for cell in cells:
        seeds.setdefault(cell.arm.model, set()).add(cell.seed)
    numbers = {len(own) for own in seeds.values()}
    each = [f"{len(own)} of {model}" for model, own in seeds.items()]
    product += f" × {counted(numbers.pop(), 'seed')}" if len(numbers) == 1 else f"; seeds: {', '.join(each)}"
    pretrainings = len({cell.pretraining.key for cell in cells if cell.pretraining is not None})
    before = f", after {counted(pretrainings, 'pretraining')} that cells share" if pretrainings else ""
    return f"{title}: {counted(len(cells), 'cell')} ({product}){before}; run folder {folder}"


def cost(estimated: Estimate, device: str) -> str:
    """The estimate for people: how long, on what, and what it leaves out."""
    if not estimated.fits:
        return "nothing is left to do: all cells are finished"
    seconds = estimated.seconds / estimated.workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    where = "on the GPU" if device != "cpu" else f"on {counted(cores, 'core')}"
    text = f"about {in_words(seconds)} {where}"
    if device == "cpu" and seconds > MEANT_FOR_A_GPU_HOURS * 3600:
        text += "; meant for a GPU"
    return (
        f"{text}: {counted(estimated.fits, 'fit')} ({estimated.compiled} with compiled steps), {estimated.steps} "
        f"optimizer steps, {estimated.workers} at a time. "
        f"Timed here on a few steps of each network; making data, start-up and evaluation come on top"
    )


def in_words(seconds: float) -> str:
    """A time in the unit that people would use."""
    for unit, size, most in (("second", 1.0, 90), ("minute", 60.0, 90), ("hour", 3600.0, 48)):
        if seconds < most * size:
            number = max(1, round(seconds / size))
            return counted(number, unit)
    return counted(round(seconds / 86400), "day")


def counted(number: int, word: str) -> str:
    """A number with its noun, in the plural unless it is one."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def cells_table(cells: Sequence[Cell]) -> Table:
    """Every cell, on request. What may have to be typed is folded, never cut."""
    epochs = ("pretrain epochs", "finetune epochs")
    listed = table("cell", "dataset", "model", "arm", "seed", *epochs, whole=("cell",), right=("seed", *epochs))
    for cell in (cell.planned() for cell in cells):
        listed.add_row(cell.key, *cell.arm, str(cell.seed), str(cell.pretrain_epochs), str(cell.finetune_epochs))
    return listed


def print_plan(console: Console, planned: Run, list_cells: bool) -> None:
    """What is planned, what it costs, and what it is for."""
    from benchmark.planning.primaries import declared
    from benchmark.run.length.estimate import estimate

    folder = os.path.relpath(planned.settings.folder)
    title = f"{planned.suite.title}, scale {planned.suite.scale}"
    console.print(summary(planned.cells, title, folder), highlight=False, soft_wrap=True)
    try:
        told = cost(estimate(planned), planned.settings.device)
    except BenchmarkError as error:
        told = f"cost not known: {error}"
    console.print(told, highlight=False, soft_wrap=True)
    console.print(declared(planned.suite), highlight=False, soft_wrap=True)
    console.print(_simulations(planned), highlight=False, soft_wrap=True)
    if list_cells:
        console.print(cells_table(planned.cells))


def _simulations(planned: Run) -> str:
    """Whether the potentials will be simulated with, and how long that takes; or how to ask for it."""
    from benchmark.run.machine import count_workers
    from benchmark.simulate.estimate import estimate_planned

    plan, settings = planned.suite.simulation, planned.settings
    if plan is None:
        ask = f"nnp-bench simulate {os.path.relpath(settings.folder)}"
        return f"simulations: none at this scale; to make some afterwards: {ask}"
    here = settings.device == "cpu" and planned.executor is None
    workers = planned.workers if here else count_workers(None, "cpu")
    seconds = estimate_planned(plan, planned.cells, settings.data_dir, workers)
    return (
        f"simulations with each potential afterwards ({', '.join(plan.tests)}): about {in_words(seconds / workers)}, "
        f"{workers} at a time, if none ends early"
    )


def print_inspection(console: Console, found: Inspection) -> None:
    """Everything that was checked, a block for each dataset and pretext, and a sentence that sums it up."""
    topics = max(len(finding.topic) for section in found.sections for finding in section.findings)
    for section in found.sections:
        rows = Table.grid(padding=(0, 1))
        rows.add_column(no_wrap=True, width=7)
        rows.add_column(no_wrap=True, width=topics)
        rows.add_column(overflow="fold")
        for finding in section.findings:
            rows.add_row(Text(f"  {finding.level}", style=STYLES[finding.level]), finding.topic, Text(finding.text))
        console.print(Group(Text(section.title, style="bold"), rows), highlight=False)
    stops, notes = found.count("stop"), found.count("note")
    would = f"{counted(stops, 'thing')} would stop the run" if stops else "nothing would stop the run"
    console.print(f"{would}; {counted(notes, 'note')}" if notes else would, highlight=False)
