"""The verbs of the command line; each only parses, calls one function, prints."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from benchmark.cli.data import app as data_app
from benchmark.cli.dry_run import print_inspection, print_plan
from benchmark.cli.ending import Terminated, ended
from benchmark.cli.options import (
    DataDir,
    Executor,
    RunFolderPath,
    Scale,
    Select,
    SuiteName,
    console,
    errors,
    parse_duration,
    parse_percent,
    parse_select,
    place,
    table,
)
from benchmark.cli.tune import tune
from benchmark.cli.use import app as use_app
from benchmark.errors import BenchmarkError
from tasks.datasets.storage.cache import default_data_dir

if TYPE_CHECKING:  # torch and pandas take seconds to import: a verb loads only what it needs
    import pandas as pd

    from benchmark.run.execute import Run

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.print(f"nnp-bench {version('nnp-pretrain-bench')}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    show: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Does pretraining help a neural network potential? Suites of paired, seeded, reproducible cells."""


RunPath = Annotated[Path, typer.Argument(help="A run folder, e.g. runs/water-quick.")]


@app.command()
def run(
    suite: SuiteName,
    scale: Scale = "quick",
    out: RunFolderPath = None,
    jobs: Annotated[
        int | None, typer.Option(help="Cells at a time; default one a core, one on a GPU, or all places of --executor.")
    ] = None,
    executor: Executor = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds; default the suite's.")] = None,
    select: Select = None,
    data_dir: DataDir = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[
        int, typer.Option(help="Divide each cell over so many GPUs, or processes on the CPU: for few and large cells.")
    ] = 1,
    nodes: Annotated[
        int,
        typer.Option(
            help="Divide each cell over so many machines, with --devices of each: the same command is started once on "
            "every one, as by Slurm's srun."
        ),
    ] = 1,
    reuse: Annotated[
        list[Path] | None,
        typer.Option(help="A run folder whose finished cells are taken over where they are the same; repeatable."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            help="Add seeds until the half-width of the 95 % interval of every primary comparison is under this, e.g. "
            "10%."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Wall time to spend, e.g. 8h or 30m: no job is started that would not end within it."),
    ] = None,
    compile_steps: Annotated[
        str,
        typer.Option(
            "--compile",
            help="Compile training steps: auto (where that pays), always, or never (bit for bit the same each time).",
        ),
    ] = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, its cost, and what is wrong with the data; do nothing.")
    ] = False,
    list_cells: Annotated[bool, typer.Option("--cells", help="With --dry-run: list every cell.")] = False,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed/--no-retry-failed", help="Whether cells that failed before are tried again."),
    ] = True,
    mix_commits: Annotated[
        bool,
        typer.Option(
            "--mix-commits", help="Go on in a run folder that other code has begun, and --reuse its work; else refused."
        ),
    ] = False,
) -> None:
    """Run a suite; run it again to finish what is missing."""
    from benchmark.executors.configuration import read_configuration
    from benchmark.executors.local import start_server
    from benchmark.planning.planner import check_choice, check_numbers, check_selection
    from benchmark.planning.reading import check_entries, read_suite
    from benchmark.run.machine import (
        check_device,
        check_nodes,
        choose_device,
        count_threads,
        count_workers,
        find_node,
    )
    from reports.records.folder import RunFolder

    # What can be refused without torch, which takes seconds to import, is refused first.
    loaded, chosen = read_suite(suite, scale), parse_select(select)
    percent, seconds = parse_percent(until), parse_duration(budget)
    check_numbers(seeds=seeds, jobs=jobs, devices=devices)
    check_nodes(nodes, jobs, executor is not None)
    node = 0 if dry_run else find_node(nodes)
    if node:  # torch would warn at length when node 0 is gone, which is said in a sentence
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    choice = check_choice(compile_steps)
    check_selection(loaded, chosen, seeds)
    check_device(device)
    for earlier in reuse or ():
        RunFolder(earlier).read_plan()
    where = None if executor is None else read_configuration(executor)
    if where is None:
        device = choose_device(device)
        if not dry_run:
            start_server(device, count_threads(count_workers(jobs, device, devices, nodes) * devices))

    from benchmark.run.execute import execute, prepare
    from benchmark.run.watching.progress import Display

    inspection = None
    if dry_run:
        from benchmark.cell.checking.inspection import inspect_data

        check_entries(loaded)
        inspection = inspect_data(loaded, chosen, seeds, data_dir or default_data_dir(), failed={})
        if inspection.count("stop"):
            print_inspection(console, inspection)
            raise typer.Exit(2)

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
        mix_commits=mix_commits,
        retry_failed=retry_failed,
        compile_steps=choice,
        until=percent,
        budget=seconds,
        devices=devices,
        executor=where,
        nodes=nodes,
        node=node,
    )
    if node:
        _follow(planned)
        return

    from benchmark.planning.primaries import UNDECLARED
    from reports.page.write import build_report, summary_table
    from reports.records.run import read_run

    if loaded.simulation is not None:
        from benchmark.simulate.run import check_same, simulate_finished

        check_same(planned.settings.run, loaded.simulation)
    if inspection is not None:
        from benchmark.run.folder.commits import check_code

        if not mix_commits:
            check_code(planned.cells, planned.settings)
        print_plan(console, planned, list_cells)
        print_inspection(console, inspection)
        return
    if not loaded.primary:
        console.print(f"note: {UNDECLARED}", highlight=False, soft_wrap=True)
    failed: list[str] = []
    began = time.monotonic()
    try:
        with Display(console) as display:
            execute(planned, display)
        if loaded.simulation is not None:
            left = None if seconds is None else seconds - (time.monotonic() - began)
            with Display(console, "simulations") as display:
                here = jobs if executor is None else None  # of an executor --jobs are all nodes', and these run here
                failed += simulate_finished(planned.settings.folder, planned.settings.data_dir, here, display, left)
        paths = build_report(planned.settings.folder)
    except KeyboardInterrupt as interrupt:
        raise ended(interrupt) from None
    result = read_run(planned.settings.folder)
    _print_errors(
        summary_table(result),
        title=f"{result.plan.title}: test errors, mean ± sd over seeds; changes with their 95 % interval",
    )
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


def _follow(planned: Run) -> None:
    """What the command does on all nodes but the first."""
    from benchmark.run.follow import follow

    try:
        why = follow(planned, lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True))
    except KeyboardInterrupt as interrupt:
        raise ended(interrupt) from None
    if why is not None:
        errors.print(why, highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1)
    console.print("node 0 has finished the run", highlight=False)


@app.command()
def report(
    run_folders: Annotated[
        list[Path] | None, typer.Argument(help="One run folder, or several whose cells are reported together.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Two run folders to put side by side, instead.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=place, help="Where to; default RUN/report of the first, of a comparison B/comparison."),
    ] = None,
) -> None:
    """Make the report of one or more run folders again, without training; or compare two."""
    from reports.records.folder import RunFolder

    if bool(run_folders) == bool(compare):
        raise BenchmarkError("report takes run folders, or --compare with two of them; give one of these")
    for folder in run_folders or compare or ():
        RunFolder(folder).read_plan()

    from reports.page.write import build_comparison, build_report

    if compare:
        paths = build_comparison(*compare, out or compare[1] / "comparison")
    else:
        assert run_folders
        paths = build_report(run_folders, out)
    console.print(f"report: {paths.html}\n        {paths.markdown}", highlight=False, soft_wrap=True)


@app.command()
def status(run_folder: RunPath) -> None:
    """Show how far the cells of a run folder are."""
    from benchmark.run.length.growth import describe_widths
    from benchmark.run.watching.status import describe_status, read_statuses

    listed = table("cell", "dataset", "model", "arm", "seed", "state", "detail", whole=("cell",), right=("seed",))
    for cell, state in read_statuses(run_folder):
        detail = state.reason or (describe_status(state) if state.state == "running" else "")
        listed.add_row(cell.key, *cell.arm, str(cell.seed), state.state, detail)
    console.print(listed)
    for line in describe_widths(run_folder):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command("list")
def list_suites() -> None:
    """List suites with their scales, and the kinds of datasets, models, pretexts and labellers."""
    from benchmark.planning.suite_files import available_suites, read_suite_file
    from tasks.registry import DATASETS, LABELLERS, MODELS, PRETEXTS

    listed = table("suite", "scales", "title", whole=("suite",))
    for name in available_suites():
        content = read_suite_file(name)
        listed.add_row(name, ", ".join(content["scales"]), content["title"])
    console.print(listed)
    for registry in (DATASETS, MODELS, PRETEXTS, LABELLERS):
        console.print(f"{registry.noun} kinds: {', '.join(registry.kinds())}", highlight=False, soft_wrap=True)


app.command()(tune)
app.add_typer(data_app, name="data")
app.add_typer(use_app)


def _print_errors(frame: pd.DataFrame, title: str) -> None:
    """A table for each dataset and model with a column for each arm: it fits a terminal of 80 columns."""
    for (dataset, model), rows in frame.groupby(["dataset", "model"], sort=False):
        shown = rows.drop(columns=["dataset", "model"]).set_index("arm").T
        listed = table("", *map(str, shown.columns))
        listed.title = f"{title}: {dataset}, {model}"
        for name, values in shown.iterrows():
            listed.add_row(str(name), *map(str, values))
        console.print(listed)


RESUMED = frozenset({"run", "tune", "simulate"})
"""Verbs that go on where they were."""


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def main() -> NoReturn:
    """Run the command line: exit code 2 and one message for what the user should correct."""
    # Processes that are started from here must not take a benchmark.py or tasks.py of the user's for ours.
    os.environ["PYTHONSAFEPATH"] = "1"
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except ValueError as error:
        # BenchmarkError, and the like of tasks (DatasetError, PretextError) and reports (RecordError).
        if not _is_users(error):
            raise
        _refuse(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        again = "the same command again" + (": it resumes" if RESUMED.intersection(sys.argv[1:2]) else "")
        _refuse(f"{where}{error.strerror or error}. Mend that and run {again}")
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
