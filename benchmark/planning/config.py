"""Typed configuration of a suite. Unknown keys are refused; field descriptions are the reference."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from benchmark.errors import BenchmarkError, describe_validation
from benchmark.planning.simulation import SimulationSettings
from benchmark.planning.suite_files import content_at_scale, merge
from reports.records.plan import Sweep
from tasks.datasets.base import DatasetTask
from tasks.datasets.splits import SplitConfig, TrajectorySplit
from tasks.registry import DATASETS, MODELS, PRETEXTS, Registry, UnknownKindError


class Strict(BaseModel):
    """Base of all configuration: immutable, no unknown keys, no infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Entry(Strict):
    """Something from a registry: its kind and the options of that kind."""

    kind: str = Field(description="Name of a kind, shipped or added by an installed package.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Options of the kind; those left out have their defaults."
    )


class Part(Entry):
    """A dataset whose training frames pretraining sees, as a plan holds it."""

    split: SplitConfig


class NamedEntry(Entry):
    """An entry that reports show."""

    label: str | None = Field(None, description="What reports call it; without one, the title of its kind.")


class StructuresEntry(NamedEntry):
    """Structures that only pretraining sees; they need no labels."""

    split: TrajectorySplit = Field(
        default_factory=lambda: TrajectorySplit(val=0.1, test=0), description="Share that validates the pretext."
    )

    @field_validator("split")
    @classmethod
    def _tests_nothing(cls, split: TrajectorySplit) -> TrajectorySplit:
        if split.test:
            raise ValueError("structures that only pretraining sees test nothing; set test to 0")
        return split


class DatasetEntry(NamedEntry):
    """A labelled dataset, how it is split, and where its training differs from the suite's."""

    split: SplitConfig = Field(
        default_factory=TrajectorySplit,
        description="{val, test}: shares of the trajectories; {official: true, val}: the splits that the data's "
        "authors published; {train, val}: numbers of random frames, the rest is for testing.",
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
    extra_tests: dict[str, Entry] = Field(
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


class ModelEntry(NamedEntry):
    """A model, and where its training differs from the suite's."""

    training: dict[str, Any] = Field(
        default_factory=dict,
        description="Values that replace those of the suite's `training` for this model, e.g. "
        "{finetune: {lr: 1e-3}}; the same for all arms. They take precedence over the dataset's.",
    )


class Strategy(Strict):
    """One arm: what happens before finetuning, and how long finetuning is."""

    label: str = Field(description="What reports call the arm.")
    pretext: Entry | None = Field(
        None, description="What pretraining learns; without one, the arm trains from scratch."
    )
    pretrain_on: Literal["own", "pooled"] | Annotated[list[str], Field(min_length=1)] = Field(
        "own",
        description="Whose training structures pretraining sees: own, those of the dataset that is finetuned on; "
        "pooled, those of all chosen datasets, in one pretraining that they share; or a list of names from "
        "`structures` and `datasets`.",
    )
    extended: bool | str = Field(
        False,
        description="Train longer, by as many frames as pretraining sees (of a pooled one, this dataset's part): the "
        "compute-matched baseline. Where arms pretrain on different structures, the name of the arm to match.",
    )

    @model_validator(mode="after")
    def _not_both(self) -> Strategy:
        if self.pretext is not None and self.extended:
            raise ValueError("an arm with a pretext cannot be extended: it would train longer than its baseline")
        if self.pretext is None and self.pretrain_on != "own":
            raise ValueError("pretrain_on is set, but there is no pretext to pretrain with")
        return self


class Phase(Strict):
    """Optimisation of one fit: AdamW with a half-cosine schedule per step."""

    epochs: int = Field(
        gt=0,
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
    energy_weight: float = Field(gt=0, description="Weight of the mean loss over the frames' energies.")


class Training(Strict):
    """How the cells of a suite are trained; equal for all arms of a model."""

    batch_size: int = Field(gt=0, description="Frames per optimizer step.")
    eval_batch_size: int = Field(32, gt=0, description="Frames per batch in validation and testing.")
    pretrain: Phase = Field(description="Optimisation of pretraining.")
    finetune: Finetune = Field(description="Optimisation of finetuning, and of training from scratch.")


class Suite(Strict):
    """A suite at one scale: the table of cells is datasets × models × strategies × seeds."""

    name: str = Field(description="Name of the suite; run folders are called NAME-SCALE.")
    title: str = Field(description="Heading of the report.")
    description: str = Field(description="What is compared, in a sentence or two.")
    scale: str = Field(description="The chosen scale.")
    seeds: int = Field(gt=0, description="Cells of each dataset, model and arm, with seeds 0, 1, ...")
    baselines: list[str] = Field(
        min_length=1, description="Arms that the others are compared with; the first is plain training from scratch."
    )
    datasets: dict[str, DatasetEntry] = Field(min_length=1, description="Labelled datasets, by name.")
    structures: dict[str, StructuresEntry] = Field(
        default_factory=dict, description="Further structures that arms may pretrain on; they need no labels."
    )
    models: dict[str, ModelEntry] = Field(min_length=1, description="Models, by name.")
    strategies: dict[str, Strategy] = Field(min_length=1, description="Arms, by name.")
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

    def matched_by(self, extended: str) -> Strategy | None:
        """The arm whose pretraining an extended arm makes up for; None if none pretrains."""
        wanted = self.strategies[extended].extended
        pretrained = {name: arm for name, arm in self.strategies.items() if arm.pretext is not None}
        if isinstance(wanted, str):
            if wanted not in pretrained:
                raise ValueError(f"strategy {extended!r} is extended by {wanted!r}, not among {sorted(pretrained)}")
            return pretrained[wanted]
        if len({str(arm.pretrain_on) for arm in pretrained.values()}) > 1:
            raise ValueError(
                f"arms pretrain on different structures: say in `extended` of strategy {extended!r} which of "
                f"{sorted(pretrained)} it is to match"
            )
        return next(iter(pretrained.values()), None)

    def training_of(self, dataset: str | None, model: str) -> Training:
        """How cells of a dataset (None: of several) and a model are trained."""
        own = merge(self.training.model_dump(), self.datasets[dataset].training if dataset else {})
        return Training(**merge(own, self.models[model].training))


def build(registry: Registry[Any], entry: Entry) -> Any:
    """Instance of a registered class from its validated options.

    Raises:
        BenchmarkError: for an unknown kind or options that it refuses.
    """
    return registry.get(entry.kind)(check_options(registry, entry))


def check_options(registry: Registry[Any], entry: Entry) -> BaseModel:
    """The validated options of an entry, defaults filled in.

    Raises:
        BenchmarkError: for an unknown kind or options that it refuses.
    """
    try:
        options = registry.options(entry.kind)
        return options(**entry.options)
    except UnknownKindError as error:
        raise BenchmarkError(str(error)) from error
    except ValidationError as error:
        where = f"options of {registry.noun} {entry.kind!r}"
        raise describe_validation(error, options, where) from error


def load_suite(name: str, scale: str) -> Suite:
    """A suite at one scale, with what its entries are checked to fit together.

    Raises:
        BenchmarkError: for an unknown suite or scale, or a configuration that does not validate.
    """
    suite = read_suite(name, scale)
    check_entries(suite)
    return suite


def read_suite(name: str, scale: str) -> Suite:
    """A suite at one scale: the file's common part with the scale's values laid over it; torch is not imported.

    Where the file ``extends`` a shipped suite, both are laid over that suite at the same scale. Mappings are
    merged key by key, any other value replaces, and null takes an entry away.

    Raises:
        BenchmarkError: for an unknown suite or scale, or a configuration that does not validate.
    """
    try:
        suite = Suite(scale=scale, **content_at_scale(name, scale))
    except ValidationError as error:
        raise describe_validation(error, Suite, f"suite {name!r} at scale {scale!r}") from error
    except TypeError as error:
        raise BenchmarkError(f"suite {name!r}: {error}; keys are {', '.join(Suite.model_fields)}") from error
    for dataset, model in itertools.product(suite.datasets, suite.models):
        try:
            suite.training_of(dataset, model)
        except ValidationError as error:
            where = f"suite {name!r} at scale {scale!r}, training of model {model!r} on dataset {dataset!r}"
            raise describe_validation(error, Training, where) from error
    suite = _with_defaults(suite)
    _check_distinct(suite)
    return suite


def _with_defaults(suite: Suite) -> Suite:
    """The suite with every option written out: what a key and a record say must not hang on later defaults."""

    def resolve(registry: Registry[Any], entry: Any) -> Any:
        return entry.model_copy(update={"options": check_options(registry, entry).model_dump(mode="json")})

    def dataset(entry: DatasetEntry) -> DatasetEntry:
        extra = {name: resolve(DATASETS, test) for name, test in entry.extra_tests.items()}
        return resolve(DATASETS, entry).model_copy(update={"extra_tests": extra})

    return suite.model_copy(
        update={
            "datasets": {name: dataset(entry) for name, entry in suite.datasets.items()},
            "structures": {name: resolve(DATASETS, entry) for name, entry in suite.structures.items()},
            "models": {name: resolve(MODELS, entry) for name, entry in suite.models.items()},
            "strategies": {
                name: arm if arm.pretext is None else arm.model_copy(update={"pretext": resolve(PRETEXTS, arm.pretext)})
                for name, arm in suite.strategies.items()
            },
        }
    )


def _check_distinct(suite: Suite) -> None:
    """Refuse entries that are equal."""
    tables: dict[str, dict[str, Any]] = {
        "datasets": dict(suite.datasets),
        "structures": dict(suite.structures),
        "models": dict(suite.models),
        "strategies": dict(suite.strategies),
    }
    for table, entries in tables.items():
        seen: dict[str, str] = {}
        for name, entry in entries.items():
            first = seen.setdefault(entry.model_dump_json(exclude={"label"}), name)
            if first != name:
                raise BenchmarkError(f"suite {suite.name!r}: {table} {first!r} and {name!r} are the same; remove one")


def check_entries(suite: Suite) -> None:
    """Build everything once, and make sure that datasets, models and pretexts fit together.

    Raises:
        BenchmarkError: for a dataset without labels, or a head that a model does not have.
        DatasetError: for a box too small for a cutoff.
    """
    pretexts = {n: build(PRETEXTS, s.pretext) for n, s in suite.strategies.items() if s.pretext is not None}
    potentials = {n: build(MODELS, entry) for n, entry in suite.models.items()}
    for name, dataset in {**suite.datasets, **suite.structures}.items():
        task = build(DATASETS, dataset)
        if isinstance(dataset, DatasetEntry):
            for title, labelled in {name: task, **_extra_tests(dataset)}.items():
                if not labelled.labelled:
                    raise BenchmarkError(
                        f"dataset {title!r}: kind {labelled.kind!r} has no energies and forces; name it under "
                        f"`structures`, which only pretraining sees"
                    )
        for potential in potentials.values():
            task.check(potential.config.cutoff_A)
    for strategy, pretext in pretexts.items():
        for name, potential in potentials.items():
            if pretext.config.head not in potential.heads:
                raise BenchmarkError(
                    f"strategy {strategy!r} trains the head {pretext.config.head!r}, which model {name!r} does not "
                    f"have; it has {', '.join(potential.heads)}. Change the strategy's option 'head'."
                )


def _extra_tests(dataset: DatasetEntry) -> dict[str, DatasetTask]:
    return {name: build(DATASETS, entry) for name, entry in dataset.extra_tests.items()}
