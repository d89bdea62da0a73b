"""Typed configuration of a suite. Unknown keys are refused; field descriptions are the reference."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from benchmark.planning.entries import Entry, Strict
from benchmark.planning.simulation import SimulationSettings
from benchmark.planning.strategies import Strategy, from_file
from benchmark.planning.suite_files import merge
from reports.records.plan import SpreadRule, Sweep
from tasks.datasets.splits import SplitConfig, TrajectorySplit


def _is_name(name: str) -> str:
    """Names become folders, files and columns; `@`, `%` and `+` are of `NAME@SHARE%`, `~` of the trials of `tune`."""
    if not re.fullmatch(r"\w[\w.@%+~-]{0,99}", name):
        raise ValueError("a name has up to 100 letters, digits and any of - _ . and begins with a letter or digit")
    return name


Name = Annotated[str, AfterValidator(_is_name)]
MOST_EPOCHS, LARGEST_BATCH = 1_000_000, 1_000_000
"""Far beyond any use; beyond these, libraries ask for memory or time without a word."""


class Part(Entry):
    """A dataset whose training frames pretraining sees, as a plan holds it.

    Attributes:
        labelled: the share of the training frames that it sees, where it learns their labels; None for all.
    """

    split: SplitConfig
    labelled: float | None = Field(None, exclude_if=lambda share: share is None)


class NamedEntry(Entry):
    """An entry that reports show."""

    label: str | None = Field(None, description="What reports call it; without one, the title of its kind.")


class StructuresEntry(NamedEntry):
    """Structures that only pretraining sees; they need no labels."""

    split: TrajectorySplit = Field(
        default_factory=lambda: TrajectorySplit(val=0.1, test=0),
        description="val: share that validates the pretext. test is 0, and may be left out.",
    )

    @field_validator("split", mode="before")
    @classmethod
    def _leaves_out_test(cls, split: object) -> object:
        return {"test": 0, **split} if isinstance(split, Mapping) else split

    @field_validator("split")
    @classmethod
    def _tests_nothing(cls, split: TrajectorySplit) -> TrajectorySplit:
        if split.test:
            raise ValueError("structures that only pretraining sees test nothing; leave out test")
        return split


class DatasetEntry(NamedEntry):
    """A labelled dataset, how it is split, and where its training differs from the suite's."""

    split: SplitConfig = Field(
        default_factory=TrajectorySplit,
        description="{val, test}: shares of the trajectories; {official: true, val}: the splits that the data's "
        "authors published; {train, val}: numbers of random frames, the rest is for testing; {own: true}: the sets "
        "that the options name.",
    )
    labelled: Annotated[float, Field(gt=0, le=1, strict=True)] | None = Field(
        None,
        description="Share of the training frames whose labels finetuning may use; pretraining sees all frames, "
        "without labels. In a suite file, a list makes one dataset per share, named NAME@SHARE%.",
    )
    training: dict[str, Any] = Field(
        default_factory=dict,
        description="Values that replace those of the suite's `training` for this dataset, e.g. {batch_size: 16}; the "
        "same for all arms.",
    )
    # Left out of keys and plans while it is not used: the data of a cell are what its options say.
    data_seeds: Literal["shared", "per-cell"] = Field(
        "shared",
        exclude_if=lambda seeds: seeds == "shared",
        description="shared: cells of all seeds have the same data, split differently; per-cell: those of seed s "
        "have data of their own, made with the option `seed` of the kind plus s.",
    )
    extra_tests: dict[Name, Entry] = Field(
        default_factory=dict,
        description="Further labelled datasets, by name; at the end, each cell is tested on all of their frames.",
    )

    @field_validator("split")
    @classmethod
    def _tests_something(cls, split: SplitConfig) -> SplitConfig:
        if isinstance(split, TrajectorySplit) and not split.test:
            raise ValueError("test is 0; a labelled dataset needs test frames")
        return split

    @field_validator("labelled")
    @classmethod
    def _all_is_none(cls, labelled: float | None) -> float | None:
        """All labels is the plain dataset: the cells of suites that do not vary the share."""
        return None if labelled == 1 else labelled

    def of_seed(self, seed: int) -> DatasetEntry:
        """The dataset that cells of a seed have."""
        if self.data_seeds == "shared":
            return self
        options = {**self.options, "seed": self.options["seed"] + seed}
        return self.model_copy(update={"options": options, "data_seeds": "shared"})

    def made(self, name: str, seeds: Iterable[int]) -> dict[str, DatasetEntry]:
        """All datasets that cells of these seeds have, by names for people."""
        if self.data_seeds == "shared":
            return {name: self}
        return {f"{name}, data of seed {seed}": self.of_seed(seed) for seed in sorted(set(seeds))}


class ModelEntry(NamedEntry):
    """A model, and where its seeds and training differ from the suite's."""

    seeds: int | None = Field(
        None,
        gt=0,
        exclude_if=lambda seeds: seeds is None,
        description="Number of seeds of this model instead of the suite's.",
    )

    training: dict[str, Any] = Field(
        default_factory=dict,
        description="Values that replace those of the suite's `training` for this model, e.g. "
        "{finetune: {lr: 1e-3}}; the same for all arms. They take precedence over the dataset's.",
    )


class Phase(Strict):
    """Optimisation of one fit: AdamW with a half-cosine schedule per step."""

    epochs: int = Field(
        gt=0,
        le=MOST_EPOCHS,
        description="Passes over the training frames. Where only a share is labelled, a pass still takes as many "
        "frames as the whole training set has.",
    )
    lr: float = Field(gt=0, description="Learning rate at the first step.")
    lr_min: float = Field(gt=0, description="Learning rate at the last step.")
    weight_decay: float = Field(1e-4, ge=0, description="Decoupled weight decay.")
    gradient_clip: float | None = Field(
        None, gt=0, description="Largest norm of the gradient; without a value, gradients are not clipped."
    )

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.lr_min > self.lr:
            raise ValueError(f"lr_min {self.lr_min:g} is above lr {self.lr:g}; the schedule falls from lr to lr_min")
        return self


class Finetune(Phase):
    """Energies and forces fitted together, both in units of the training forces' root mean square."""

    loss: Literal["mse_loss", "l1_loss", "huber_loss"] = Field(
        "mse_loss", description="Loss of energies and forces, by TorchMD-Net's name."
    )
    force_weight: float = Field(gt=0, description="Weight of the mean loss over force components.")
    energy_weight: float = Field(
        ge=0, description="Weight of the mean loss over the frames' energies; 0 trains forces alone."
    )


class Training(Strict):
    """How the cells of a suite are trained; equal for all arms, but for what an arm's own `training` says."""

    batch_size: int = Field(gt=0, le=LARGEST_BATCH, description="Frames per optimizer step.")
    eval_batch_size: int = Field(32, gt=0, le=LARGEST_BATCH, description="Frames per batch in validation and testing.")
    # Left out of keys and plans while it is off: cells of before there was such a thing stay the same work.
    rotate: bool = Field(
        False,
        exclude_if=lambda on: not on,
        description="Show each training frame in a new random orientation at every step, in pretraining and "
        "finetuning: for networks that are not equivariant; others see no difference.",
    )
    pretrain: Phase = Field(description="Optimisation of pretraining.")
    finetune: Finetune = Field(description="Optimisation of finetuning, and of training from scratch.")


class Primary(Strict):
    """Comparisons that the suite is run for, declared before anything runs."""

    dataset: str | None = Field(
        None,
        description="On which dataset; left out, on the average over the members of the suite's collection (molecules, "
        "say).",
    )
    model: str = Field(description="Of which model.")
    strategy: str = Field(description="The arm.")
    baselines: list[str] = Field(min_length=1, description="Arms that it is compared with, a comparison each.")
    metric: str | None = Field(
        None,
        description="The error that is compared, a column of the records; left out, the force error that the dataset "
        "is judged by.",
    )


FEWEST_PRIMARY, MOST_PRIMARY = 2, 4
"""Comparisons that a suite may declare: each makes the others harder to tell."""


class Suite(Strict):
    """A suite at one scale: the table of cells is datasets × models × strategies × seeds."""

    name: Name = Field(description="Name of the suite; run folders are called NAME-SCALE.")
    title: str = Field(description="Heading of the report.")
    description: str = Field(description="What is compared, in a sentence or two.")
    scale: Name = Field(description="The chosen scale.")
    seeds: int = Field(
        gt=0,
        description="Cells of each dataset, model and arm, with seeds 0, 1, ...; a model may have a number of its own.",
    )
    baselines: list[str] = Field(
        min_length=1, description="Arms that the others are compared with; the first is plain training from scratch."
    )
    primary: list[Primary] = Field(
        default_factory=list,
        exclude_if=lambda primary: not primary,
        description=f"The comparisons that the suite is run for: {FEWEST_PRIMARY} to {MOST_PRIMARY}, counted by "
        "baselines. Only they get a verdict, and the correction is over them; all else is exploratory. Without any, "
        "all is.",
    )
    spread: SpreadRule = Field(
        "pooled",
        exclude_if=lambda spread: spread == "pooled",
        description="Whose spread the intervals rest on. `pooled`: one of all arms, unless two of them scatter more "
        "than the others. `own`: that of the two arms that are compared, for suites in which some arms are expected to "
        "scatter far more than others. Declared before the run, like `primary`.",
    )
    datasets: dict[Name, DatasetEntry] = Field(min_length=1, description="Labelled datasets, by name.")
    structures: dict[Name, StructuresEntry] = Field(
        default_factory=dict, description="Further structures that arms may pretrain on; they need no labels."
    )
    models: dict[Name, ModelEntry] = Field(min_length=1, description="Models, by name.")
    strategies: dict[Name, Strategy] = Field(min_length=1, description="Arms, by name.")
    training: Training = Field(description="How all cells are trained, unless a dataset or a model says otherwise.")
    sweep: Sweep | None = Field(None, description="For an ablation: the axis against which errors are drawn.")
    simulation: SimulationSettings | None = Field(
        None,
        exclude_if=lambda settings: settings is None,
        description="Simulate with the potentials after training, with these settings ({} for the defaults); without "
        "this, `simulate RUN` does when it is asked.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Suite:
        missing = [name for name in self.baselines if name not in self.strategies]
        if missing:
            raise ValueError(f"baselines {missing} are no strategies; strategies are {sorted(self.strategies)}")
        self._check_primary()
        if self.sweep is not None:
            known = {"dataset": [*self.datasets], "model": [*self.models], "strategy": [*self.strategies]}
            unknown = [name for name in self.sweep.values if name not in known[self.sweep.over]]
            if unknown:
                raise ValueError(f"sweep over {self.sweep.over}: no {unknown}; there are {known[self.sweep.over]}")
        both = self.datasets.keys() & self.structures.keys()
        if both:
            raise ValueError(f"{sorted(both)} are names of datasets and of structures; choose others")
        for name, arm in self.strategies.items():
            sources = arm.pretrain_on if isinstance(arm.pretrain_on, list) else []
            unknown = [source for source in sources if source not in {*self.datasets, *self.structures}]
            if unknown:
                raise ValueError(
                    f"strategy {name!r} pretrains on {unknown}; there are the datasets {[*self.datasets]} and the "
                    f"structures {[*self.structures]}"
                )
            if arm.extended:
                self.matched_by(name)
        return self

    def _check_primary(self) -> None:
        """Primary comparisons are of what there is, each once, and few."""
        seen: set[tuple[str | None, ...]] = set()
        for place, entry in enumerate(self.primary):
            named: list[tuple[str, str, Iterable[str]]] = [
                ("model", entry.model, self.models),
                ("strategy", entry.strategy, self.strategies),
            ]
            named += [("baseline", name, self.strategies) for name in entry.baselines]
            named += [] if entry.dataset is None else [("dataset", entry.dataset, self.datasets)]
            for what, name, known in named:
                if name not in known:
                    raise ValueError(
                        f"primary.{place}: there is no {what} {name!r}; there are {[*known]}. Name one of them, or "
                        f"declare other comparisons"
                    )
            if entry.strategy in entry.baselines:
                raise ValueError(f"primary.{place}: {entry.strategy!r} is compared with itself; take another baseline")
            for baseline in entry.baselines:
                comparison = (entry.dataset, entry.model, entry.strategy, baseline, entry.metric)
                if comparison in seen:
                    raise ValueError(f"primary.{place}: {entry.strategy!r} against {baseline!r} is declared twice")
                seen.add(comparison)
        if self.primary and not FEWEST_PRIMARY <= len(seen) <= MOST_PRIMARY:
            raise ValueError(
                f"primary: {len(seen)} comparisons; declare {FEWEST_PRIMARY} to {MOST_PRIMARY}, counted by baselines, "
                f"or none"
            )

    def matched_by(self, extended: str) -> str | None:
        """Name of the arm whose pretraining an extended arm makes up for; None if none pretrains."""
        wanted = self.strategies[extended].extended
        pretrained = {name: arm for name, arm in self.strategies.items() if arm.pretext is not None}
        if isinstance(wanted, str):
            costly = {name: arm for name, arm in self.strategies.items() if arm.pretext or arm.auxiliary}
            if wanted not in costly:
                raise ValueError(f"strategy {extended!r} is extended by {wanted!r}, not among {sorted(costly)}")
            return wanted
        different = {
            "structures": {_sources(arm) for arm in pretrained.values()},
            "numbers of epochs": {_epochs(arm) for arm in pretrained.values()},
        }
        for what, found in different.items():
            if len(found) > 1:
                how = "on different structures" if what == "structures" else f"for different {what}"
                raise ValueError(
                    f"arms pretrain {how}: say in `extended` of strategy {extended!r} which of "
                    f"{sorted(pretrained)} it is to match"
                )
        return next(iter(pretrained), None)

    def training_of(self, dataset: str | None, model: str, strategy: str | None = None) -> Training:
        """How cells of a dataset (None: of several), a model and an arm (None: of any without its own) are trained."""
        own = merge(self.training.model_dump(), self.datasets[dataset].training if dataset else {})
        own = merge(own, self.models[model].training)
        return Training(**merge(own, self.strategies[strategy].training if strategy else {}))


def _sources(arm: Strategy) -> str:
    """Whose structures an arm pretrains on; of what came in a file, those of that file."""
    assert arm.pretext is not None
    return str(arm.pretext.options if from_file(arm.pretext) else arm.pretrain_on)


def _epochs(arm: Strategy) -> Any:
    """Epochs of its own that an arm pretrains for; None where it has none, or where that is still to be refused."""
    own = arm.training.get("pretrain")
    return own.get("epochs") if isinstance(own, dict) else None
