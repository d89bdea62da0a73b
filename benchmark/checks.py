"""What is made sure of before any training: data, pretexts and models fit together, and nothing leaks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmark.config import DatasetEntry, Entry, StructuresEntry, Suite, build
from benchmark.data import Library, count_training_frames, pool_structures
from benchmark.errors import BenchmarkError
from benchmark.plan import Cell, PlannedCell, Pretraining
from benchmark.streams import stream_seed
from tasks.audit import Audit, Auditor, Part
from tasks.datasets.base import Dataset, DatasetError
from tasks.datasets.boxes import check_boxes
from tasks.datasets.plausibility import unit_warnings
from tasks.registry import MODELS, PRETEXTS


def needed_entries(suite: Suite, cells: Sequence[PlannedCell]) -> dict[str, Entry]:
    """Every dataset that planned cells read, by the suite's names; a further test set is ``DATASET/NAME``."""
    parts = {
        part.model_dump_json(include={"kind", "options"})
        for planned in cells
        if planned.cell.pretraining is not None
        for part in planned.cell.pretraining.parts
    }
    chosen = {planned.dataset for planned in cells}
    pretrained_on = {
        name: entry
        for name, entry in {**suite.datasets, **suite.structures}.items()
        if entry.model_dump_json(include={"kind", "options"}) in parts
    }
    return {**entries_of(suite, chosen), **pretrained_on}


def entries_of(suite: Suite, datasets: Collection[str]) -> dict[str, Entry]:
    """Some of the suite's datasets with their further test sets, by the same names."""
    entries: dict[str, Entry] = {}
    for name, entry in suite.datasets.items():
        if name in datasets:
            entries[name] = entry
            entries.update({f"{name}/{extra}": test for extra, test in entry.extra_tests.items()})
    return entries


def check_splits(suite: Suite, cells: Sequence[PlannedCell], data_dir: Path) -> None:
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


def check_data(suite: Suite, cells: Sequence[PlannedCell], library: Library) -> dict[str, Dataset]:
    """Read every dataset once, and make sure that the cells can be trained on it.

    Returns:
        The datasets by the names of ``needed_entries``.

    Raises:
        DatasetError: for damaged data, boxes too small for a cutoff, or a leak (``LeakError``).
        PretextError: where a pretext cannot be applied.
        BenchmarkError: for species that a model does not embed.
    """
    datasets = {}
    for name, entry in needed_entries(suite, cells).items():
        try:
            datasets[name] = library.load(entry)
        except DatasetError as error:
            raise DatasetError(f"dataset {name!r}: {error}") from error
        for model in dict.fromkeys(cell.model for cell in cells):
            _check_model(suite, model, name, datasets[name])
    _check_extra_tests(datasets)
    for pretraining in _distinct(planned.cell.pretraining for planned in cells):
        pool_structures(pretraining.parts, build(PRETEXTS, pretraining.pretext), pretraining.seed, library)
    auditor = Auditor()
    audited: set[str] = set()
    for planned in cells:
        content = _audited_content(planned.cell)
        if content not in audited:
            audited.add(content)
            audit_cell(planned.cell, library, auditor, planned.dataset)
    return datasets


def warnings_of(datasets: dict[str, Dataset]) -> list[str]:
    """What readers have to know of the data: what it says itself, and units that look wrong."""
    return [
        f"{name}: {warning}"
        for name, dataset in datasets.items()
        for warning in (*dataset.warnings, *unit_warnings(dataset))
    ]


def audit_cell(cell: Cell, library: Library, auditor: Auditor, name: str) -> Audit:
    """Make sure that no validation or test frame of a cell was seen in its training or pretraining.

    Raises:
        LeakError: naming the frames.
    """
    dataset, whole = library.load_split(cell.dataset, cell.seed)
    split = whole.labelled(cell.dataset.labelled, stream_seed(cell.seed, "labelled"))
    seen = [Part(f"the training set of {name}", dataset, split.train)]
    watched = []
    if cell.pretraining is not None:
        for number, part in enumerate(cell.pretraining.parts, start=1):
            source, parts = library.load_split(part, cell.seed)
            seen.append(Part(f"pretraining set {number} ({part.kind})", source, parts.train))
            watched.append(Part(f"the validation part of pretraining set {number} ({part.kind})", source, parts.val))
    test = [Part(f"the test set of {name}", dataset, split.test)]
    for extra, entry in cell.dataset.extra_tests.items():
        further = library.load(entry)
        test.append(Part(f"the further test set {extra}", further, further.all_frames))
    # What a pretext is validated on trains nothing, and may validate again; test frames are not even to be there.
    auditor.audit(watched, [], test)
    return auditor.audit(seen, [Part(f"the validation set of {name}", dataset, split.val)], test)


def contents(work: Cell | Pretraining, library: Library) -> list[str]:
    """Content hashes of all data that a job reads: equal only for the same frames."""
    entries = work.parts if isinstance(work, Pretraining) else (work.dataset, *work.dataset.extra_tests.values())
    return [library.load(entry).content_hash for entry in entries]


def _check_model(suite: Suite, model: str, name: str, dataset: Dataset) -> None:
    options: dict[str, Any] = suite.models[model].options
    if max(dataset.species) >= options["max_z"]:
        raise BenchmarkError(
            f"dataset {name!r} has atomic numbers up to {max(dataset.species)}; model {model!r} embeds those below "
            f"max_z = {options['max_z']}. Raise its option 'max_z'."
        )
    cutoff: float = build(MODELS, suite.models[model]).config.cutoff_A
    check_boxes(dataset.samples, cutoff, name)


def _check_extra_tests(datasets: dict[str, Dataset]) -> None:
    """A potential cannot be tested on species whose reference energies its training set does not give."""
    for name, extra in datasets.items():
        base = datasets.get(name.partition("/")[0])
        if base is None or base is extra:
            continue
        unknown = sorted(set(extra.species) - set(base.species))
        if unknown:
            raise DatasetError(
                f"further test set {name!r} has atomic numbers {unknown}, which the training data lacks "
                f"({list(base.species)}); leave it out"
            )


def _distinct(pretrainings: Iterable[Pretraining | None]) -> list[Pretraining]:
    return list({p.key: p for p in pretrainings if p is not None}.values())


def _audited_content(cell: Cell) -> str:
    """What an audit depends on: cells with another model, pretext or schedule need not be audited again."""
    parts = [] if cell.pretraining is None else [part.model_dump_json() for part in cell.pretraining.parts]
    return f"{cell.seed} {cell.dataset.model_dump_json()} {parts}"
