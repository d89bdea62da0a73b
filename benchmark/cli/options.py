"""What the verbs of the command line share: consoles, options, and how a selection is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from benchmark.errors import BenchmarkError
from tasks.datasets.storage.cache import DATA_DIR_VARIABLE

console = Console()
if not console.is_terminal:
    # A log has room: tables must not be folded to the 80 columns of a terminal that is not there.
    console = Console(width=160)
errors = Console(stderr=True)

SuiteName = Annotated[str, typer.Option("--suite", help="A shipped suite (see `list`) or the path of a YAML file.")]
Scale = Annotated[str, typer.Option(help="One of the suite's scales: how much data, how wide, how long.")]
Select = Annotated[
    list[str] | None,
    typer.Option(
        help="Only these, e.g. model=egnn,strategy=scratch,masked or molecule=ethanol,uracil; repeatable: names of a "
        "field add up."
    ),
]


def place(text: str) -> Path:
    """A path; an empty one, as of a variable that is not set, would be the working directory."""
    if not text.strip():
        raise BenchmarkError("a path is given as an empty text: name one, or leave out the option for its default")
    return Path(text)


RunFolderPath = Annotated[Path | None, typer.Option(parser=place, help="Run folder; default runs/SUITE-SCALE.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        parser=place,
        help=f"Folder of the datasets, made or fetched or your own files; default ${DATA_DIR_VARIABLE}, then the "
        "user's cache.",
    ),
]

Executor = Annotated[
    Path | None,
    typer.Option(
        help="Hand cells over to Parsl (extra `cluster`): a Python file with its `config`, for Slurm, PBS, LSF, "
        "Kubernetes or this machine."
    ),
]


def table(*names: str, whole: tuple[str, ...] = (), right: tuple[str, ...] = ()) -> Table:
    """A table as wide as the terminal in which nothing is cut: what does not fit goes on in the next line.

    Args:
        names: of the columns.
        whole: columns with short names that have to be typed, and are not to be broken either.
        right: columns of numbers.
    """
    made = Table()
    for name in names:
        justify: Literal["left", "right"] = "right" if name in right else "left"
        made.add_column(name, no_wrap=name in whole, overflow="fold", justify=justify)
    return made


def parse_select(texts: Sequence[str] | None) -> dict[str, list[str]]:
    """``model=egnn,strategy=scratch,masked`` to names by field; a part without a field belongs to the one before.

    Args:
        texts: of each time that the option is given.

    Raises:
        BenchmarkError: for a part without field or name.
    """
    chosen: dict[str, list[str]] = {}
    for text in texts or ():
        if not text.strip(" ,"):
            raise BenchmarkError(f"--select {text!r} names nothing: write FIELD=NAME, or leave it out for everything")
        field = ""
        for part in filter(None, (part.strip() for part in text.split(","))):
            before, equals, name = part.rpartition("=")
            field = before.strip() if equals else field
            if not field or not name:
                raise BenchmarkError(
                    f"--select {part!r}: write FIELD=NAME, e.g. --select model=egnn,strategy=scratch,masked"
                )
            chosen.setdefault(field, []).append(name.strip())
    return chosen


def parse_percent(text: str | None) -> float | None:
    """``10%`` or ``10`` to 10; None stays None.

    Raises:
        BenchmarkError: for anything else, or what is not above 0.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%?\s*", text)
    if found is None or not float(found[1]) > 0:
        raise BenchmarkError(f"--until {text!r}: write a percentage above 0, e.g. --until 10%")
    return float(found[1])


def parse_duration(text: str | None) -> float | None:
    """``8h``, ``30m``, ``1h30m`` or ``90s`` to seconds; None stays None.

    Raises:
        BenchmarkError: for anything else, or no time at all.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(?:(\d+(?:\.\d+)?)h)?\s*(?:(\d+(?:\.\d+)?)m)?\s*(?:(\d+(?:\.\d+)?)s)?\s*", text)
    hours, minutes, seconds = (float(part or 0) for part in (found.groups() if found else (0, 0, 0)))
    total = 3600 * hours + 60 * minutes + seconds
    if not total > 0:
        raise BenchmarkError(f"--budget {text!r}: write a time, e.g. --budget 8h, 30m or 1h30m")
    return total
