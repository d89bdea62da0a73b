"""The verbs that use what a run has trained: take potentials away, and see what they are worth in simulations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import DataDir, Select, console, parse_select
from benchmark.errors import BenchmarkError
from tasks.datasets.storage.cache import default_data_dir

app = typer.Typer()
RunPath = Annotated[Path, typer.Argument(help="A run folder, e.g. runs/water-quick.")]


@app.command()
def export(
    run_folder: RunPath,
    to: Annotated[Path, typer.Option(help="A new file for one potential, or a folder for several.")],
    cell: Annotated[str | None, typer.Option(help="Key of the cell; `status` lists them.")] = None,
    select: Select = "",
    checkpoint: Annotated[str, typer.Option(help="best or last.")] = "best",
    pretraining: Annotated[
        bool, typer.Option("--pretraining", help="The pretrained bodies that the cells started from, instead.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Write trained potentials as files of their own, for ASE, OpenMM or another suite."""
    from benchmark.run.export import export as write

    chosen = parse_select(select)
    if cell is not None and chosen:
        raise BenchmarkError("give --cell or --select, not both")
    paths = write(run_folder, to, data_dir or default_data_dir(), cell, chosen, checkpoint, pretraining)
    for path in paths:
        console.print(f"potential: {path}", highlight=False, soft_wrap=True)
