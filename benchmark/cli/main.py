"""The verbs of the command line; each only parses, calls one function, prints."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.table import Table

from benchmark.cli.data import app as data_app
from benchmark.cli.options import DataDir, Scale, Select, SuiteName, console, errors, parse_select
from benchmark.cli.use import app as use_app
from benchmark.errors import BenchmarkError
from tasks.datasets.storage.cache import default_data_dir

if TYPE_CHECKING:  # torch and pandas take seconds to import: a verb loads only what it needs
    import pandas as pd

    from benchmark.run.estimate import Estimate
    from benchmark.run.execute import Run

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Does pretraining help a neural network potential? Suites of paired, seeded, reproducible cells.",
)
RunPath = Annotated[Path, typer.Argument(help="A run folder, e.g. runs/water-quick.")]


@app.command()
def run(
    suite: SuiteName,
    scale: Scale = "quick",
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/SUITE-SCALE.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Cells at a time; default one a core, or one on a GPU.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds; default the suite's.")] = None,
    select: Select = "",
    data_dir: DataDir = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    reuse: Annotated[
        list[Path] | None,
        typer.Option(help="A run folder whose finished cells are taken over where they are the same; repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan with an estimate; do nothing.")] = False,
) -> None:
    """Run a suite; run it again to finish what is missing."""
    from benchmark.planning.config import read_suite
    from benchmark.planning.planner import check_numbers, select_names

    # What can be refused without torch, which takes seconds to import, is refused first.
    loaded, chosen = read_suite(suite, scale), parse_select(select)
    check_numbers(seeds=seeds, jobs=jobs)
    select_names(loaded, chosen)

    from benchmark.run.execute import execute, prepare
    from benchmark.run.progress import Display
    from reports.page.write import build_report, summary_table
    from reports.records.run import read_run

    planned = prepare(
        loaded,
        data_dir or default_data_dir(),
        out=out,
        jobs=jobs,
        seeds=seeds,
        select=chosen,
        device=device,
        command=shlex.join(["python", "-m", "benchmark", *sys.argv[1:]]),
        reuse=reuse or (),
    )
    if dry_run:
        from benchmark.run.estimate import estimate

        _print_plan(planned, estimate(planned))
        return
    failed: list[str] = []
    try:
        with Display(console) as display:
            execute(planned, display)
        if loaded.simulation is not None:
            from benchmark.simulate.run import simulate_finished

            with Display(console, "simulations") as display:
                failed += simulate_finished(planned.settings.folder, planned.settings.data_dir, jobs, display)
        paths = build_report(planned.settings.folder)
    except KeyboardInterrupt:
        errors.print("interrupted; the same command resumes from the last checkpoints")
        raise typer.Exit(130) from None
    result = read_run(planned.settings.folder)
    _print_errors(summary_table(result), title=f"{result.plan.title}: test errors, mean ± sd over seeds")
    console.print(f"report: {paths.html}\n        {paths.markdown}", highlight=False, soft_wrap=True)
    if loaded.simulation is None:
        worth = f"what these potentials are worth in simulations: nnp-bench simulate {planned.settings.folder}"
        console.print(worth, highlight=False, soft_wrap=True)
    if failed:
        errors.print("some simulations failed; run the same command again to retry them:\n  " + "\n  ".join(failed))
        raise typer.Exit(1)
    if any(status.state == "failed" for status in result.statuses.values()):
        errors.print("some cells failed: the report names them; run the same command again to retry them")
        raise typer.Exit(1)


@app.command()
def report(
    run_folders: Annotated[
        list[Path] | None, typer.Argument(help="One run folder, or several whose cells are reported together.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Two run folders to put side by side, instead.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to; default RUN/report of the first, of a comparison B/comparison.")
    ] = None,
) -> None:
    """Make the report of one or more run folders again, without training; or compare two."""
    from reports.page.write import build_comparison, build_report

    if bool(run_folders) == bool(compare):
        raise BenchmarkError("report takes run folders, or --compare with two of them; give one of these")
    if compare:
        paths = build_comparison(*compare, out or compare[1] / "comparison")
    else:
        assert run_folders
        paths = build_report(run_folders, out)
    console.print(f"report: {paths.html}\n        {paths.markdown}", highlight=False, soft_wrap=True)


@app.command()
def status(run_folder: RunPath) -> None:
    """Show how far the cells of a run folder are."""
    from benchmark.run.status import describe_status, read_statuses

    table = Table("cell", "dataset", "model", "arm", "seed", "state", "detail")
    for cell, state in read_statuses(run_folder):
        detail = state.reason or (describe_status(state) if state.state == "running" else "")
        table.add_row(cell.key, *cell.arm, str(cell.seed), state.state, detail)
    console.print(table)


@app.command("list")
def list_suites() -> None:
    """List suites with their scales, and the kinds of datasets, models and pretexts."""
    from benchmark.planning.suite_files import available_suites, read_suite_file
    from tasks.registry import DATASETS, MODELS, PRETEXTS

    table = Table("suite", "scales", "title")
    for name in available_suites():
        content = read_suite_file(name)
        table.add_row(name, ", ".join(content["scales"]), content["title"])
    console.print(table)
    for registry in (DATASETS, MODELS, PRETEXTS):
        console.print(f"{registry.noun} kinds: {', '.join(registry.kinds())}", highlight=False)


app.add_typer(data_app, name="data")
app.add_typer(use_app)


def _print_plan(planned: Run, estimated: Estimate) -> None:
    table = Table("cell", "dataset", "model", "arm", "seed", "pretrain epochs", "finetune epochs")
    for cell in (cell.planned() for cell in planned.cells):
        table.add_row(cell.key, *cell.arm, str(cell.seed), str(cell.pretrain_epochs), str(cell.finetune_epochs))
    console.print(table)
    console.print(estimated.describe(), highlight=False)


def _print_errors(frame: pd.DataFrame, title: str) -> None:
    """A table for each dataset and model with a column for each arm: it fits a terminal of 80 columns."""
    for (dataset, model), rows in frame.groupby(["dataset", "model"], sort=False):
        shown = rows.drop(columns=["dataset", "model"]).set_index("arm").T
        table = Table(title=f"{title}: {dataset}, {model}")
        for name in ("", *shown.columns):
            table.add_column(str(name), overflow="fold")
        for name, values in shown.iterrows():
            table.add_row(str(name), *map(str, values))
        console.print(table)


def main() -> NoReturn:
    """Run the command line: exit code 2 and one message for what the user should correct."""
    try:
        app()
    except ValueError as error:
        # BenchmarkError, and the like of tasks (DatasetError, PretextError) and reports (RecordError).
        if not _is_users(error):
            raise
        _refuse(str(error))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _refuse(f"{place}{error.strerror or error}. Mend that and run the same command again: it resumes")
    sys.exit(0)


def _refuse(message: str) -> NoReturn:
    """One message, exit code 2."""
    errors.print(f"error: {message}", style="red", highlight=False, markup=False, soft_wrap=True)
    sys.exit(2)


def _is_users(error: ValueError) -> bool:
    from reports.records.atomic import RecordError
    from tasks.datasets.base import DatasetError
    from tasks.options.pretexts import PretextError
    from tasks.simulation.card import PotentialError

    return isinstance(error, BenchmarkError | DatasetError | PotentialError | PretextError | RecordError)
