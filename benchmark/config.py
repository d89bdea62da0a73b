"""Typed configuration of a suite. Unknown keys are refused; field descriptions are the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import BenchmarkError, describe_validation, unknown_name
from reports import Sweep
from tasks.datasets.splits import SplitConfig, split_by_group
from tasks.registry import DATASETS, MODELS, PRETEXTS, Registry, UnknownKindError

SUITES = Path(__file__).parent / "suites"


class Strict(BaseModel):
    """Base of all configuration: immutable, no unknown keys, no infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Entry(Strict):
    """Something from a registry: its kind and the options of that kind."""

    kind: str = Field(description="Name in the registry.")
    options: dict[str, Any] = Field(default_factory=dict, description="Options of the kind; defaults are filled in.")


class LabelledEntry(Entry):
    """An entry that reports show."""

    label: str | None = Field(None, description="How reports call it; without one, its kind's own title.")


class DatasetEntry(LabelledEntry):
    """A dataset and how it is split."""

    split: SplitConfig = Field(default_factory=lambda: SplitConfig(), description="Shares of validation and test.")
    labelled: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of the training frames whose labels finetuning may use; pretraining uses all frames, "
        "without labels. In a suite file a list makes a dataset of each share, named NAME@SHARE%.",
    )


class ModelEntry(LabelledEntry):
    """A model, and where its training differs from the suite's."""

    training: dict[str, Any] = Field(
        default_factory=dict,
        description="Values of the suite's `training` that are others for this model, e.g. {finetune: {lr: 1e-3}}; "
        "equal for all arms of the model.",
    )


class Strategy(Strict):
    """One arm: what happens before finetuning, and how long finetuning is."""

    label: str = Field(description="How reports describe it.")
    pretext: Entry | None = Field(None, description="What pretraining learns; none trains from scratch.")
    extended: bool = Field(
        False, description="Finetune for the pretraining's epochs too: the baseline of equal total epochs."
    )

    @model_validator(mode="after")
    def _not_both(self) -> Strategy:
        if self.pretext is not None and self.extended:
            raise ValueError("an arm with a pretext cannot be extended: it would train longer than its baseline")
        return self


class Phase(Strict):
    """Optimisation of one fit: AdamW with a half-cosine schedule per step."""

    epochs: int = Field(
        gt=0,
        description="Passes over the training frames; of a labelled share, as many frames a pass as the whole has.",
    )
    lr: float = Field(gt=0, description="Learning rate of the first step.")
    lr_min: float = Field(gt=0, description="Learning rate of the last step.")
    weight_decay: float = Field(1e-4, ge=0, description="Decoupled weight decay.")
    gradient_clip: float | None = Field(None, gt=0, description="Largest norm of the gradient; none does not clip.")

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.lr_min > self.lr:
            raise ValueError(f"lr_min {self.lr_min:g} is above lr {self.lr:g}; the schedule falls from lr to lr_min")
        return self


class Finetune(Phase):
    """Energies and forces fitted together, both in units of the training forces' root mean square."""

    loss: Literal["mse_loss", "l1_loss", "huber_loss"] = Field("mse_loss", description="TorchMD-Net's losses.")
    force_weight: float = Field(gt=0, description="Weight of the mean loss over force components.")
    energy_weight: float = Field(gt=0, description="Weight of the mean loss over energies of frames.")


class Training(Strict):
    """How the cells of a suite are trained; equal for all arms of a model."""

    batch_size: int = Field(gt=0, description="Frames an optimizer step.")
    eval_batch_size: int = Field(32, gt=0, description="Frames a batch in validation and testing.")
    pretrain: Phase
    finetune: Finetune


class Suite(Strict):
    """A suite at one scale: the table of cells is datasets × models × strategies × seeds."""

    name: str
    title: str
    description: str
    scale: str
    seeds: int = Field(gt=0, description="Cells of each combination, with seeds 0, 1, ...")
    baselines: list[str] = Field(
        min_length=1, description="Strategies that the others are compared with; the first is plain scratch."
    )
    datasets: dict[str, DatasetEntry] = Field(min_length=1)
    models: dict[str, ModelEntry] = Field(min_length=1)
    strategies: dict[str, Strategy] = Field(min_length=1)
    training: Training
    sweep: Sweep | None = Field(None, description="For an ablation: the axis that errors are shown against.")

    @model_validator(mode="after")
    def _consistent(self) -> Suite:
        missing = [name for name in self.baselines if name not in self.strategies]
        if missing:
            raise ValueError(f"baselines {missing} are no strategies; strategies are {sorted(self.strategies)}")
        for name in self.models:
            self.training_of(name)
        seen: dict[str, str] = {}
        for name, strategy in self.strategies.items():
            content = strategy.model_dump_json(exclude={"label"})
            if content in seen:
                raise ValueError(f"strategies {seen[content]!r} and {name!r} are the same; remove one")
            seen[content] = name
        if self.sweep is not None:
            known = {"dataset": [*self.datasets], "model": [*self.models], "strategy": [*self.strategies]}
            unknown = [name for name in self.sweep.values if name not in known[self.sweep.over]]
            if unknown:
                raise ValueError(f"sweep over {self.sweep.over}: no {unknown}; there are {known[self.sweep.over]}")
        return self

    def training_of(self, model: str) -> Training:
        """How cells of a model are trained."""
        return Training(**_merge(self.training.model_dump(), self.models[model].training))

    def labels(self) -> dict[str, dict[str, str]]:
        """How reports call datasets, models and strategies."""
        return {
            "datasets": {n: _dataset_label(e) for n, e in self.datasets.items()},
            "models": {n: e.label or MODELS.get(e.kind).title for n, e in self.models.items()},
            "strategies": {n: s.label for n, s in self.strategies.items()},
        }


def _dataset_label(entry: DatasetEntry) -> str:
    label = entry.label or build(DATASETS, entry).title
    return label if entry.labelled is None else f"{label}, {100 * entry.labelled:g} % labelled"


def build(registry: Registry[Any], entry: Entry) -> Any:
    """Instance of a registered class from its validated options.

    Raises:
        BenchmarkError: for an unknown kind or options that its Config refuses.
    """
    try:
        cls = registry.get(entry.kind)
        return cls(cls.Config(**entry.options))
    except UnknownKindError as error:
        raise BenchmarkError(str(error)) from error
    except ValidationError as error:
        where = f"options of {registry.noun} {entry.kind!r}"
        raise describe_validation(error, cls.Config, where) from error


def available_suites() -> dict[str, Path]:
    """The suites that ship with the package, by name."""
    return {path.stem: path for path in sorted(SUITES.glob("*.yaml"))}


def read_suite_file(name: str) -> dict[str, Any]:
    """The YAML of a suite, by the name of a shipped one or by the path of the user's own.

    Raises:
        BenchmarkError: for an unknown name, a file that cannot be read, or YAML that is no suite.
    """
    suites = available_suites()
    path = suites.get(name)
    if path is None:
        if not name.endswith((".yaml", ".yml")):
            raise unknown_name("suite", name, suites, "Or give the path of a YAML file of your own.")
        path = Path(name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchmarkError(f"suite file {path} cannot be read: {error.strerror}. Check the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"suite file {path} is not valid YAML: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("scales"), dict):
        raise BenchmarkError(
            f"suite file {path} needs a mapping with a key 'scales' that holds at least one scale; "
            f"see {SUITES / 'water.yaml'} for an example"
        )
    return content


def load_suite(name: str, scale: str) -> Suite:
    """A suite at one scale: the file's common part with the scale's values laid over it.

    Where the file ``extends`` a shipped suite, both are laid over that suite at the same scale. Mappings are
    merged key by key, any other value replaces, and null takes an entry away.

    Raises:
        BenchmarkError: for an unknown suite or scale, or a configuration that does not validate.
    """
    merged = _content_at_scale(name, scale)
    merged["datasets"] = _expand_labelled(merged.get("datasets"))
    try:
        suite = Suite(scale=scale, **merged)
    except ValidationError as error:
        raise describe_validation(error, Suite, f"suite {name!r} at scale {scale!r}") from error
    except TypeError as error:
        raise BenchmarkError(f"suite {name!r}: {error}; keys are {', '.join(Suite.model_fields)}") from error
    suite = _with_defaults(suite)
    _check_entries(suite)
    return suite


def _content_at_scale(name: str, scale: str) -> dict[str, Any]:
    content = read_suite_file(name)
    base = content.pop("extends", None)
    scales = {str(name): values for name, values in content.pop("scales").items()}
    if scale not in scales:
        raise unknown_name("scale", scale, scales, f"These are the scales of suite {name!r}.")
    over = scales[scale] or {}
    if not isinstance(over, dict):
        raise BenchmarkError(f"suite {name!r}: scale {scale!r} is {over!r}; a mapping of values is needed")
    if base is None:
        return _merge(content, over)
    shipped = available_suites()
    if str(base) not in shipped or base == name:
        raise unknown_name("suite in 'extends'", str(base), shipped, f"Correct it in the file of suite {name!r}.")
    return _merge(_merge(_content_at_scale(base, scale), content), over)


def _with_defaults(suite: Suite) -> Suite:
    """The suite with every option written out: what a key and a record say must not hang on later defaults."""

    def resolve(registry: Registry[Any], entry: Any) -> Any:
        return entry.model_copy(update={"options": build(registry, entry).config.model_dump(mode="json")})

    return suite.model_copy(
        update={
            "datasets": {name: resolve(DATASETS, entry) for name, entry in suite.datasets.items()},
            "models": {name: resolve(MODELS, entry) for name, entry in suite.models.items()},
            "strategies": {
                name: arm if arm.pretext is None else arm.model_copy(update={"pretext": resolve(PRETEXTS, arm.pretext)})
                for name, arm in suite.strategies.items()
            },
        }
    )


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _expand_labelled(datasets: Any) -> Any:
    """Datasets with each entry whose ``labelled`` is a list replaced by one entry for each share."""
    if not isinstance(datasets, dict):
        return datasets
    expanded = {}
    for name, entry in datasets.items():
        shares = entry.get("labelled") if isinstance(entry, dict) else None
        if not isinstance(shares, list):
            expanded[name] = entry
            continue
        for share in shares:
            numeric = isinstance(share, int | float)
            # All labels is the plain dataset: its cells are those of suites that do not vary the share.
            labelled = None if numeric and share == 1 else share
            expanded[f"{name}@{100 * share:g}%" if numeric else f"{name}@{share}"] = {**entry, "labelled": labelled}
    return expanded


def _check_entries(suite: Suite) -> None:
    """Build everything once, so that a bad option is found before any work is done."""
    pretexts = {n: build(PRETEXTS, s.pretext) for n, s in suite.strategies.items() if s.pretext is not None}
    potentials = {n: build(MODELS, entry) for n, entry in suite.models.items()}
    for dataset in suite.datasets.values():
        task = build(DATASETS, dataset)
        # The number of trajectories is known before any data is made; too few is found here.
        split_by_group(task.groups(), dataset.split, seed=0)
        for potential in potentials.values():
            task.check(potential.config.cutoff_A)
    for strategy, pretext in pretexts.items():
        for name, potential in potentials.items():
            if pretext.config.head not in potential.heads:
                raise BenchmarkError(
                    f"strategy {strategy!r} trains the head {pretext.config.head!r}, which model {name!r} does not "
                    f"have; it has {', '.join(potential.heads)}. Change the strategy's option 'head'."
                )
