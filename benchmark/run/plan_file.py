"""The plan of a run folder: written once, held to afterwards, added to by calls with other seeds or selections."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from filelock import FileLock, Timeout

from benchmark.errors import BenchmarkError
from benchmark.planning.cells import Cell
from benchmark.planning.config import DatasetEntry, Suite, build
from reports.records.folder import RunFolder
from reports.records.plan import Plan, PlannedCell, PlannedDataset, PlannedModel, PlannedStrategy
from tasks.datasets.base import Dataset, DatasetTask
from tasks.registry import DATASETS, MODELS


def lock(run: RunFolder) -> FileLock:
    """Held while a run is at work in a folder.

    Raises:
        BenchmarkError: if another run holds it.
    """
    held = FileLock(run.path / ".run.lock")
    try:
        held.acquire(timeout=0)
    except Timeout as error:
        raise BenchmarkError(
            f"another run is at work in {run.path}. Wait for it (python -m benchmark status {run.path}), "
            f"or choose another folder with --out"
        ) from error
    return held


def check(run: RunFolder, suite: Suite) -> None:
    """Make sure that the folder is free, or was made by the same suite at the same scale; writes nothing.

    The number of seeds, all texts, the axis of figures and simulations may differ: they say nothing about a cell.

    Raises:
        BenchmarkError: if the folder holds something else, or was made by another plan.
    """
    if not run.plan.exists():
        if run.path.is_dir() and any(p.name != ".run.lock" for p in run.path.iterdir()):
            raise BenchmarkError(
                f"folder {run.path} exists and holds no run (no plan.json). Choose an empty or new one with --out"
            )
        return
    old, new = _flatten(run.read_plan().config), _flatten(suite.model_dump(mode="json"))
    differing = [
        key
        for key in sorted(old.keys() | new.keys())
        if key not in ("seeds", "title", "description")
        and not (key.endswith(".label") and ".options." not in key)
        and not key.startswith(("sweep", "simulation"))
        and old.get(key) != new.get(key)
    ]
    if differing:
        shown = "; ".join(f"{k} is {old.get(k)} there, {new.get(k)} now" for k in differing[:3])
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise BenchmarkError(
            f"run folder {run.path} was made by another plan: {shown}{more}. Nothing was changed; choose "
            f"another folder with --out"
        )


def write(run: RunFolder, suite: Suite, cells: Sequence[Cell], command: str, data: Mapping[str, Dataset]) -> None:
    """Note what is to be done; cells and commands of earlier calls stay in the plan.

    Args:
        run: the folder.
        suite: the suite.
        cells: what is planned now.
        command: the command line.
        data: the datasets as they were read, by the suite's names.

    Raises:
        BenchmarkError: if the folder holds cells of other data, or other work under the same names.
    """
    before = run.read_plan() if run.plan.exists() else None
    contents = {name: dataset.content_hash for name, dataset in data.items()}
    known = before.data if before else {}
    for name, content in known.items():
        if contents.get(name, content) != content:
            raise BenchmarkError(
                f"dataset {name!r} is not the one that run folder {run.path} was begun with: its content has hash "
                f"{contents[name]}, and had {content}. Point --data-dir to the data of then, or choose another "
                f"folder with --out"
            )
    earlier = before.cells if before else []
    rows = {row.key: row for row in earlier} | {cell.key: cell.planned() for cell in cells}
    _check_distinct(run, rows.values())
    described = before.datasets if before else {}
    run.write_plan(
        Plan(
            schema=2,
            suite=suite.name,
            title=suite.title,
            description=suite.description,
            scale=suite.scale,
            command="\n".join(dict.fromkeys([*(before.command.splitlines() if before else ()), command])),
            baselines=suite.baselines,
            datasets={
                name: _dataset(entry, data.get(name), described.get(name)) for name, entry in suite.datasets.items()
            },
            models={
                name: PlannedModel(label=entry.label or MODELS.get(entry.kind).title, kind=entry.kind)
                for name, entry in suite.models.items()
            },
            strategies={
                name: PlannedStrategy(
                    label=arm.label,
                    pretext=arm.pretext.kind if arm.pretext else None,
                    options=arm.pretext.options if arm.pretext else {},
                    extended=bool(arm.extended),
                )
                for name, arm in suite.strategies.items()
            },
            data={**known, **contents},
            sweep=suite.sweep,
            config=suite.model_dump(mode="json"),
            cells=sorted(rows.values(), key=lambda row: row.seed),
        )
    )


def _dataset(entry: DatasetEntry, data: Dataset | None, before: PlannedDataset | None) -> PlannedDataset:
    """What a dataset says of itself: its kind by the options, the data, where it was read, by its content."""
    task: DatasetTask = build(DATASETS, entry)
    found = data.title if data else None
    label = entry.label or found or task.title
    pooled = task.pooled_over
    return PlannedDataset(
        label=label if entry.labelled is None else f"{label}, {100 * entry.labelled:g} % labelled",
        kind=entry.kind,
        options=entry.options,
        judged_by=task.judged_by,
        pool=_pool(entry, pooled) if pooled else None,
        pooled_over=pooled,
        member=str(entry.options[pooled]) if pooled else None,
        # What an earlier call read of it stays true: its content is held to.
        stand_in=data.stand_in if data else before is not None and before.stand_in,
        labelled=entry.labelled or 1.0,
    )


def _pool(entry: DatasetEntry, option: str) -> str:
    """All that members of one collection have in common."""
    content = entry.model_dump(mode="json", exclude={"label"})
    content["options"] = {name: value for name, value in content["options"].items() if name != option}
    return json.dumps(content, sort_keys=True)


def _check_distinct(run: RunFolder, rows: Iterable[PlannedCell]) -> None:
    """Raise BenchmarkError if the same names stand for different work, as after pretraining on another selection."""
    keys: dict[tuple[Any, ...], str] = {}
    for row in rows:
        if keys.setdefault((*row.arm, row.seed), row.key) != row.key:
            raise BenchmarkError(
                f"run folder {run.path} has another cell {'/'.join(row.arm)}/seed {row.seed}: with another "
                f"--select an arm that pretrains on pooled datasets is another. Nothing was changed; choose another "
                f"folder with --out"
            )


def _flatten(content: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(content, dict) and content:
        parts = [_flatten(value, f"{prefix}.{key}" if prefix else key) for key, value in content.items()]
        return {key: value for part in parts for key, value in part.items()}
    return {prefix: content}
