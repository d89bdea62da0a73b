"""What is made sure of before any training: data, pretexts and models fit together, and nothing leaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.cell.checking.audits import audit_key, clean_audit
from benchmark.cell.checking.given import check_species, open_given
from benchmark.cell.library import Library, pool_structures
from benchmark.errors import BenchmarkError
from benchmark.planning.cells import Cell, Pretraining
from benchmark.planning.config import DatasetEntry, Entry, Part, StructuresEntry, Suite
from benchmark.planning.frames import count_training_frames
from benchmark.planning.planner import pretraining_parts, seed_numbers, select_names
from benchmark.planning.reading import build
from reports.records.audit import CleanAudit
from tasks.datasets.base import Dataset, DatasetError
from tasks.datasets.structures.boxes import check_boxes
from tasks.datasets.structures.neighbours import check_neighbours
from tasks.datasets.structures.plausibility import unit_warnings
from tasks.leakage.audit import Auditor
from tasks.normalisation import find_undetermined
from tasks.options.pretexts import PretextError
from tasks.pretexts.base import Pretext
from tasks.registry import DATASETS, MODELS, PRETEXTS


def needed_entries(suite: Suite, cells: Sequence[Cell]) -> dict[str, Entry]:
    """Every dataset that planned cells read, by the suite's names; see ``named_entries``."""
    parts = [part for pretraining in distinct_pretrainings(cells) for part in pretraining.parts]
    chosen: dict[str, set[int]] = {}
    for cell in cells:
        chosen.setdefault(cell.arm.dataset, set()).add(cell.seed)
    return named_entries(suite, chosen, parts)


def chosen_entries(suite: Suite, select: Mapping[str, list[str]], seeds: int | None = None) -> dict[str, Entry]:
    """Every dataset that cells of a selection will read, also where they cannot be planned before data is there."""
    datasets, models, _ = select_names(suite, select)
    every = range(max(seed_numbers(suite, models, seeds).values()))
    return named_entries(suite, dict.fromkeys(datasets, every), pretraining_parts(suite, datasets, every))


def named_entries(suite: Suite, datasets: Mapping[str, Iterable[int]], parts: Iterable[Part]) -> dict[str, Entry]:
    """Some of a suite's datasets, with the seeds of their cells, and what is pretrained on, by name.

    A further test set is ``DATASET/NAME``; what the suite does not list itself, as structures that an arm has labelled,
    is called by its title.
    """
    left = {part.model_dump_json(include={"kind", "options"}): part for part in parts}
    entries = entries_of(suite, datasets)
    seeds = {seed for own in datasets.values() for seed in own}
    made = {key: entry for name, entry in suite.datasets.items() for key, entry in entry.made(name, seeds).items()}
    for name, entry in {**made, **suite.structures}.items():
        if left.pop(entry.model_dump_json(include={"kind", "options"}), None) is not None:
            entries[name] = entry
    for part in left.values():
        title: str = build(DATASETS, part).title
        same = sum(name == title or name.startswith(f"{title} (") for name in entries)
        entries[f"{title} ({same + 1})" if same else title] = part
    return entries


def entries_of(suite: Suite, datasets: Mapping[str, Iterable[int]]) -> dict[str, Entry]:
    """Some of the suite's datasets, with the seeds of their cells, and their further test sets, by the same names."""
    entries: dict[str, Entry] = {}
    for name, entry in suite.datasets.items():
        if name in datasets:
            entries.update(entry.made(name, datasets[name]))
            entries.update({f"{name}/{extra}": test for extra, test in entry.extra_tests.items()})
    return entries


def check_splits(suite: Suite, cells: Sequence[Cell], data_dir: Path) -> None:
    """Make sure that datasets whose frames are known before they are prepared can be split as the suite says.

    Raises:
        DatasetError: naming the dataset.
    """
    for name, entry in needed_entries(suite, cells).items():
        if isinstance(entry, DatasetEntry | StructuresEntry):
            try:
                count_training_frames(entry, 0, data_dir)
            except DatasetError as error:
                raise DatasetError(f"dataset {name!r}: {error}") from error


def check_data(
    suite: Suite, cells: Sequence[Cell], library: Library
) -> tuple[dict[str, Dataset], dict[str, CleanAudit]]:
    """Read every dataset once, and make sure that the cells can be trained on it.

    Returns:
        The datasets by the names of ``needed_entries``, and the audits by ``audit_key``.

    Raises:
        DatasetError: for damaged data, boxes too small for a cutoff, or a leak (``LeakError``).
        PretextError: where a pretext cannot be applied.
        BenchmarkError: for species that a model does not embed, or that a body from a file never saw.
    """
    datasets = {}
    for name, entry in needed_entries(suite, cells).items():
        try:
            datasets[name] = library.load(entry)
        except DatasetError as error:
            raise DatasetError(f"dataset {name!r}: {error}") from error
        for model in dict.fromkeys(cell.arm.model for cell in cells):
            check_model(suite, model, name, datasets[name])
    for pretraining in distinct_pretrainings(cells):
        # Refuses what it cannot pool.
        pool_structures(pretraining.parts, build(PRETEXTS, pretraining.pretext), pretraining.seed, library)
    auditor = Auditor()
    audits: dict[str, CleanAudit] = {}
    for cell in cells:
        key = audit_key(cell)
        _check_auxiliary(cell, library)
        if key not in audits:
            check_reference_energies(cell, library)
            if cell.given is not None:
                check_species(cell, open_given(cell.given), library.load(cell.dataset))
            audits[key] = clean_audit(cell, library, auditor)
    return datasets, audits


def describe(dataset: Dataset) -> dict[str, Any]:
    """What provenance says of a dataset; among its ``warnings`` also units that look wrong. Can be written as JSON."""
    return {**dataset.describe(), "warnings": [*dataset.warnings, *unit_warnings(dataset)]}


def warnings_of(datasets: dict[str, Dataset]) -> list[str]:
    """What readers have to know of the data, each after the name of its dataset."""
    return [f"{name}: {warning}" for name, dataset in datasets.items() for warning in describe(dataset)["warnings"]]


def check_model(suite: Suite, model: str, name: str, dataset: Dataset) -> None:
    """Make sure that a model can be used on a dataset.

    Raises:
        BenchmarkError: for species that it does not embed.
        DatasetError: for boxes too small for its cutoff, or more neighbours than it has room for.
    """
    options: dict[str, Any] = suite.models[model].options
    if max(dataset.species) >= options["max_z"]:
        raise BenchmarkError(
            f"dataset {name!r} has atomic numbers up to {max(dataset.species)}; model {model!r} embeds those below "
            f"max_z = {options['max_z']}. Raise its option 'max_z'."
        )
    config = build(MODELS, suite.models[model]).config
    check_boxes(dataset.samples, config.cutoff_A, name)
    check_neighbours(dataset.samples, config.cutoff_A, config.max_neighbors, name, model)


def check_reference_energies(cell: Cell, library: Library) -> None:
    """Make sure that the labelled training frames tell the energies of all that is validated and tested.

    Raises:
        DatasetError: naming the first composition that training does not determine.
    """
    name = cell.arm.dataset
    dataset, split, _ = library.load_sets(cell.dataset, cell.seed)
    sets = {name: [dataset.samples[frame] for frame in frames] for name, frames in split.as_dict().items()}
    held_out = {f"the validation set of {name}": sets["val"], f"the test set of {name}": sets["test"]}
    for extra, entry in cell.dataset.extra_tests.items():
        held_out[f"the further test set {extra}"] = library.load(entry).samples
    for where, samples in held_out.items():
        formula = find_undetermined(sets["train"], samples)
        if formula is not None:
            raise DatasetError(
                f"{where} has structures of {formula}, whose energies the {len(split.train)} labelled training frames "
                f"of seed {cell.seed} do not determine: their compositions are not combined of those in training. Have "
                f"such structures in training, or leave them out"
            )


def _check_auxiliary(cell: Cell, library: Library) -> None:
    """Make sure that a pretext that goes on during finetuning can be applied to all training frames.

    Raises:
        PretextError: naming what the others lack.
    """
    if cell.auxiliary is None:
        return
    pretext: Pretext = build(PRETEXTS, cell.auxiliary)
    dataset, split, _ = library.load_sets(cell.dataset, cell.seed)
    without = sum(not pretext.applies_to(dataset.samples[frame]) for frame in split.train)
    if without:
        raise PretextError(
            f"{pretext.title} during finetuning needs {pretext.requirement} in every training frame of "
            f"{cell.arm.dataset}; {without} of {len(split.train)} do not have that. Use another, or leave it out"
        )


def distinct_pretrainings(cells: Iterable[Cell]) -> list[Pretraining]:
    """The pretrainings that cells need, each once."""
    return list({cell.pretraining.key: cell.pretraining for cell in cells if cell.pretraining is not None}.values())
