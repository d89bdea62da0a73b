"""``python -m performance``: measures the rows, prints a table, writes JSON. ``make bench`` does."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmark.cell.provenance import describe_environment
from benchmark.processor import processor
from performance import devices, dynamics, gpu, growth, processes, reporting, scaling, steps, suites, table, trainer
from performance.rows import Finding, Row, Settings

ROWS: tuple[Row, ...] = (
    *steps.ROWS,
    *trainer.ROWS,
    *processes.ROWS,
    *dynamics.ROWS,
    *reporting.ROWS,
    *scaling.ROWS,
    *devices.ROWS,
    *gpu.ROWS,
    *growth.ROWS,
    *suites.ROWS,
)
RESULTS = Path(__file__).with_name("results")


def chosen(names: str) -> list[Row]:
    """The rows of these names, with commas between; without any, all that are not long.

    Raises:
        typer.BadParameter: there is none of a name.
    """
    if not names:
        return [row for row in ROWS if not row.long]
    known = {row.name: row for row in ROWS}
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise typer.BadParameter(f"no rows {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in wanted]


def main(
    rows: Annotated[str, typer.Option(help="Only these, e.g. egnn,gns; the long ones run only when named.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the time: to see that rows work.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads of a step.")] = 1,
    out: Annotated[Path | None, typer.Option(help="JSON file; default performance/results/DATE.json.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Print this JSON file as Markdown; measure nothing.")] = None,
    list_rows: Annotated[bool, typer.Option("--list", help="List the rows; measure nothing.")] = False,
) -> None:
    """Measure the project's speed, each row against a plain way of doing the same. The machine must do nothing else."""
    console = Console(width=None if Console().is_terminal else 180)
    if markdown is not None:
        print(table.markdown(*table.read(markdown)))
        return
    if list_rows:
        for row in ROWS:
            console.print(f"{row.name:14} {row.title}{' (long)' if row.long else ''}", highlight=False)
        return
    settings = Settings(quick, device, threads)
    began = datetime.now(UTC)
    machine: dict[str, Any] = describe_environment(device, threads)
    machine |= {"began": began.isoformat(timespec="seconds"), "quick": quick}
    path = out or RESULTS / f"{began:%Y%m%d-%H%M%S}.json"
    findings: list[Finding] = []
    for row in chosen(rows):
        started = time.perf_counter()
        with processor(threads):
            findings += row.measure(settings)
        table.write(path, findings, machine)
        console.print(f"{row.name}: {time.perf_counter() - started:.0f} s", highlight=False)
    console.print(table.terminal(findings))
    console.print(f"written to {path}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
