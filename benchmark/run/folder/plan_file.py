"""The plan of a run folder: written once, held to afterwards, added to by calls with other seeds or selections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from benchmark.errors import BenchmarkError
from benchmark.executors.nodes import FILE
from benchmark.planning.cells import Cell
from benchmark.planning.config import DatasetEntry, Suite
from benchmark.planning.primaries import planned_primaries, pool_of
from benchmark.planning.reading import build
from benchmark.planning.strategies import from_file, is_variant
from benchmark.run.folder.recovery import Recovered, recover
from reports.records.atomic import LaterSchemaError, RecordError, set_aside
from reports.records.folder import RunFolder
from reports.records.plan import Plan, PlannedCell, PlannedDataset, PlannedModel, PlannedStrategy
from tasks.datasets.base import Dataset, DatasetTask
from tasks.registry import DATASETS, MODELS

LOCK = ".run.lock"


def lock(run: RunFolder) -> FileLock:
    """Held while a run is at work in a folder.

    Raises:
        BenchmarkError: if another run holds it.
    """
    held = FileLock(run.path / LOCK)
    try:
        held.acquire(timeout=0)
    except Timeout as error:
        raise BenchmarkError(
            f"another run is at work in {run.path}. Wait for it (nnp-bench status {run.path}), "
            f"or choose another folder with --out"
        ) from error
    return held


def check(run: RunFolder, suite: Suite, data_dir: Path) -> Plan | Recovered | None:
    """Make sure that the folder is free, or was made by the same suite at the same scale; writes nothing.

    The number of seeds, all texts, the axis of figures and simulations may differ: they say nothing about a cell. So
    may the place of a body that was pretrained before: its content is held to by `write`.

    Returns:
        The plan of earlier calls, or what can be recovered of it; None if there were none.

    Raises:
        BenchmarkError: if the folder holds something else, or was made by another plan.
    """
    if run.path.exists() and not run.path.is_dir():
        raise BenchmarkError(f"{run.path} is a file: a run needs a folder of its own. Choose another with --out")
    before = _before(run, suite, data_dir)
    if before is None and run.path.is_dir() and any(p.name not in (LOCK, FILE) for p in run.path.iterdir()):
        raise BenchmarkError(
            f"folder {run.path} exists and holds no run (no plan.json). Choose an empty or new one with --out"
        )
    if not isinstance(before, Plan):
        return before
    old, new = _flatten(before.config), _flatten(suite.model_dump(mode="json"))
    arms = [name for name, arm in suite.strategies.items() if arm.pretext and from_file(arm.pretext)]
    places = {f"strategies.{name}.pretext.options.path" for name in arms}
    differing = [
        key
        for key in sorted(old.keys() | new.keys())
        if key not in ("seeds", "title", "description")
        and not re.fullmatch(r"models\.[^.]+\.seeds", key)
        and not (key.endswith(".label") and ".options." not in key)
        and not key.startswith(("sweep", "simulation"))
        and key not in places
        and old.get(key) != new.get(key)
    ]
    if differing:
        shown = "; ".join(f"{k} is {old.get(k)} there, {new.get(k)} now" for k in differing[:3])
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise BenchmarkError(
            f"run folder {run.path} was made by another plan: {shown}{more}. Nothing was changed; choose "
            f"another folder with --out"
        )
    return before


def _before(run: RunFolder, suite: Suite, data_dir: Path) -> Plan | Recovered | None:
    """The plan of earlier calls, or what can be recovered of a damaged or lost one; None if there were none."""
    if not run.plan.exists() and not run.holds_work:
        return None
    try:
        return run.read_plan()
    except LaterSchemaError:
        raise
    except RecordError:
        return recover(run, suite, data_dir)


def write(
    run: RunFolder,
    suite: Suite,
    cells: Sequence[Cell],
    command: str,
    data: Mapping[str, Dataset],
    data_dir: Path,
    until_percent: float | None = None,
) -> list[str]:
    """Note what is to be done; cells and commands of earlier calls stay in the plan.

    A plan that cannot be read is set aside and written anew.

    Args:
        run: the folder.
        suite: the suite.
        cells: what is planned now.
        command: the command line.
        data: the datasets as they were read, by the suite's names.
        data_dir: folder of all datasets.
        until_percent: the half-width up to which seeds are added, if they are; one of an earlier call stays.

    Returns:
        What happened to a plan that cannot be read, if that is so.

    Raises:
        BenchmarkError: if the folder holds cells of other data, or other work under the same names.
    """
    before = _before(run, suite, data_dir)
    contents = {name: dataset.content_hash for name, dataset in data.items()}
    known = before.data if before else {}
    for name, content in known.items():
        if contents.get(name, content) != content:
            raise BenchmarkError(
                f"dataset {name!r} is not the one that run folder {run.path} was begun with: its content has hash "
                f"{contents[name]}, and had {content}. Point --data-dir to the data of then, or choose another "
                f"folder with --out"
            )
    files = _files(run, before.files if before else {}, cells)
    earlier = before.cells if before else []
    rows = {row.key: row for row in earlier} | {cell.key: cell.planned() for cell in cells}
    _check_distinct(run, rows.values())
    described = before.datasets if before else {}
    notes = []
    if isinstance(before, Recovered):
        aside = f", which is set aside as {set_aside(run.plan).name}" if run.plan.exists() else ""
        notes.append(f"{run.plan} could not be read{aside}; it is written anew from the suite and {len(earlier)} cells")
    run.write_plan(
        Plan(
            schema=3,
            suite=suite.name,
            title=suite.title,
            description=suite.description,
            scale=suite.scale,
            command="\n".join(dict.fromkeys([*(before.command.splitlines() if before else ()), command])),
            baselines=suite.baselines,
            primary=planned_primaries(suite),
            spread=suite.spread,
            until_percent=until_percent or (before.until_percent if before else None),
            datasets={
                name: _dataset(entry, _read(data, name), described.get(name)) for name, entry in suite.datasets.items()
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
                    variant=is_variant(arm),
                    from_file=bool(arm.pretext and from_file(arm.pretext)),
                )
                for name, arm in suite.strategies.items()
            },
            data={**known, **contents},
            files=files,
            sweep=suite.sweep,
            config=suite.model_dump(mode="json"),
            cells=sorted(rows.values(), key=lambda row: row.seed),
        )
    )
    return notes


def _files(run: RunFolder, known: Mapping[str, str], cells: Sequence[Cell]) -> dict[str, str]:
    """Hashes of the files that cells start from, those of earlier calls among them, by where they are.

    Raises:
        BenchmarkError: if one is not what the folder was begun with.
    """
    files = {cell.given.path: cell.given.content_hash for cell in cells if cell.given is not None}
    for path, content in known.items():
        if files.get(path, content) != content:
            raise BenchmarkError(
                f"{path} is not the file that run folder {run.path} was begun with: its content has hash "
                f"{files[path]}, and had {content}. Put the file of then there, or choose another folder with --out"
            )
    return {**known, **files}


def _read(data: Mapping[str, Dataset], name: str) -> Dataset | None:
    """A dataset that was read; of one that differs between seeds the first, None if there is none."""
    return next((found for key, found in data.items() if key == name or key.startswith(f"{name}, data of seed ")), None)


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
        pool=pool_of(entry),
        pooled_over=pooled,
        member=str(entry.options[pooled]) if pooled else None,
        # What an earlier call read of it stays true: its content is held to.
        stand_in=data.stand_in if data else before is not None and before.stand_in,
        labelled=entry.labelled or 1.0,
    )


def _check_distinct(run: RunFolder, rows: Iterable[PlannedCell]) -> None:
    """Raise BenchmarkError if the same names stand for different work, as after pretraining on another selection."""
    keys: dict[tuple[Any, ...], str] = {}
    for row in rows:
        if keys.setdefault((*row.arm, row.seed), row.key) != row.key:
            raise BenchmarkError(
                f"run folder {run.path} has another cell {'/'.join(row.arm)}/seed {row.seed}: with another "
                f"--select an arm that pretrains on pooled datasets is another, and with another file one that starts "
                f"from it. Nothing was changed; choose another folder with --out"
            )


def _flatten(content: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(content, dict) and content:
        parts = [_flatten(value, f"{prefix}.{key}" if prefix else key) for key, value in content.items()]
        return {key: value for part in parts for key, value in part.items()}
    return {prefix: content}
