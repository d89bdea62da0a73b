"""Bodies that came in files, when cells start from them: opened, made sure of, and described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ase.data import chemical_symbols

from benchmark.errors import BenchmarkError
from benchmark.planning.cells import Cell, PretrainedFile
from tasks.datasets.base import Dataset
from tasks.leakage.audit import TraceSet
from tasks.simulation.bodies import Body, read_body


def open_given(given: PretrainedFile) -> Body:
    """The body that was planned.

    Raises:
        PotentialError: if it cannot be read.
        BenchmarkError: if the file has changed since.
    """
    body = read_body(Path(given.path).expanduser())
    if body.content_hash != given.content_hash:
        raise BenchmarkError(
            f"{given.path} has changed since the run began: its content has hash {body.content_hash}, and had "
            f"{given.content_hash}. Put the file of then there, or begin another run folder with --out"
        )
    return body


def check_species(cell: Cell, body: Body, dataset: Dataset) -> None:
    """Make sure that a body has seen all elements of the data that a cell is trained on.

    Raises:
        BenchmarkError: naming the others.
    """
    unknown = [number for number in dataset.species if number not in body.card.species]
    if unknown:
        assert cell.given is not None
        raise BenchmarkError(
            f"dataset {cell.arm.dataset!r} has {_symbols(unknown)}, which the body in {cell.given.path} never saw "
            f"(it was pretrained on {_symbols(body.card.species)}): what stands for these elements in it is untrained. "
            f"Take a body that was pretrained on all of them, or leave strategy {cell.arm.strategy!r} out with --select"
        )


def trace_sets(given: PretrainedFile, body: Body) -> dict[str, list[TraceSet]]:
    """What is known of the structures that trained and validated a body, by set; nothing of an older file."""
    words = {"train": "the pretraining", "val": "the validation part of the pretraining"}
    known = body.traces or {}
    return {name: [TraceSet(f"{words[name]} in {given.path}", one) for one in known.get(name, ())] for name in words}


def describe_given(given: PretrainedFile, body: Body) -> dict[str, Any]:
    """What a cell's provenance says of the body that it started from. Can be written as JSON."""
    return {
        **body.origin,
        "path": given.path,
        "content_hash": given.content_hash,
        "spent": None if body.spent is None else body.spent.model_dump(),
        "structures": count_structures(body),
    }


def count_structures(body: Body) -> int | None:
    """Structures that trained and validated a body; None if its file does not say which these were."""
    return None if body.traces is None else sum(len(part) for parts in body.traces.values() for part in parts)


def _symbols(numbers: tuple[int, ...] | list[int]) -> str:
    return ", ".join(chemical_symbols[number] if number < len(chemical_symbols) else str(number) for number in numbers)
