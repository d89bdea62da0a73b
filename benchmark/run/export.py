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
    contents: dict[str, tuple[Card, dict[str, Tensor]]] = {}
    for planned in choose(plan, key, select):
        if not pretraining:
            name = f"{'-'.join(planned.arm)}-seed{planned.seed}"
            contents[name] = cell_content(read_cell(run, planned, plan), run, plan, library, checkpoint)
        elif planned.pretraining_key is not None:
            name = f"pretraining-{planned.pretraining_key}"
            if name not in contents:
                contents[name] = pretraining_content(run, planned.pretraining_key, plan, library)
    if not contents:
        raise BenchmarkError(
            "none of the chosen cells was pretrained. Choose arms that are, with --select strategy=..."
        )
    paths = _paths(to, list(contents))
    for card, weights in contents.values():
        build_network(card, weights, "the checkpoint")  # refuses what could not be loaded again
    for path, (card, weights) in zip(paths, contents.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            write_potential(temporary, card, weights)
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
