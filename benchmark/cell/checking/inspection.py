"""All that is checked before any training, in one list to read; a run stops at the first thing that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.cell.checking.audits import audit_key, clean_audit
from benchmark.cell.checking.checks import (
    check_model,
    check_reference_energies,
    chosen_entries,
    distinct_pretrainings,
)
from benchmark.cell.checking.given import check_species, count_structures, open_given
from benchmark.cell.library import Library, pool_structures
from benchmark.errors import BenchmarkError
from benchmark.planning.cells import Cell
from benchmark.planning.config import DatasetEntry, Entry, StructuresEntry, Suite
from benchmark.planning.frames import split_frames
from benchmark.planning.planner import make_plan, select_names
from benchmark.planning.reading import build
from reports.records.audit import CleanAudit
from tasks.correlation import describe_correlation
from tasks.datasets.base import Dataset, DatasetError, NotPreparedError
from tasks.datasets.splits import FrameSplit, Split
from tasks.datasets.structures.plausibility import unit_warnings
from tasks.leakage.audit import Auditor
from tasks.leakage.recognition import SAME_A
from tasks.options.pretexts import PretextError
from tasks.registry import PRETEXTS
from tasks.simulation.card import Spent

Level = Literal["ok", "note", "stop", "later"]
SET_WORDS = {"train": "training", "val": "validation", "test": "test"}

NOT_THERE = "not there yet: a run makes or fetches it first. `data check` does so and looks at it, and trains nothing"
UNKNOWN = (
    "it does not say which structures it was pretrained on: whether frames that are validated or tested on were among "
    "them is not known"
)


@dataclass(frozen=True)
class Finding:
    """One line of the list: whether it is as it should be, what it is about, and what was found."""

    level: Level
    topic: str
    text: str


@dataclass
class Section:
    """What was found of a dataset, or of an arm's pretext."""

    title: str
    findings: list[Finding] = field(default_factory=list)

    def add(self, level: Level, topic: str, text: str) -> None:
        """Add a line."""
        self.findings.append(Finding(level, topic, text))

    def attempt(self, topic: str, check: Callable[[], str | None]) -> None:
        """Add what a check says, or why it would stop a run."""
        try:
            text = check()
        except (BenchmarkError, DatasetError, PretextError) as error:
            self.add("stop", topic, str(error))
            return
        if text:
            self.add("ok", topic, text)


@dataclass(frozen=True)
class Inspection:
    """The whole list."""

    sections: list[Section]

    def count(self, level: Level) -> int:
        """Number of lines of a level."""
        return sum(finding.level == level for section in self.sections for finding in section.findings)


def inspect_data(
    suite: Suite, select: Mapping[str, list[str]], seeds: int | None, data_dir: Path, failed: Mapping[str, str]
) -> Inspection:
    """Look at everything that a run of a suite would check, whatever is wrong with some of it. Nothing is written.

    Args:
        suite: a suite whose configuration is valid.
        select: as for ``make_plan``.
        seeds: likewise.
        data_dir: folder of the datasets.
        failed: why datasets, by name, could not be prepared.
    """
    _, models, _ = select_names(suite, select)
    library = Library(data_dir)
    sections: dict[str, Section] = {}
    loaded: dict[str, Dataset] = {}
    chosen = chosen_entries(suite, select, seeds)
    for name, entry in chosen.items():
        section = sections[name] = Section(name)
        try:
            loaded[name] = library.load(entry)
        except NotPreparedError:
            if name in failed:
                section.add("stop", "data", failed[name])
            else:
                section.add("later", "data", NOT_THERE)
        except DatasetError as error:
            section.add("stop", "data", str(error))
        else:
            _describe(section, entry, loaded[name])
            section.attempt("networks", partial(_fits, suite, models, name, loaded[name]))
    broken = [name for name in sections if name not in loaded]
    try:
        cells = make_plan(suite, seeds, select, data_dir)
    except (BenchmarkError, DatasetError) as error:
        if not broken:  # else it was said before
            sections.setdefault("plan", Section("plan")).add("stop", "cells", str(error))
        return Inspection([*sections.values()])
    for name, entry in {**suite.datasets, **suite.structures}.items():
        if name in loaded and isinstance(entry, DatasetEntry | StructuresEntry):
            _describe_splits(sections[name], entry, loaded[name], sorted({cell.seed for cell in cells}))
    readable = [cell for cell in cells if _can_be_read(cell, library)]
    _describe_audits(sections, readable, library)
    named = {_content(entry): name for name, entry in chosen.items()}
    pretexts, files = _describe_pretexts(readable, library, named), _describe_files(readable, library)
    return Inspection([*sections.values(), *pretexts, *files])


def _describe(section: Section, entry: Entry, dataset: Dataset) -> None:
    """What a dataset is, its units and its trajectories."""
    sizes = [sample.num_nodes for sample in dataset.samples]
    atoms = f"{min(sizes)} atoms" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)} atoms"
    form = "periodic" if "box" in dataset.samples[0] else "isolated"
    labelled = "y" in dataset.samples[0]
    labels = "with energies and forces" if labelled else "without labels"
    section.title += f": {dataset.title or entry.kind}, {form}, {atoms}, {labels}"
    for warning in dataset.warnings:
        section.add("note", "data", warning)
    found = unit_warnings(dataset)
    for warning in found:
        section.add("note", "units", warning)
    if not found:
        squares = [float(sample.neg_dy.double().square().mean()) for sample in dataset.samples] if labelled else []
        forces = (
            f"; forces of {np.sqrt(np.average(squares, weights=sizes)):.3g} eV/Å, root mean square" if labelled else ""
        )
        section.add("ok", "units", f"plausible as eV and Å{forces}" if labelled else "lengths plausible as Å")
    counts = np.unique(dataset.outline.groups, return_counts=True)[1]
    frames = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    each = f"{len(counts)} trajectories or blocks of {frames} frames; a split keeps each whole"
    section.add(
        "ok", "groups", each if len(counts) < len(dataset.samples) else f"each of {len(counts)} frames by itself"
    )


def _fits(suite: Suite, models: Iterable[str], name: str, dataset: Dataset) -> str:
    for model in models:
        check_model(suite, model, name, dataset)
    return f"{', '.join(models)} can be used: elements, and boxes against cutoffs"


def _describe_splits(
    section: Section, entry: DatasetEntry | StructuresEntry, dataset: Dataset, seeds: Sequence[int]
) -> None:
    """How many frames and trajectories each set has, and what its frames are worth."""
    try:
        splits = [split_frames(entry, dataset.outline, seed) for seed in seeds]
    except DatasetError as error:
        section.add("stop", "split", str(error))
        return
    kinds = dict.fromkeys(_count(split, dataset) for split in splits)
    of_seeds = "seed 0" if len(seeds) == 1 else f"{len(seeds)} seeds"
    section.add("ok", "split", f"{of_seeds}: {' or '.join(kinds)}")
    if isinstance(entry.split, FrameSplit) and len(np.unique(dataset.outline.groups)) < len(dataset.samples):
        section.add(
            "note", "split", "frames are split regardless of their trajectory: test frames have neighbours in training"
        )
    if "y" not in dataset.samples[0]:
        return
    worth = describe_correlation(dataset, splits[0].as_dict()).get("energy")
    if worth is None:
        section.add("ok", "worth", "not known: no two frames are known to be of one trajectory")
        return
    parts = [
        f"{len(frames)} {SET_WORDS[name]} frames {worth[name]:.3g}"
        for name, frames in splits[0].as_dict().items()
        if len(frames)
    ]
    section.add(
        "ok",
        "worth",
        f"in independent frames, by their energies: {', '.join(parts)} "
        f"(correlation time {worth['correlation_time']:.3g} frames)",
    )


def _count(split: Split, dataset: Dataset) -> str:
    groups = dataset.outline.groups
    grouped = len(np.unique(groups)) < len(groups)
    parts = []
    for name, frames in split.as_dict().items():
        if len(frames):
            of = f" (of {len(np.unique(groups[frames]))})" if grouped else ""
            parts.append(f"{len(frames)} {SET_WORDS[name]}{of}")
    return ", ".join(parts) + " frames" + (" (of so many trajectories)" if grouped else "")


def _can_be_read(cell: Cell, library: Library) -> bool:
    try:
        for entry in cell.reads:
            library.load(entry)
        for entry in cell.trains_on + (cell.pretraining.trains_on if cell.pretraining else ()):
            library.load_sets(entry, cell.seed)
    except DatasetError:
        return False
    return True


def _describe_audits(sections: Mapping[str, Section], cells: Sequence[Cell], library: Library) -> None:
    """Leaks, and energies that training does not determine: of each dataset the first, and what was found clean."""
    auditor = Auditor()
    clean: dict[str, dict[str, CleanAudit]] = {}
    stopped: set[tuple[str, str]] = set()
    for cell in cells:
        name, key = cell.arm.dataset, audit_key(cell)
        if key in clean.setdefault(name, {}):
            continue
        for topic, check in (
            ("energies", partial(check_reference_energies, cell, library)),
            ("leaks", partial(clean_audit, cell, library, auditor)),
        ):
            if (name, topic) in stopped:
                continue
            try:
                found = check()
            except DatasetError as error:
                stopped.add((name, topic))
                sections[name].add("stop", topic, f"seed {cell.seed}: {error}")
                continue
            if isinstance(found, CleanAudit):
                clean[name][key] = found
    for name, audits in clean.items():
        if audits and (name, "leaks") not in stopped:
            sections[name].add("ok", "leaks", _clean([*audits.values()]))


def _clean(audits: Sequence[CleanAudit]) -> str:
    seen, checked = (max(getattr(audit, column) for audit in audits) for column in ("seen_frames", "checked_frames"))
    tolerance = max(audit.tolerance_A or SAME_A for audit in audits)
    text = (
        f"none of {checked} validation and test frames is among up to {seen} frames of training and pretraining; "
        f"looked for to {tolerance:.2g} Å"
    )
    if tolerance > SAME_A:
        text += ", as positions are rounded in the files: frames that are nearer count as the same"
    nearest = [audit.nearest_frames for audit in audits if audit.nearest_frames is not None]
    if nearest:
        text += (
            f"; the nearest two are {min(nearest)} {'frame' if min(nearest) == 1 else 'frames'} of a trajectory apart"
        )
    return text


def _content(entry: Entry) -> str:
    return entry.model_dump_json(include={"kind", "options"})


def _describe_pretexts(cells: Sequence[Cell], library: Library, names: Mapping[str, str]) -> list[Section]:
    """To how many structures each arm's pretext can be applied; names are those of the datasets by their content."""
    sections: dict[str, Section] = {}
    arms = {cell.pretraining.key: cell.arm for cell in cells if cell.pretraining is not None}
    done: set[tuple[str, str]] = set()
    for pretraining in distinct_pretrainings(cells):
        arm = arms[pretraining.key]
        parts = ", ".join(part.model_dump_json() for part in pretraining.parts)
        content = f"{pretraining.seed} {parts} {pretraining.pretext.model_dump_json()}"
        several = len(pretraining.parts) > 1
        where = f"{len(pretraining.parts)} datasets" if several else names[_content(pretraining.parts[0])]
        section = sections.setdefault(arm.strategy, Section(f"{arm.strategy}: {pretraining.pretext.kind}"))
        if (arm.strategy, content) in done:
            continue
        done.add((arm.strategy, content))
        pretext = build(PRETEXTS, pretraining.pretext)
        try:
            pool = pool_structures(pretraining.parts, pretext, pretraining.seed, library)
        except (PretextError, DatasetError) as error:
            if not any(finding.level == "stop" for finding in section.findings):
                section.add("stop", "pretext", f"for {where}: {error}")
            continue
        if pretraining.seed:
            continue
        train, val = len(pool.split.train), len(pool.split.val)
        text = f"for {where}: {train} structures train and {val} validate"
        if pool.left_out:
            text += f"; {pool.left_out} are left out, as {pretext.title} needs {pretext.requirement}"
        section.add("note" if pool.left_out else "ok", "pretext", text)
        caution = pretext.caution(pool.samples[0])
        if caution is not None:
            section.add("note", "pretext", f"for {where}: {caution}")
    return [*sections.values()]


def _describe_files(cells: Sequence[Cell], library: Library) -> list[Section]:
    """The bodies that arms start from which were pretrained before: of what, at what cost, and whether they fit."""
    sections: dict[str, Section] = {}
    done: set[tuple[str, ...]] = set()
    for cell in cells:
        given, arm = cell.given, cell.arm
        if given is None:
            continue
        section = sections.setdefault(arm.strategy, Section(f"{arm.strategy}: a body from a file"))
        body = open_given(given)
        if (arm.strategy, given.path) not in done:
            done.add((arm.strategy, given.path))
            cost = "what that cost it does not say" if body.spent is None else _cost(body.spent)
            section.add("ok", "file", f"{given.path} (hash {given.content_hash}), pretrained by {body.pretext}: {cost}")
            if count_structures(body) is None:
                section.add("note", "leaks", f"{given.path}: {UNKNOWN}")
        if (arm.strategy, arm.dataset, given.path) not in done:
            done.add((arm.strategy, arm.dataset, given.path))
            section.attempt("elements", partial(check_species, cell, body, library.load(cell.dataset)))
    return [*sections.values()]


def _cost(spent: Spent) -> str:
    return f"{spent.epochs} epochs over {spent.frames} frames, {spent.steps} steps, {spent.seconds:.0f} s"
