"""The run folder: the plan, and one folder a cell and a pretraining. It is the truth about what was done.

::

    RUN/plan.json                    what is to be done
    RUN/cells/KEY/status.json        how far it is
                  provenance.json    configuration, versions, commit, hardware, split hash
                  splits.npz         indices of training, validation and test frames
                  best.ckpt last.ckpt
                  curves.parquet record.parquet
                  log.txt
    RUN/pretrainings/KEY/            likewise, with potential.pt in place of a record
    RUN/report/
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from benchmark.config import Suite
from benchmark.errors import BenchmarkError
from benchmark.files import read_json, write_json
from benchmark.plan import PlannedCell

State = Literal["pending", "running", "ok", "diverged", "failed"]
Unfinished = Literal["diverged", "failed"]

FINISHED: tuple[State, ...] = ("ok", "diverged")
"""States that a later run does not repeat; a failure may have been the machine's and is tried again."""


class JobFolder:
    """Folder of one cell or one pretraining."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def record(self) -> Path:
        """The cell's rows."""
        return self.path / "record.parquet"

    @property
    def curves(self) -> Path:
        """Losses and errors by epoch."""
        return self.path / "curves.parquet"

    @property
    def potential(self) -> Path:
        """Weights of a pretrained potential."""
        return self.path / "potential.pt"

    @property
    def result(self) -> Path:
        """Steps and seconds of a pretraining."""
        return self.path / "result.json"

    @property
    def provenance(self) -> Path:
        """What the numbers depend on."""
        return self.path / "provenance.json"

    @property
    def log(self) -> Path:
        """What the worker printed."""
        return self.path / "log.txt"

    def status(self) -> dict[str, Any]:
        """Last known state; ``{"state": "pending"}`` before anything was done."""
        return read_json(self.path / "status.json") or {"state": "pending"}

    def set_status(self, state: State, reason: str | None = None, **details: Any) -> None:
        """Replace the state; details are the progress of a running fit."""
        self.path.mkdir(parents=True, exist_ok=True)
        content = {"state": state, "reason": reason, "updated": time.time(), **details}
        write_json(self.path / "status.json", content)


class RunFolder:
    """A folder that one plan fills."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def plan(self) -> Path:
        """The plan's file."""
        return self.path / "plan.json"

    def cell(self, key: str) -> JobFolder:
        """Folder of a cell."""
        return JobFolder(self.path / "cells" / key)

    def pretraining(self, key: str) -> JobFolder:
        """Folder of a pretraining."""
        return JobFolder(self.path / "pretrainings" / key)

    def lock(self) -> FileLock:
        """Held while a run is at work here.

        Raises:
            BenchmarkError: if another run holds it.
        """
        lock = FileLock(self.path / ".run.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise BenchmarkError(
                f"another run is at work in {self.path}. Wait for it (python -m benchmark status {self.path}), "
                f"or choose another folder with --out"
            ) from error
        return lock

    def open(self, suite: Suite, cells: Sequence[PlannedCell], command: str) -> None:
        """Create the folder, or make sure that it was made by the same suite at the same scale.

        Cells that an earlier call planned (other seeds, another selection) stay in the plan.

        Raises:
            BenchmarkError: if the folder cannot be written, holds something else, or was made by another plan.
        """
        config = suite.model_dump(mode="json")
        known = []
        if self.plan.exists():
            before = read_json(self.plan)
            self._check_same_plan(before["config"], config)
            known = before["cells"]
        elif self.path.exists() and any(p for p in self.path.iterdir() if p.name != ".run.lock"):
            raise BenchmarkError(
                f"folder {self.path} exists and holds no run (no plan.json). Choose an empty or a new one with --out"
            )
        rows = {row["key"]: row for row in known} | {c.cell.key: c.summary() for c in cells}
        write_json(
            self.plan,
            {
                "schema": 1,
                "suite": suite.name,
                "title": suite.title,
                "description": suite.description,
                "scale": suite.scale,
                "command": command,
                "baselines": suite.baselines,
                "labels": suite.labels(),
                "config": config,
                "cells": sorted(rows.values(), key=lambda row: row["seed"]),
            },
        )

    def _check_same_plan(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        """Refuse to mix: only the number of seeds may differ."""
        old, new = _flatten(before), _flatten(now)
        differing = [k for k in sorted(old.keys() | new.keys()) if k != "seeds" and old.get(k) != new.get(k)]
        if differing:
            shown = "; ".join(f"{k} is {old.get(k)} there, {new.get(k)} now" for k in differing[:3])
            more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
            raise BenchmarkError(
                f"run folder {self.path} was made by another plan: {shown}{more}. Nothing was changed; choose "
                f"another folder with --out"
            )


def _flatten(content: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(content, dict) and content:
        parts = [_flatten(value, f"{prefix}.{key}" if prefix else key) for key, value in content.items()]
        return {key: value for part in parts for key, value in part.items()}
    return {prefix: content}
