"""From a suite at one scale, seeds and a selection to cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from benchmark.errors import BenchmarkError, unknown_name
from benchmark.planning.cells import Cell, Pretraining
from benchmark.planning.config import Entry, Part, Suite, Training
from benchmark.planning.frames import count_training_frames
from benchmark.planning.given import find_given
from benchmark.planning.reading import check_options
from benchmark.planning.strategies import Strategy, from_file, needs_labels, pretrains
from reports.records.plan import Arm
from tasks.datasets.base import DatasetConfig, DatasetError
from tasks.datasets.storage.cache import default_data_dir
from tasks.registry import DATASETS

FILTERS = Arm._fields
MOST_CELLS = 100_000
"""Of one run folder, each of which has a folder in it."""

Choice = Literal["auto", "always", "never"]
"""Values of ``--compile``."""


def make_plan(
    suite: Suite,
    seeds: int | None = None,
    select: Mapping[str, list[str]] | None = None,
    data_dir: Path | None = None,
    first_seed: int = 0,
    more: Mapping[Arm, int] | None = None,
) -> list[Cell]:
    """The cells of a suite.

    Args:
        suite: a validated suite at one scale.
        seeds: how many seeds instead of the suite's and the models' numbers.
        select: names to keep, by ``dataset``, ``model`` or ``strategy``, or values of an option of the datasets
            (``molecule``, say); what is absent is not filtered.
        data_dir: folder of all datasets, where frames must be counted to match compute; None for the default.
        first_seed: the seeds are this one and those that follow it.
        more: numbers of seeds of single arms, where these are larger; arms that are not chosen are left out.

    Raises:
        BenchmarkError: for a filter or a name that does not exist, fewer than one seed, or frames that cannot be
            counted before the data is there.
    """
    check_numbers(seeds=seeds)
    datasets, models, strategies = select_names(suite, select or {})
    numbers = seed_numbers(suite, models, seeds)
    arms = {
        arm: max(numbers[arm.model], (more or {}).get(arm, 0))
        for arm in itertools.starmap(Arm, itertools.product(datasets, models, strategies))
    }
    _check_size(arms.values())
    planner = _Planner(suite, datasets, data_dir or default_data_dir())
    return [
        planner.cell(arm, first_seed + seed)
        for seed in range(max(arms.values()))
        for arm, number in arms.items()
        if seed < number
    ]


def check_selection(suite: Suite, select: Mapping[str, list[str]], seeds: int | None = None) -> None:
    """Refuse what cannot be planned, before anything is made for it; see ``make_plan``.

    Raises:
        BenchmarkError: for a name that does not exist, or more cells than a run folder holds.
    """
    datasets, models, strategies = select_names(suite, select)
    _check_size([number * len(datasets) * len(strategies) for number in seed_numbers(suite, models, seeds).values()])


def _check_size(cells: Iterable[int]) -> None:
    count = sum(cells)
    if count > MOST_CELLS:
        raise BenchmarkError(
            f"these are {count} cells; a run folder holds at most {MOST_CELLS}. Choose fewer with --seeds or --select"
        )


def seed_numbers(suite: Suite, models: Iterable[str], seeds: int | None = None) -> dict[str, int]:
    """Number of seeds of each model: the one asked for, else its own, else the suite's."""
    return {model: seeds or suite.models[model].seeds or suite.seeds for model in models}


def pretraining_parts(suite: Suite, datasets: list[str], seeds: Iterable[int]) -> list[Part]:
    """What the arms of a suite pretrain on, where these of its datasets and seeds are chosen; each once."""
    planner = _Planner(suite, datasets, default_data_dir())
    parts = [
        part
        for arm, dataset, seed in itertools.product(suite.strategies.values(), datasets, seeds)
        for part in (planner.parts(arm, dataset, seed).values() if pretrains(arm) else ())
    ]
    return list({part.model_dump_json(): part for part in parts}.values())


def check_choice(choice: str) -> Choice:
    """The value of ``--compile``.

    Raises:
        BenchmarkError: for any other word.
    """
    for allowed in get_args(Choice):
        if choice == allowed:
            return allowed
    raise BenchmarkError(f"--compile {choice}: unknown; allowed are {', '.join(get_args(Choice))}")


def check_numbers(**options: int | None) -> None:
    """Refuse numbers below one; None stands for a default.

    Raises:
        BenchmarkError: naming the option.
    """
    for name, number in options.items():
        if number is not None and number < 1:
            raise BenchmarkError(f"--{name} {number}: at least 1 is needed")


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
        strategy = self.suite.strategies[arm.strategy]
        training = self.suite.training_of(arm.dataset, arm.model, arm.strategy)
        phase = training.finetune
        if strategy.extended:
            phase = phase.model_copy(update={"epochs": phase.epochs + self._epochs_to_match(arm, seed)})
        return Cell(
            # Labels say nothing about the result and stay out of the key; how training differs is in the phase.
            dataset=self.suite.datasets[arm.dataset].of_seed(seed).model_copy(update={"label": None, "training": {}}),
            pretraining=self._pretraining(strategy, arm, seed) if pretrains(strategy) else None,
            given=find_given(self.suite, arm, seed) if strategy.pretext and from_file(strategy.pretext) else None,
            phase=phase,
            transfer=strategy.transfer,
            auxiliary=strategy.auxiliary,
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
            "rotate": training.rotate,
            "seed": seed,
        }

    def _pretraining(self, strategy: Strategy, arm: Arm, seed: int) -> Pretraining:
        assert strategy.pretext is not None
        training = self._pretraining_training(arm.strategy, arm)
        parts = self.parts(strategy, arm.dataset, seed)
        data = arm.dataset if len(parts) == 1 else f"{len(parts)} datasets"
        return Pretraining(
            parts=tuple(parts.values()),
            sharers=len(parts) if strategy.pretrain_on == "pooled" else 1,
            pretext=strategy.pretext,
            phase=training.pretrain,
            name=f"{data}/{arm.model}/{strategy.pretext.kind} pretraining/seed {seed}",
            **self._common(arm.model, training, seed),
        )

    def _pretraining_training(self, strategy: str | None, arm: Arm) -> Training:
        """How an arm pretrains: what several datasets may share is not trained as one of them."""
        own = strategy is None or self.suite.strategies[strategy].pretrain_on == "own"
        return self.suite.training_of(arm.dataset if own else None, arm.model, strategy)

    def parts(self, strategy: Strategy, dataset: str, seed: int) -> dict[str, Part]:
        """Where pretraining's structures come from, by name: each once.

        What share of the labels may be used counts only where pretraining learns them.
        """
        assert strategy.pretext is not None
        learns = needs_labels(strategy.pretext) and strategy.labels_from is None
        if isinstance(strategy.pretrain_on, list):
            names = strategy.pretrain_on
        else:
            names = [dataset] if strategy.pretrain_on == "own" else self.chosen
        datasets = {name: entry.of_seed(seed) for name, entry in self.suite.datasets.items()}
        entries = {**datasets, **self.suite.structures}
        fields = {"kind", "options", "split"} | ({"labelled"} if learns else set())
        parts = {name: Part(**entries[name].model_dump(include=fields)) for name in names}
        if strategy.labels_from is not None:
            parts = {name: _relabelled(part, strategy.labels_from) for name, part in parts.items()}
        first = {part.model_dump_json(): name for name, part in reversed(parts.items())}
        return {name: part for name, part in parts.items() if first[part.model_dump_json()] == name}

    def _epochs_to_match(self, extended: Arm, seed: int) -> int:
        """Epochs over the dataset's training frames that see as many frames as the arm does beside finetuning."""
        name = self.suite.matched_by(extended.strategy)
        training = self._pretraining_training(name, extended)
        if name is None:
            return training.pretrain.epochs
        matched = self.suite.strategies[name]
        # An auxiliary task sees each frame of finetuning a second time.
        again = training.finetune.epochs if matched.auxiliary else 0
        if matched.pretext is None:
            return again
        if from_file(matched.pretext):
            return again + self._epochs_of_file(extended, name, seed)
        if matched.pretrain_on == "own":
            return again + training.pretrain.epochs
        sources = self.parts(matched, extended.dataset, seed)
        seen = sum(self._training_frames(name, seed) for name in sources)
        sharers = len(sources) if matched.pretrain_on == "pooled" else 1
        own = self._training_frames(extended.dataset, seed)
        return again + math.ceil(training.pretrain.epochs * seen / sharers / own)

    def _epochs_of_file(self, extended: Arm, name: str, seed: int) -> int:
        """Epochs that see as many frames as the pretraining of a body did, as its file says."""
        given = find_given(self.suite, extended._replace(strategy=name), seed)
        if given.spent is None:
            raise BenchmarkError(
                f"strategy {extended.strategy!r} is to see as many frames as {name!r}, but {given.path} does not say "
                f"what its pretraining has cost. Name another arm in `extended`, or leave this arm out"
            )
        own = self._training_frames(extended.dataset, seed)
        return math.ceil(given.spent.epochs * given.spent.frames / own)

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


def _relabelled(part: Part, labeller: Entry) -> Part:
    """The same structures with the labels of another level of theory."""
    options = check_options(DATASETS, part)
    assert isinstance(options, DatasetConfig)
    return part.model_copy(update=options.relabelled(part.kind, labeller.model_dump()))
