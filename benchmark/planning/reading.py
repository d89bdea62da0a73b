"""From a suite file to a validated suite: options filled in, and what its entries are made sure to fit together."""

from __future__ import annotations

import itertools
from typing import Any

from pydantic import BaseModel, ValidationError

from benchmark.errors import BenchmarkError, describe_validation
from benchmark.planning.config import DatasetEntry, Suite, Training
from benchmark.planning.entries import Entry
from benchmark.planning.strategies import Strategy, from_file, needs_labels
from benchmark.planning.suite_files import content_at_scale
from tasks.datasets.base import DatasetTask
from tasks.registry import DATASETS, LABELLERS, MODELS, PRETEXTS, Registry, UnknownKindError


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
    for dataset, model, arm in itertools.product(suite.datasets, suite.models, [None, *suite.strategies]):
        try:
            suite.training_of(dataset, model, arm)
        except ValidationError as error:
            of_arm = f", strategy {arm!r}" if arm else ""
            where = f"suite {name!r} at scale {scale!r}, training of model {model!r} on dataset {dataset!r}{of_arm}"
            raise describe_validation(error, Training, where) from error
    suite = _with_defaults(suite)
    _check_distinct(suite)
    _check_labels(suite)
    _check_files(suite)
    for dataset, entry in suite.datasets.items():
        if entry.data_seeds == "per-cell" and "seed" not in entry.options:
            raise BenchmarkError(
                f"suite {name!r}: data of dataset {dataset!r} cannot differ between seeds: kind {entry.kind!r} has no "
                f"option 'seed'. Leave out data_seeds"
            )
    return suite


def _with_defaults(suite: Suite) -> Suite:
    """The suite with every option written out: what a key and a record say must not hang on later defaults."""

    def resolve(registry: Registry[Any], entry: Any) -> Any:
        return entry.model_copy(update={"options": check_options(registry, entry).model_dump(mode="json")})

    def strategy(arm: Strategy) -> Strategy:
        found = {"pretext": PRETEXTS, "auxiliary": PRETEXTS, "labels_from": LABELLERS}
        named = {field: registry for field, registry in found.items() if getattr(arm, field) is not None}
        return arm.model_copy(
            update={field: resolve(registry, getattr(arm, field)) for field, registry in named.items()}
        )

    def dataset(entry: DatasetEntry) -> DatasetEntry:
        extra = {name: resolve(DATASETS, test) for name, test in entry.extra_tests.items()}
        return resolve(DATASETS, entry).model_copy(update={"extra_tests": extra})

    return suite.model_copy(
        update={
            "datasets": {name: dataset(entry) for name, entry in suite.datasets.items()},
            "structures": {name: resolve(DATASETS, entry) for name, entry in suite.structures.items()},
            "models": {name: resolve(MODELS, entry) for name, entry in suite.models.items()},
            "strategies": {name: strategy(arm) for name, arm in suite.strategies.items()},
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
            first = seen.setdefault(entry.model_dump_json(exclude={"label", "seeds"}), name)
            if first != name:
                raise BenchmarkError(f"suite {suite.name!r}: {table} {first!r} and {name!r} are the same; remove one")


def _check_labels(suite: Suite) -> None:
    """Labels are learned in pretraining only of an arm's own labelled frames, or by what is made for that."""
    for name, arm in suite.strategies.items():
        if arm.auxiliary is not None and needs_labels(arm.auxiliary):
            raise BenchmarkError(
                f"strategy {name!r}: the auxiliary task {arm.auxiliary.kind!r} learns labels, which finetuning does "
                f"anyhow; take one that needs none"
            )
        if arm.pretext is None:
            continue
        learns = needs_labels(arm.pretext)
        if arm.labels_from is not None and not learns:
            raise BenchmarkError(
                f"strategy {name!r}: labels_from is set, but the pretext {arm.pretext.kind!r} learns no labels; take "
                f"the pretext 'labels', or leave labels_from out"
            )
        true = [source for source in arm.pretrain_on if source in suite.datasets]
        if learns and arm.labels_from is None and (arm.pretrain_on == "pooled" or true):
            raise BenchmarkError(
                f"strategy {name!r}: the pretext {arm.pretext.kind!r} may learn the labels of a dataset only on the "
                f"labelled training frames of the cell itself (pretrain_on: own). Let others label the frames "
                f"(labels_from), or name labelled data under `structures`"
            )


def _check_files(suite: Suite) -> None:
    """A body that came in a file is neither trained here nor on anything of the suite."""
    for name, arm in suite.strategies.items():
        if arm.auxiliary is not None and from_file(arm.auxiliary):
            raise BenchmarkError(
                f"strategy {name!r}: the auxiliary task {arm.auxiliary.kind!r} is no task that could be learned during "
                f"finetuning; name it under `pretext`"
            )
        if arm.pretext is None or not from_file(arm.pretext):
            continue
        settings = {"pretrain_on": arm.pretrain_on != "own", "training.pretrain": "pretrain" in arm.training}
        given = [setting for setting, there in settings.items() if there]
        if given:
            raise BenchmarkError(
                f"strategy {name!r}: {given[0]} is set, but what the pretext {arm.pretext.kind!r} names was pretrained "
                f"before; leave it out"
            )


def check_entries(suite: Suite) -> None:
    """Build everything once, and make sure that datasets, models and pretexts fit together.

    Raises:
        BenchmarkError: for a dataset without labels, a head or a readout that a model does not have.
        DatasetError: for a box too small for a cutoff.
    """
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
    for strategy, arm in suite.strategies.items():
        for entry in filter(None, (arm.pretext, arm.auxiliary)):
            vectors = build(PRETEXTS, entry).vectors
            for name, potential in potentials.items():
                if vectors is None:
                    _check_features(strategy, entry.kind, name, potential)
                elif vectors not in potential.heads:
                    raise BenchmarkError(
                        f"strategy {strategy!r} trains the head {vectors!r}, which model {name!r} does not have; it "
                        f"has {', '.join(potential.heads)}. Change the strategy's option 'head'."
                    )
        for name, potential in potentials.items():
            if arm.transfer != "all" and not potential.readout_modules:
                raise BenchmarkError(
                    f"strategy {strategy!r} has transfer {arm.transfer!r}, but model {name!r} (kind "
                    f"{potential.kind!r}) does not say what is its readout. Declare it in the class attribute "
                    f"'readout_modules', or take transfer 'all'"
                )
        _check_labelled_structures(suite, strategy, arm)


def _check_features(strategy: str, pretext: str, name: str, potential: Any) -> None:
    """The head that a pretext brings reads features of atoms."""
    if potential.feature_width is None:
        raise BenchmarkError(
            f"strategy {strategy!r} has the pretext {pretext!r}, whose own head reads features of atoms; model "
            f"{name!r} (kind {potential.kind!r}) offers none, the networks of this project do. Implement 'features' "
            f"and 'feature_width' in its class, or take a pretext that trains its vectors: {', '.join(potential.heads)}"
        )


def _check_labelled_structures(suite: Suite, strategy: str, arm: Strategy) -> None:
    """Where pretraining learns the labels that structures came with, they have to have some."""
    if arm.pretext is None or not needs_labels(arm.pretext) or arm.labels_from is not None:
        return
    for name in arm.pretrain_on if isinstance(arm.pretrain_on, list) else ():
        kind = suite.structures[name].kind
        if not DATASETS.get(kind).labelled:
            raise BenchmarkError(
                f"strategy {strategy!r} learns labels of the structures {name!r}, but kind {kind!r} has none. Let "
                f"something label them with labels_from"
            )


def _extra_tests(dataset: DatasetEntry) -> dict[str, DatasetTask]:
    return {name: build(DATASETS, entry) for name, entry in dataset.extra_tests.items()}
