"""The run folder: the plan, and one folder a cell and a pretraining. It is the truth about what was done.

::

    RUN/plan.json                    what is to be done
    RUN/cells/KEY/status.json        how far it is
                  provenance.json    configuration, versions, commit, hardware, split hash
                  splits.npz         indices of training, validation and test frames
                  best.ckpt last.ckpt
                  curves.parquet record.parquet elements.parquet predictions.parquet
                  log.txt
    RUN/pretrainings/KEY/            likewise, with potential.pt in place of a record
    RUN/report/
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from benchmark.errors import BenchmarkError
from benchmark.files import read_json, write_json
from benchmark.planning.config import Suite
from benchmark.planning.plan import PlannedCell
from tasks.datasets.base import Dataset

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
    def elements(self) -> Path:
        """The cell's force errors by element."""
        return self.path / "elements.parquet"

    @property
    def predictions(self) -> Path:
        """A sample of the cell's test predictions."""
        return self.path / "predictions.parquet"

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
        status = read_json(self.path / "status.json") or {}
        return {"state": "pending", **status}

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

    def check(self, suite: Suite) -> None:
        """Make sure that the folder is free, or was made by the same suite at the same scale; writes nothing.

        The number of seeds, all texts and the axis of figures may differ: they say nothing about a cell.

        Raises:
            BenchmarkError: if the folder holds something else, or was made by another plan.
        """
        if not self.plan.exists():
            if self.path.is_dir() and any(p.name != ".run.lock" for p in self.path.iterdir()):
                raise BenchmarkError(
                    f"folder {self.path} exists and holds no run (no plan.json). Choose an empty or new one with --out"
                )
            return
        old, new = _flatten(self.read_plan()["config"]), _flatten(suite.model_dump(mode="json"))
        differing = [
            key
            for key in sorted(old.keys() | new.keys())
            if key not in ("seeds", "title", "description")
            and not (key.endswith(".label") and ".options." not in key)
            and not key.startswith("sweep")
            and old.get(key) != new.get(key)
        ]
        if differing:
            shown = "; ".join(f"{k} is {old.get(k)} there, {new.get(k)} now" for k in differing[:3])
            more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
            raise BenchmarkError(
                f"run folder {self.path} was made by another plan: {shown}{more}. Nothing was changed; choose "
                f"another folder with --out"
            )

    def read_plan(self) -> dict[str, Any]:
        """Content of plan.json.

        Raises:
            BenchmarkError: if there is none, or it is damaged.
        """
        plan = read_json(self.plan)
        if plan is None:
            raise BenchmarkError(
                f"{self.path} holds no run (no plan.json); give the folder that `run` made, e.g. runs/water-quick"
            )
        missing = [key for key in ("config", "cells", "command") if key not in plan]
        if missing:
            raise BenchmarkError(
                f"{self.plan} is damaged: it lacks {', '.join(missing)}. Choose another folder with --out"
            )
        return plan

    def write_plan(self, suite: Suite, cells: Sequence[PlannedCell], command: str, data: Mapping[str, Dataset]) -> None:
        """Note what is to be done; cells and commands of earlier calls (other seeds or selections) stay in the plan.

        Args:
            suite: the suite.
            cells: what is planned now.
            command: the command line.
            data: the datasets as they were read, by the suite's names.

        Raises:
            BenchmarkError: if the folder holds cells of other data.
        """
        before: dict[str, Any] = {"cells": [], "command": ""}
        if self.plan.exists():
            before = self.read_plan()
        contents = {name: dataset.content_hash for name, dataset in data.items()}
        for name, content in before.get("data", {}).items():
            if contents.get(name, content) != content:
                raise BenchmarkError(
                    f"dataset {name!r} is not the one that run folder {self.path} was begun with: its content has hash "
                    f"{contents[name]}, and had {content}. Point --data-dir to the data of then, or choose another "
                    f"folder with --out"
                )
        rows = {row["key"]: row for row in before["cells"]} | {c.cell.key: c.summary() for c in cells}
        _check_distinct(self.path, rows.values())
        commands = dict.fromkeys([*before["command"].splitlines(), command])
        write_json(
            self.plan,
            {
                "schema": 1,
                "suite": suite.name,
                "title": suite.title,
                "description": suite.description,
                "scale": suite.scale,
                "command": "\n".join(commands),
                "baselines": suite.baselines,
                "labels": _labels(suite, data),
                "data": {**before.get("data", {}), **contents},
                "sweep": suite.sweep.model_dump(mode="json") if suite.sweep else None,
                "config": suite.model_dump(mode="json"),
                "cells": sorted(rows.values(), key=lambda row: row["seed"]),
            },
        )


def _check_distinct(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Raise BenchmarkError if the same names stand for different work, as after pretraining on another selection."""
    keys: dict[tuple[Any, ...], str] = {}
    for row in rows:
        place = (row["dataset"], row["model"], row["strategy"], row["seed"])
        if keys.setdefault(place, row["key"]) != row["key"]:
            raise BenchmarkError(
                f"run folder {path} has another cell {'/'.join(map(str, place[:3]))}/seed {place[3]}: with another "
                f"--select an arm that pretrains on pooled datasets is another. Nothing was changed; choose another "
                f"folder with --out"
            )


def _labels(suite: Suite, data: Mapping[str, Dataset]) -> dict[str, dict[str, str]]:
    """The suite's labels; what the data itself says that it is goes before the title of its kind."""
    labels = suite.labels()
    for name, entry in suite.datasets.items():
        found = data[name].title if name in data else None
        if found is not None and entry.label is None:
            labels["datasets"][name] = suite.dataset_label(name, found)
    return labels


def _flatten(content: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(content, dict) and content:
        parts = [_flatten(value, f"{prefix}.{key}" if prefix else key) for key, value in content.items()]
        return {key: value for part in parts for key, value in part.items()}
    return {prefix: content}
