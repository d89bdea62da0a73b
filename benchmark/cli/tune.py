"""The verb `tune`: learning rates, tried with equal effort for all arms of a suite."""

from __future__ import annotations

import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from benchmark.cli.dry_run import cost
from benchmark.cli.ending import ended
from benchmark.cli.options import DataDir, Scale, Select, SuiteName, console, errors, parse_select, place
from benchmark.errors import BenchmarkError
from tasks.datasets.storage.cache import default_data_dir

if TYPE_CHECKING:  # pandas takes a while to import
    import pandas as pd


def tune(
    suite: SuiteName,
    scale: Scale = "quick",
    trials: Annotated[int, typer.Option(help="Settings tried for each arm; the first is the suite's own.")] = 8,
    seeds: Annotated[int, typer.Option(help="Seeds of each setting; none of them is one of a comparison.")] = 1,
    factor: Annotated[float, typer.Option(help="Learning rates are tried from 1/FACTOR to FACTOR of the suite's.")] = 4,
    out: Annotated[Path | None, typer.Option(parser=place, help="Run folder; default runs/SUITE-tuning-SCALE.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Cells at a time; default one a core, or one on a GPU.")] = None,
    select: Select = None,
    data_dir: DataDir = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be tried; do nothing.")] = False,
) -> None:
    """Try the same number of learning rates for each arm, on validation frames; write a suite with the best ones.

    Run it again to finish what is missing, or with more seeds.
    """
    from benchmark.planning.planner import check_numbers, select_names
    from benchmark.planning.reading import read_suite
    from benchmark.planning.tuning import FIRST_SEED, make_settings, tuned_content, tuning_suite

    loaded = read_suite(suite, scale)
    check_numbers(seeds=seeds, jobs=jobs)
    datasets, models, strategies = select_names(loaded, parse_select(select))
    if len(models) > 1:
        raise BenchmarkError(f"tune takes one network at a time: --select model=NAME, with one of {', '.join(models)}")
    settings = make_settings(trials, factor)
    tried = tuning_suite(loaded, datasets, models[0], strategies, settings)

    from benchmark.run.execute import execute, prepare
    from benchmark.run.tuning import chosen_training, trials_table, write_suite, write_trials
    from benchmark.run.watching.progress import Display

    command = shlex.join(["python", "-m", "benchmark", *sys.argv[1:]])
    planned = prepare(
        tried,
        data_dir or default_data_dir(),
        out=out,
        jobs=jobs,
        seeds=seeds,
        select={"dataset": datasets, "model": models},
        device=device,
        command=command,
        first_seed=FIRST_SEED,
    )
    if dry_run:
        from benchmark.run.length.estimate import estimate

        count = f"{len(strategies)} arms × {trials} settings × {seeds} seeds × {len(datasets)} datasets"
        console.print(f"{count}; {cost(estimate(planned), planned.settings.device)}", highlight=False, soft_wrap=True)
        return
    folder = planned.settings.folder
    try:
        with Display(console) as display:
            execute(planned, display)
    except KeyboardInterrupt as interrupt:
        raise ended(interrupt) from None
    table = trials_table(folder, loaded, datasets, models[0], strategies, settings)
    write_trials(table, folder)
    _print(table)
    chosen = chosen_training(table, loaded, datasets[0], models[0], settings)
    missing = [name for name in strategies if name not in chosen]
    if missing:
        errors.print(f"no setting of {', '.join(missing)} finished in all seeds; no suite is written. See {folder}")
        raise typer.Exit(1)
    path = folder / f"{loaded.name}-tuned.yaml"
    comment = [
        f"Learning rates that were best of {trials} for each arm, with {seeds} seeds from {FIRST_SEED} on, by the",
        "geometric mean of the lowest validation loss. Made by:",
        command,
    ]
    write_suite(tuned_content(suite, loaded, datasets, models[0], chosen), comment, path)
    console.print(f"trials: {folder / 'trials.csv'}\nsuite:  {path}", highlight=False, soft_wrap=True)


def _print(table: pd.DataFrame) -> None:
    """The trials; rates at the end of what was tried are told, as the best may lie beyond."""
    shown = Table(
        "arm", "trial", "lr pretraining", "lr finetuning", "finished", "validation loss", "force error, meV/Å", ""
    )
    columns = ["pretrain_lr", "finetune_lr", "validation_loss", "validation_force_error_mev_per_A"]
    numbers = table[columns].to_numpy(dtype=float).tolist()
    for row, values in zip(table.itertuples(), numbers, strict=True):
        pretrain, finetune, loss, force = ("–" if math.isnan(value) else f"{value:.3g}" for value in values)
        done, mark = f"{row.finished} of {row.cells}", "←" if row.chosen else ""
        shown.add_row(str(row.strategy), str(row.trial), pretrain, finetune, done, loss, force, mark)
    console.print(shown)
    for name, rows in table.groupby("strategy", sort=False):
        for phase in ("pretrain", "finetune"):
            tried, best = rows[f"{phase}_lr"].dropna(), rows.loc[rows["chosen"], f"{phase}_lr"].dropna()
            if len(best) and best.iloc[0] in (tried.min(), tried.max()):
                note = f"note: {name} is best with the {phase} rate at the end of what was tried; --factor widens it"
                console.print(note, highlight=False, soft_wrap=True)
