"""The verbs that use what a run has left: take potentials or records away, and simulate with the potentials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from benchmark.cli.ending import ended
from benchmark.cli.options import DataDir, Select, console, errors, parse_select, place
from benchmark.errors import BenchmarkError
from tasks.datasets.storage.cache import default_data_dir

app = typer.Typer()
RunPath = Annotated[Path, typer.Argument(help="A run folder, e.g. runs/water-quick.")]


@app.command()
def export(
    run_folder: RunPath,
    to: Annotated[Path, typer.Option(parser=place, help="A new file for one potential, or a folder for several.")],
    cell: Annotated[str | None, typer.Option(help="Key of the cell; `status` lists them.")] = None,
    select: Select = None,
    checkpoint: Annotated[str, typer.Option(help="best or last.")] = "best",
    pretraining: Annotated[
        bool, typer.Option("--pretraining", help="The pretrained bodies that the cells started from, instead.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Write trained potentials as files of their own, for ASE and OpenMM."""
    from benchmark.run.export import export as write

    chosen = parse_select(select)
    if cell is not None and chosen:
        raise BenchmarkError("give --cell or --select, not both")
    paths = write(run_folder, to, data_dir or default_data_dir(), cell, chosen, checkpoint, pretraining)
    for path in paths:
        console.print(f"potential: {path}", highlight=False, soft_wrap=True)


@app.command()
def archive(
    run_folder: RunPath,
    to: Annotated[Path, typer.Option(parser=place, help="A new file; its name ends with .tar.xz.")],
) -> None:
    """Pack the records of a run into one file to publish or keep, without weights; unpacked, `report` reads it."""
    from reports.records.archive import write_archive
    from reports.records.status import FINISHED

    packed = write_archive(run_folder, to)
    console.print(
        f"archive: {to} ({to.stat().st_size / 1e6:.1f} MB, {packed.count(*FINISHED)} finished cells of "
        f"{len(packed.states)})",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def simulate(
    run_folder: RunPath,
    select: Select = None,
    tests: Annotated[str, typer.Option(help="Only these of nvt, nve, elsewhere and scans, with commas.")] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE of a setting, e.g. nvt_ps=2 or replicas=4; repeatable."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Simulations at a time; default one a core.")] = None,
    data_dir: DataDir = None,
    keep_trajectories: Annotated[
        bool, typer.Option("--keep-trajectories", help="Keep the trajectories with a thermostat, as DCD files.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan with an estimate; do nothing.")] = False,
) -> None:
    """See what trained potentials are worth in simulations; run it again to finish what is missing."""
    changes = _changes(settings or [])
    if tests:
        changes["tests"] = tests
    if keep_trajectories:
        changes["keep_trajectories"] = "true"

    from benchmark.run.watching.progress import Display
    from benchmark.simulate.estimate import estimate_seconds
    from benchmark.simulate.run import execute, prepare
    from reports.page.write import build_report

    planned = prepare(run_folder, data_dir or default_data_dir(), parse_select(select), changes, jobs)
    if dry_run:
        table = Table("simulation", "state")
        for job in [*planned.references, *planned.jobs]:
            table.add_row(job.name, job.folder.status().state)
        console.print(table)
        for note in planned.notes:
            console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
        minutes = estimate_seconds(planned) / 60
        console.print(
            f"{len(planned.left)} simulations are left; about {minutes:.1f} min, {minutes / planned.workers:.1f} min "
            f"with {planned.workers} at a time, if none ends early (timed over a few steps of each)",
            highlight=False,
        )
        return
    try:
        with Display(console, "simulations") as display:
            failed = execute(planned, display)
        paths = build_report(run_folder)
    except KeyboardInterrupt as interrupt:
        raise ended(interrupt, "goes on with what is missing") from None
    console.print(f"report: {paths.html}\n        {paths.markdown}", highlight=False, soft_wrap=True)
    if failed:
        errors.print("some simulations failed; run the same command again to retry them:\n  " + "\n  ".join(failed))
        raise typer.Exit(1)


def _changes(settings: list[str]) -> dict[str, str]:
    """``NAME=VALUE`` to values by name.

    Raises:
        BenchmarkError: for a part without name or value.
    """
    changes = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise BenchmarkError(f"--set {text!r}: write NAME=VALUE, e.g. --set nvt_ps=2")
        changes[name.strip()] = value.strip()
    return changes
