"""Datasets of a suite: made, fetched or found before anything needs them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmark.cell.checking.checks import chosen_entries
from benchmark.planning.config import Entry, Suite
from benchmark.planning.reading import build
from benchmark.run.machine import count_workers
from benchmark.run.watching.progress import Display
from tasks.datasets.base import DatasetError, DatasetTask
from tasks.registry import DATASETS


def prepare_suite(
    suite: Suite, select: Mapping[str, list[str]], data_dir: Path, jobs: int | None, display: Display
) -> None:
    """Make sure that the chosen datasets of a suite, and all that its arms name for pretraining, are there.

    Raises:
        BenchmarkError: for anything the user should correct.
        DatasetError: for what cannot be had, naming the dataset.
    """
    entries = chosen_entries(suite, select)
    prepare_data(entries, data_dir, count_workers(jobs, "cpu"), display)


def try_to_prepare(
    suite: Suite, select: Mapping[str, list[str]], data_dir: Path, jobs: int | None, display: Display
) -> dict[str, str]:
    """The same without an end at what cannot be had: its names, and why."""
    failed = {}
    for name, entry in chosen_entries(suite, select).items():
        try:
            prepare_data({name: entry}, data_dir, count_workers(jobs, "cpu"), display)
        except DatasetError as error:
            failed[name] = str(error)
    return failed


def prepare_data(entries: Mapping[str, Entry], data_dir: Path, workers: int, display: Display) -> None:
    """Make sure that datasets, by the suite's names, are there.

    Raises:
        DatasetError: for what cannot be had, naming the dataset.
    """
    for name, entry in entries.items():
        task: DatasetTask = build(DATASETS, entry)
        with display.preparing(name) as progress:
            try:
                task.prepare(data_dir, progress, workers=workers)
            except DatasetError as error:
                raise DatasetError(f"dataset {name!r}: {error}") from error
