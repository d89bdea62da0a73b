"""The report of a run under way, made again beside it when cells end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

LARGEST_SHARE = 0.05
"""Of the run's time that making reports may take."""
FIRST_AFTER_S = 30.0
"""Short runs end before a report of them would."""
NICENESS = 10


class LiveReport:
    """Keeps `RUN/report` up to date from a process of its own, at low priority, that the run never waits for.

    Reports are made one at a time, and after each comes a pause so long that they take at most ``LARGEST_SHARE`` of the
    time. One that fails is left to the report at the run's end, which tells why.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._process: subprocess.Popen[bytes] | None = None
        self._started, self._next = 0.0, time.monotonic() + FIRST_AFTER_S
        self._outdated = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End a report that is being made: files are replaced whole, so none is left half written."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def update(self, cell_ended: bool) -> None:
        """To be called often, about twice a second: starts a report when one is due."""
        now = time.monotonic()
        self._outdated |= cell_ended
        if self._process is not None and self._process.poll() is not None:
            self._process = None
            self._next = now + (now - self._started) / LARGEST_SHARE
        if self._outdated and self._process is None and now >= self._next:
            self._outdated, self._started = False, now
            # -P: a file benchmark.py of the user's, where the command was called, is not ours.
            command = [sys.executable, "-P", "-m", "benchmark", "report", os.fspath(self._run)]
            self._process = subprocess.Popen(
                ["nice", "-n", str(NICENESS), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
