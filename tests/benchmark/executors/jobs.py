"""Jobs that do next to nothing."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from reports.records.folder import JobFolder


@dataclass(frozen=True)
class Where:
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Noting:
    """A job that leaves the number of its process, or ends it, or sends it a signal."""

    key: str
    path: Path
    dies: bool = False
    signal: int = 0
    cells: int = 1
    needs: str | None = None
    settings: Where = Where()
    seed: int = 0
    to_compile: str | None = None

    @property
    def name(self):
        return self.key

    @property
    def folder(self):
        return JobFolder(self.path / self.key)

    def run(self):
        print(f"this is {self.key}")
        logging.getLogger("lightning.pytorch").info("what a library says of itself")
        if self.dies:
            os._exit(7)
        if self.signal:
            os.kill(os.getpid(), self.signal)
            time.sleep(60)
        time.sleep(0.05)
        self.folder.set_status("ok", reason=str(os.getpid()))

    def give_up(self, reason, state="failed", facts=None):
        self.folder.set_status(state, reason)
