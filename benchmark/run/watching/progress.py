"""Progress on the terminal: a line over all jobs, first and never cut, and one for each running job or dataset."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from benchmark.cell.job import Job
from benchmark.run.length.duration import duration
from benchmark.run.length.pace import Pace
from benchmark.run.watching.status import describe_status
from reports.records.status import Status

LOG_EVERY_SECONDS = 30.0
"""Between two lines on an output that is no terminal."""


class Display:
    """Live bars on a terminal, plain lines elsewhere (CI, a cluster's log)."""

    def __init__(self, console: Console, noun: str = "cells") -> None:
        self.console = console
        self._noun = noun
        self._live = console.is_terminal
        # What must be seen has a width of its own; names and details share the rest of the line.
        self._progress = Progress(
            TextColumn("{task.percentage:>3.0f} %", table_column=Column(width=5, no_wrap=True)),
            BarColumn(bar_width=10, table_column=Column(width=10)),
            TextColumn("{task.fields[left]}", table_column=Column(width=14, no_wrap=True)),
            TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
            console=console,
            disable=not self._live,
            expand=True,
        )
        self._jobs: list[Job] = []
        self._done_epochs = 0.0
        self._total_cells = 0
        self._done_cells = 0
        self._overall: TaskID | None = None
        self._lines: dict[str, TaskID] = {}
        self._pace = Pace([])
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @contextmanager
    def preparing(self, name: str) -> Iterator[Callable[[str, float], None]]:
        """A bar for one dataset; yields what the dataset calls with a message and a fraction."""
        task = self._progress.add_task(f"data: {name}", total=1.0, left="")
        last = ""

        def show(message: str, fraction: float) -> None:
            nonlocal last
            self._progress.update(task, completed=fraction, description=f"data: {name}: {message}")
            self._line(f"data: {name}: {message}, {100 * fraction:.0f} %", force=message != last)
            last = message

        try:
            yield show
        finally:
            self._progress.remove_task(task)

    def begin_jobs(self, jobs: Sequence[Job], total_cells: int) -> None:
        """Start the overall line; the work is counted in epochs, and the time left by the pace of each network."""
        if self._overall is not None:
            self._progress.remove_task(self._overall)
        self._jobs, self._pace, self._done_epochs = list(jobs), Pace(jobs), 0.0
        left = sum(job.cells for job in jobs)
        self._total_cells, self._done_cells = total_cells, total_cells - left
        total = float(sum(job.epochs for job in jobs))
        self._overall = self._progress.add_task(self._overall_text(), total=max(total, 1.0), left="")
        if self._done_cells:
            self.console.print(f"{self._done_cells} of {total_cells} {self._noun} were finished before; going on")

    def update(self, running: Sequence[Job], ended: Job | None) -> None:
        """Show what runs now, and what just ended."""
        assert self._overall is not None
        if ended is not None:
            self._end(ended)
        statuses = {job.key: job.folder.status() for job in running}
        fractions = {key: status.fraction for key, status in statuses.items()}
        for job in running:
            self._pace.begin(job, fractions[job.key])
        done = self._done_epochs + sum(job.epochs * fractions[job.key] for job in running)
        seconds = self._pace.seconds_left(fractions, workers=len(running))
        left = "" if seconds is None else f"{duration(seconds)} left"
        self._progress.update(self._overall, completed=done, description=self._overall_text(), left=left)
        for job in running:
            self._show(job, statuses[job.key])
        if ended is None and running:
            total = sum(job.epochs for job in self._jobs)
            about = f", about {left}" if left else ""
            lines = [f"{self._overall_text()}, {100 * done / total:.0f} %{about}"]
            lines += [f"  {job.name}: {describe_status(statuses[job.key])}" for job in running]
            self._line("\n".join(lines), force=False)

    def _overall_text(self) -> str:
        return f"{self._noun} {self._done_cells}/{self._total_cells}"

    def _show(self, job: Job, status: Status) -> None:
        if job.key not in self._lines:
            self._lines[job.key] = self._progress.add_task(f"  {job.name}", total=1.0, left="")
        left = "" if status.seconds_left is None else f"{duration(status.seconds_left)} left"
        # The name comes first: what is cut on a narrow terminal is the loss.
        detail = f"  {job.name}: {describe_status(status.model_copy(update={'seconds_left': None}))}"
        self._progress.update(self._lines[job.key], completed=status.fraction, description=detail, left=left)

    def _end(self, job: Job) -> None:
        self._pace.end(job)
        self._done_epochs += job.epochs
        self._done_cells += job.cells
        if job.key in self._lines:
            self._progress.remove_task(self._lines.pop(job.key))
        status = job.folder.status()
        reason = f": {status.reason}" if status.reason else ""
        self.console.print(f"{status.state:>8}  {job.name}{reason}", highlight=False, markup=False)

    def _line(self, text: str, force: bool) -> None:
        """A plain line where there is no terminal, not more often than every half minute."""
        now = time.monotonic()
        if self._live or not (force or now - self._last_line >= LOG_EVERY_SECONDS):
            return
        self._last_line = now
        self.console.print(text, highlight=False, markup=False)
