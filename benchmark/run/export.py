"""Potentials of a run as files of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from benchmark.cell.finished import cell_content, choose, pretraining_content, read_cell
from benchmark.cell.library import Library
from benchmark.errors import BenchmarkError
from reports.records.atomic import replacing
from reports.records.folder import RunFolder
from tasks.leakage.traces import Traces
from tasks.simulation.bodies import write_body
from tasks.simulation.card import Card
from tasks.simulation.file import build_network, write_potential

ENDING = ".pt"


def export(
    folder: Path,
    to: Path,
    data_dir: Path,
    key: str | None = None,
    select: Mapping[str, list[str]] | None = None,
    checkpoint: str = "best",
    pretraining: bool = False,
) -> list[Path]:
    """Write the potentials of the chosen cells of a run, or the pretrained bodies that they started from.

    Args:
        folder: the run folder.
        to: a new file for one potential, or a folder for several.
        data_dir: folder of the datasets: what the training frames were made of is part of the file.
        key: of a cell.
        select: names of cells by field; see `choose`.
        checkpoint: `best` or `last`.
        pretraining: whether to write pretrained bodies in place of finetuned potentials.

    Returns:
        The files.

    Raises:
        BenchmarkError: for anything the user should correct; nothing is written then.
    """
    if checkpoint not in ("best", "last"):
        raise BenchmarkError(f"--checkpoint {checkpoint}: allowed are best and last")
    run = RunFolder(folder)
    plan, library = run.read_plan(), Library(data_dir)
    contents: dict[str, tuple[Card, dict[str, Tensor], dict[str, list[Traces]] | None]] = {}
    bodies: set[str | None] = {None}
    for planned in choose(plan, key, select):
        name = f"{'-'.join(planned.arm)}-seed{planned.seed}"
        if not pretraining:
            cell = read_cell(run, planned, plan)
            contents[name] = (*cell_content(cell, run, plan, library, checkpoint), None)
        elif planned.pretraining_key not in bodies:
            bodies.add(planned.pretraining_key)
            assert planned.pretraining_key is not None
            contents[f"pretraining-{name}"] = pretraining_content(run, planned.pretraining_key, plan, library)
    if not contents:
        raise BenchmarkError(
            "none of the chosen cells was pretrained in this run. Choose arms that are, with --select strategy=..."
        )
    paths = _paths(to, list(contents))
    for card, weights, _ in contents.values():
        build_network(card, weights, "the checkpoint")  # refuses what could not be loaded again
    for path, (card, weights, traces) in zip(paths, contents.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            if traces is None:
                write_potential(temporary, card, weights)
            else:
                write_body(temporary, card, weights, traces)
    return paths


def _paths(to: Path, names: list[str]) -> list[Path]:
    """Where each potential goes: `to` itself for one, if it is no folder; else a file of its name in the folder."""
    into = to.is_dir() or (to.suffix != ENDING and len(names) > 1)
    if len(names) > 1 and not into:
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise BenchmarkError(
            f"{len(names)} potentials were chosen ({shown}), and --to {to} is one file. Choose one with --cell or "
            f"--select, or give a folder"
        )
    paths = [to / f"{name.replace('/', '_')}{ENDING}" for name in names] if into else [to]
    there = [str(path) for path in paths if path.exists()]
    if there:
        raise BenchmarkError(
            f"{', '.join(there)} exists already and was not replaced. Choose another --to, or remove it"
        )
    return paths
