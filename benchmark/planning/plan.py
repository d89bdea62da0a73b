"""Suite, scale and filters to a list of cells; a cell's key is the hash of all that determines it."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from benchmark.errors import BenchmarkError, unknown_name
from benchmark.planning.config import DatasetEntry, Entry, Finetune, Part, Phase, Strategy, Strict, Suite, Training
from benchmark.planning.frames import count_training_frames
from reports.records.plan import Arm, PlannedCell
from tasks.datasets.base import DatasetError
from tasks.datasets.storage.cache import default_data_dir

FORMAT = 1
"""Version of the meaning of a key: raised when the same configuration would give other results."""

FILTERS = Arm._fields


class Work(Strict):
    """What determines a pretraining and a cell alike; its key is the hash of the whole content, without names."""

    model: Entry
    batch_size: int
    eval_batch_size: int
    seed: int
    phase: Phase

    @property
    def key(self) -> str:
        """First 12 hex digits of the SHA-256 of the content."""
        canonical = json.dumps({"format": FORMAT, **self.model_dump(mode="json")}, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def trains_on(self) -> tuple[DatasetEntry | Part, ...]:
        """The datasets whose training frames the fit goes over."""
        raise NotImplementedError

    @property
    def reads(self) -> tuple[Entry, ...]:
        """All datasets that the result depends on."""
        raise NotImplementedError


class Pretraining(Work):
    """All that determines a pretrained potential; cells that need the same one share it.

    Attributes:
        parts: the datasets whose structures it sees.
        sharers: datasets that bear its cost, each the same part: those of a pool, else 1.
        name: names for people; not part of the key.
    """

    parts: tuple[Part, ...]
    sharers: int
    pretext: Entry
    name: str = Field(exclude=True)

    @property
    def trains_on(self) -> tuple[Part, ...]:
        """See ``Work.trains_on``."""
        return self.parts

    @property
    def reads(self) -> tuple[Entry, ...]:
        """See ``Work.reads``."""
        return self.parts


class Cell(Work):
    """All that determines one record: dataset × model × strategy × seed, resolved.

    Attributes:
        arm: what the suite calls its dataset, model and strategy; like suite and scale not part of the key.
    """

    dataset: DatasetEntry
    pretraining: Pretraining | None
    phase: Finetune
    arm: Arm = Field(exclude=True)
    suite: str = Field(exclude=True)
    scale: str = Field(exclude=True)

    @property
    def trains_on(self) -> tuple[DatasetEntry, ...]:
        """See ``Work.trains_on``."""
        return (self.dataset,)

    @property
    def own(self) -> tuple[Entry, ...]:
        """The datasets that it is finetuned, validated and tested on."""
        return (self.dataset, *self.dataset.extra_tests.values())

    @property
    def reads(self) -> tuple[Entry, ...]:
        """See ``Work.reads``."""
        return self.own + (self.pretraining.reads if self.pretraining else ())

    @property
    def name(self) -> str:
        """Names for people: dataset, model, strategy and seed."""
        return f"{'/'.join(self.arm)}/seed {self.seed}"

    def planned(self) -> PlannedCell:
        """The row of this cell in plan.json."""
        return PlannedCell(
            key=self.key,
            **self.arm._asdict(),
            seed=self.seed,
            pretraining_key=self.pretraining.key if self.pretraining else None,
            pretrain_epochs=self.pretraining.phase.epochs if self.pretraining else 0,
            finetune_epochs=self.phase.epochs,
        )


def make_plan(
    suite: Suite,
    seeds: int | None = None,
    select: Mapping[str, list[str]] | None = None,
    data_dir: Path | None = None,
) -> list[Cell]:
    """The cells of a suite.

    Args:
        suite: a validated suite at one scale.
        seeds: how many seeds instead of the suite's number.
        select: names to keep, by ``dataset``, ``model`` or ``strategy``, or values of an option of the datasets
            (``molecule``, say); what is absent is not filtered.
        data_dir: folder of all datasets, where frames must be counted to match compute; None for the default.

    Raises:
        BenchmarkError: for a filter or a name that does not exist, fewer than one seed, or frames that cannot be
            counted before the data is there.
    """
    if seeds is not None and seeds < 1:
        raise BenchmarkError(f"--seeds {seeds}: at least 1 is needed")
    datasets, models, strategies = select_names(suite, select or {})
    planner = _Planner(suite, datasets, data_dir or default_data_dir())
    return [
        planner.cell(Arm(dataset, model, strategy), seed)
        for seed in range(seeds or suite.seeds)
        for dataset, model, strategy in itertools.product(datasets, models, strategies)
    ]


def select_names(suite: Suite, select: Mapping[str, list[str]]) -> list[list[str]]:
    """Names of the datasets, models and strategies that are chosen; see ``make_plan``."""
    tables: dict[str, Mapping[str, Any]] = dict(
        zip(FILTERS, (suite.datasets, suite.models, suite.strategies), strict=True)
    )
    chosen = {field: [*table] for field, table in tables.items()}
    options = {option for entry in suite.datasets.values() for option in entry.options}
    for field, names in select.items():
        if field in tables:
            owners = {name: [name] for name in tables[field]}
        elif field in options:
            owners = {}
            for name, entry in suite.datasets.items():
                if field in entry.options:
                    owners.setdefault(str(entry.options[field]), []).append(name)
        else:
            raise unknown_name(
                "field of --select",
                field,
                FILTERS,
                f"Options of the datasets may be given too: {', '.join(sorted(options))}. "
                "Write --select model=egnn,strategy=masked.",
            )
        for name in names:
            if name not in owners:
                raise unknown_name(field, name, owners, f"These are those of suite {suite.name!r}.")
        kept = {owner for name in names for owner in owners[name]}
        target = field if field in tables else "dataset"
        chosen[target] = [name for name in chosen[target] if name in kept]
    empty = [field for field, names in chosen.items() if not names]
    if empty:
        raise BenchmarkError(f"--select leaves no {empty[0]} of suite {suite.name!r}; choose fewer conditions")
    return [chosen[field] for field in FILTERS]


@dataclass(frozen=True)
class _Planner:
    """Resolves cells of the chosen datasets of a suite."""

    suite: Suite
    chosen: list[str]
    data_dir: Path

    def cell(self, arm: Arm, seed: int) -> Cell:
        """The cell of these names."""
        strategy, training = self.suite.strategies[arm.strategy], self.suite.training_of(arm.dataset, arm.model)
        phase = training.finetune
        if strategy.extended:
            phase = phase.model_copy(update={"epochs": phase.epochs + self._epochs_to_match(arm, seed)})
        return Cell(
            # Labels say nothing about the result and stay out of the key; how training differs is in the phase.
            dataset=self.suite.datasets[arm.dataset].model_copy(update={"label": None, "training": {}}),
            pretraining=None if strategy.pretext is None else self._pretraining(strategy, arm, seed),
            phase=phase,
            arm=arm,
            suite=self.suite.name,
            scale=self.suite.scale,
            **self._common(arm.model, training, seed),
        )

    def _common(self, model: str, training: Training, seed: int) -> dict[str, Any]:
        return {
            "model": Entry(kind=self.suite.models[model].kind, options=self.suite.models[model].options),
            "batch_size": training.batch_size,
            "eval_batch_size": training.eval_batch_size,
            "seed": seed,
        }

    def _pretraining(self, strategy: Strategy, arm: Arm, seed: int) -> Pretraining:
        assert strategy.pretext is not None
        training = self._pretraining_training(strategy.pretrain_on == "own", arm)
        parts = self._parts(strategy, arm.dataset)
        data = arm.dataset if len(parts) == 1 else f"{len(parts)} datasets"
        return Pretraining(
            parts=tuple(parts.values()),
            sharers=len(parts) if strategy.pretrain_on == "pooled" else 1,
            pretext=strategy.pretext,
            phase=training.pretrain,
            name=f"{data}/{arm.model}/{strategy.pretext.kind} pretraining/seed {seed}",
            **self._common(arm.model, training, seed),
        )

    def _pretraining_training(self, own: bool, arm: Arm) -> Training:
        """How pretraining is trained: what several datasets may share is not trained as one of them."""
        return self.suite.training_of(arm.dataset if own else None, arm.model)

    def _parts(self, strategy: Strategy, dataset: str) -> dict[str, Part]:
        """Where pretraining's structures come from, by name: each once, whatever share of its labels may be used."""
        if isinstance(strategy.pretrain_on, list):
            names = strategy.pretrain_on
        else:
            names = [dataset] if strategy.pretrain_on == "own" else self.chosen
        entries = {**self.suite.datasets, **self.suite.structures}
        parts = {name: Part(**entries[name].model_dump(include={"kind", "options", "split"})) for name in names}
        first = {part.model_dump_json(): name for name, part in reversed(parts.items())}
        return {name: part for name, part in parts.items() if first[part.model_dump_json()] == name}

    def _epochs_to_match(self, extended: Arm, seed: int) -> int:
        """Epochs over the dataset's training frames that see as many frames as the pretraining does."""
        matched = self.suite.matched_by(extended.strategy)
        own = matched is None or matched.pretrain_on == "own"
        epochs = self._pretraining_training(own, extended).pretrain.epochs
        if matched is None or own:
            return epochs
        sources = self._parts(matched, extended.dataset)
        seen = sum(self._training_frames(name, seed) for name in sources)
        sharers = len(sources) if matched.pretrain_on == "pooled" else 1
        return math.ceil(epochs * seen / sharers / self._training_frames(extended.dataset, seed))

    def _training_frames(self, name: str, seed: int) -> int:
        entry = self.suite.datasets.get(name) or self.suite.structures[name]
        try:
            frames = count_training_frames(entry, seed, self.data_dir)
        except DatasetError as error:
            raise DatasetError(f"dataset {name!r}: {error}") from error
        if frames is None:
            raise BenchmarkError(
                f"frames of dataset {name!r} cannot be counted before its data is in {self.data_dir}, and an "
                f"arm is matched to a pretraining on other structures. Prepare it first: python -m benchmark data "
                f"prepare, with the same --suite, --scale and --data-dir"
            )
        return frames
