"""Suite, scale and filters to a list of cells; a cell's key is the hash of all that determines it."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from typing import Any

from benchmark.config import DatasetEntry, Entry, Finetune, Phase, Strict, Suite
from benchmark.errors import BenchmarkError, unknown_name

FORMAT = 1
"""Version of the meaning of a key: raised when the same configuration would give other results."""

FILTERS = ("dataset", "model", "strategy")


class Work(Strict):
    """What determines a pretraining and a cell alike; its key is the hash of the whole content."""

    dataset: DatasetEntry
    model: Entry
    batch_size: int
    eval_batch_size: int
    seed: int

    @property
    def key(self) -> str:
        """First 12 hex digits of the SHA-256 of the content."""
        canonical = json.dumps({"format": FORMAT, **self.model_dump(mode="json")}, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


class Pretraining(Work):
    """All that determines a pretrained potential; cells that need the same one share it."""

    pretext: Entry
    phase: Phase


class Cell(Work):
    """All that determines one record: dataset × model × strategy × seed, resolved."""

    pretraining: Pretraining | None
    phase: Finetune


class PlannedCell(Strict):
    """A cell and the names that the suite gives to its parts."""

    dataset: str
    model: str
    strategy: str
    cell: Cell

    @property
    def name(self) -> str:
        """Names for people: dataset, model, strategy and seed."""
        return f"{self.dataset}/{self.model}/{self.strategy}/seed {self.cell.seed}"

    def summary(self) -> dict[str, Any]:
        """The row of this cell in plan.json."""
        pretraining = self.cell.pretraining
        return {
            "key": self.cell.key,
            "dataset": self.dataset,
            "model": self.model,
            "strategy": self.strategy,
            "seed": self.cell.seed,
            "pretraining_key": pretraining.key if pretraining else None,
            "pretrain_epochs": pretraining.phase.epochs if pretraining else 0,
            "finetune_epochs": self.cell.phase.epochs,
        }


def make_plan(
    suite: Suite, seeds: int | None = None, select: Mapping[str, list[str]] | None = None
) -> list[PlannedCell]:
    """The cells of a suite.

    Args:
        suite: a validated suite at one scale.
        seeds: how many seeds instead of the suite's number.
        select: names to keep, by ``dataset``, ``model`` or ``strategy``; what is absent is not filtered.

    Raises:
        BenchmarkError: for a filter or a name that does not exist, or fewer than one seed.
    """
    if seeds is not None and seeds < 1:
        raise BenchmarkError(f"--seeds {seeds}: at least 1 is needed")
    select = dict(select or {})
    tables: dict[str, Mapping[str, Any]] = dict(
        zip(FILTERS, (suite.datasets, suite.models, suite.strategies), strict=True)
    )
    for field, names in select.items():
        if field not in tables:
            raise unknown_name("field of --select", field, FILTERS, "Write --select model=egnn,strategy=masked.")
        for name in names:
            if name not in tables[field]:
                raise unknown_name(field, name, tables[field], f"These are those of suite {suite.name!r}.")
    datasets, models, strategies = (
        [name for name in tables[field] if name in select.get(field, tables[field])] for field in FILTERS
    )
    return [
        PlannedCell(dataset=dataset, model=model, strategy=strategy, cell=_cell(suite, dataset, model, strategy, seed))
        for seed in range(seeds or suite.seeds)
        for dataset, model, strategy in itertools.product(datasets, models, strategies)
    ]


def _cell(suite: Suite, dataset: str, model: str, strategy: str, seed: int) -> Cell:
    training, arm = suite.training_of(model), suite.strategies[strategy]
    # Labels say nothing about the result and stay out of the key.
    common: dict[str, Any] = {
        "dataset": suite.datasets[dataset].model_copy(update={"label": None}),
        "model": Entry(kind=suite.models[model].kind, options=suite.models[model].options),
        "batch_size": training.batch_size,
        "eval_batch_size": training.eval_batch_size,
        "seed": seed,
    }
    pretraining = None
    if arm.pretext is not None:
        # Pretraining needs no label: cells with different labelled shares start from the same one.
        unlabelled = {**common, "dataset": common["dataset"].model_copy(update={"labelled": None})}
        pretraining = Pretraining(pretext=arm.pretext, phase=training.pretrain, **unlabelled)
    phase = training.finetune
    if arm.extended:
        phase = phase.model_copy(update={"epochs": phase.epochs + training.pretrain.epochs})
    return Cell(pretraining=pretraining, phase=phase, **common)
