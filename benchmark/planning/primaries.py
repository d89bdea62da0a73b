"""The primary comparisons of a suite: on which data and which error, and whether a plan has cells for them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from benchmark.errors import BenchmarkError, unknown_name
from benchmark.planning.cells import Cell
from benchmark.planning.config import DatasetEntry, Suite
from benchmark.planning.reading import build
from reports.records.plan import PlannedPrimary
from reports.records.record import FURTHER, JUDGED, METRICS
from tasks.datasets.base import DatasetTask
from tasks.registry import DATASETS

COMPARABLE = tuple(name for name in (*METRICS, *FURTHER) if name != "energy_bias_mev")
"""Errors that a ratio can be taken of: a bias has a sign."""


def pool_of(entry: DatasetEntry) -> str | None:
    """All that the members of a dataset's collection have in common; None for one that stands alone."""
    task: DatasetTask = build(DATASETS, entry)
    if not task.pooled_over:
        return None
    content = entry.model_dump(mode="json", exclude={"label"})
    content["options"] = {name: value for name, value in content["options"].items() if name != task.pooled_over}
    return json.dumps(content, sort_keys=True)


def planned_primaries(suite: Suite) -> list[PlannedPrimary]:
    """What is declared, with the error that each comparison is on.

    Raises:
        BenchmarkError: for an average over a collection where the suite has none or several, for what is no error of
            the records, or for a comparison that is declared by its error's name and without one.
    """
    for entry in suite.primary:
        if entry.metric not in (None, *COMPARABLE):
            raise unknown_name(
                "metric of a primary comparison", str(entry.metric), COMPARABLE, "Correct it in `primary`."
            )
    return _each_once(
        suite,
        [
            PlannedPrimary(
                dataset=entry.dataset,
                model=entry.model,
                strategy=entry.strategy,
                baselines=entry.baselines,
                metric=entry.metric or _judged_force(suite, members_of(suite, entry.dataset)[0]),
            )
            for entry in suite.primary
        ],
    )


def members_of(suite: Suite, dataset: str | None) -> list[str]:
    """The dataset of a primary comparison; for None those that it averages over, the suite's one collection.

    Raises:
        BenchmarkError: where the suite has no collection of two members or more, or several.
    """
    if dataset is not None:
        return [dataset]
    pools: dict[str, list[str]] = {}
    for name, entry in suite.datasets.items():
        if (pool := pool_of(entry)) is not None:
            pools.setdefault(pool, []).append(name)
    found = [names for names in pools.values() if len(names) > 1]
    if len(found) != 1:
        there = "; ".join(", ".join(names) for names in found) or "none"
        raise BenchmarkError(
            f"suite {suite.name!r}: a primary comparison without a dataset is one of the average over the members of a "
            f"collection, of which there has to be exactly one; there are: {there}. Name its dataset"
        )
    return found[0]


UNDECLARED = (
    "no comparison is declared, so the report will have no verdicts: say under `primary` what the run is for, before "
    "it begins"
)


def declared(suite: Suite) -> str:
    """What the run is for, in a sentence."""
    found = [
        f"{one.strategy} against {' and '.join(one.baselines)} in {one.metric} ({one.model} on "
        f"{one.dataset or 'the average'})"
        for one in planned_primaries(suite)
    ]
    return f"verdicts will be on: {'; '.join(found)}" if found else UNDECLARED


def without_cells(suite: Suite, cells: Sequence[Cell]) -> list[str]:
    """Primary comparisons that a plan has no cells for, in words; they stay declared."""
    there: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for cell in cells:
        there[cell.arm.dataset, cell.arm.model].add(cell.arm.strategy)
    notes = []
    for primary in planned_primaries(suite):
        for baseline in primary.baselines:
            pair = {primary.strategy, baseline}
            if not any(pair <= there[name, primary.model] for name in members_of(suite, primary.dataset)):
                where = primary.dataset or "the average"
                notes.append(
                    f"no cells for the primary comparison of {primary.strategy} with {baseline} ({primary.model} on "
                    f"{where}); it stays declared, since the family is what was declared"
                )
    return notes


def _judged_force(suite: Suite, dataset: str) -> str:
    task: DatasetTask = build(DATASETS, suite.datasets[dataset])
    return JUDGED[task.judged_by][0]


def _each_once(suite: Suite, primaries: list[PlannedPrimary]) -> list[PlannedPrimary]:
    seen = set()
    for primary in primaries:
        for baseline in primary.baselines:
            comparison = (primary.dataset, primary.model, primary.strategy, baseline, primary.metric)
            if comparison in seen:
                raise BenchmarkError(
                    f"suite {suite.name!r}: the primary comparison of {primary.strategy!r} with {baseline!r} in "
                    f"{primary.metric} is declared twice, once by leaving out the metric; remove one"
                )
            seen.add(comparison)
    return primaries
