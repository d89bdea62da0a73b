"""Two runs side by side: what each found, and how the second differs from the first with the same seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.analysis.blocked import blocked_changes
from reports.analysis.diverged import with_diverged
from reports.analysis.estimates import Change, Mean
from reports.analysis.families import judged
from reports.analysis.results import Results
from reports.analysis.statistics import seed_values
from reports.records.merge import distinct_names
from reports.records.parquet import rows_of
from reports.records.plan import Arm
from reports.records.run import Run
from reports.tables.table import Column, Number, Rows, Table, seen_cell
from reports.text.formatting import NONE, QUANTITIES, interval, listing, plural, plus_minus, signed

A, B = "A", "B"


@dataclass(frozen=True)
class Comparison:
    """Two runs: sentences on how they differ, and the tables behind them."""

    sentences: list[str]
    tables: list[Table]


def changes_between(a: Run, b: Run) -> dict[tuple[Arm, str], Change]:
    """Change of every error from run `a` to run `b` by arm and metric, of common seeds; seeds of other splits are not
    compared.

    A model for each arm alone, see `blocked_changes`: the two runs of an arm have more in common than arms do. Nothing
    of it was declared before the runs, so that all is exploratory.
    """
    sides = []
    for run, name in ((a, A), (b, B)):
        values = seed_values(with_diverged(run).records)
        model = values["model"].astype(object) + "\n" + values["strategy"].astype(object)
        sides.append(values.assign(model=model, strategy=name))
    frame = judged(blocked_changes(pd.concat(sides, ignore_index=True), [A]), [])
    changes = [Change.of(row, 0) for row in rows_of(frame)]
    return {
        (Arm(change.place.dataset, *change.place.model.split("\n", 1)), change.place.metric): change
        for change in changes
    }


def _cell(mean: Mean | None) -> str:
    if mean is None:
        return NONE
    return Number(f"{plus_minus(mean.mean, mean.sd)} ({plural(mean.n, 'seed')})", mean.mean)


def _errors(a: Results, b: Results, changes: dict[tuple[Arm, str], Change]) -> Table:
    groups: dict[str, Rows] = {}
    for arm in dict.fromkeys([*a.run.plan.arms, *b.run.plan.arms]):
        home = a if arm in a.run.plan.arms else b
        for metric in home.headline_metrics(arm.dataset):
            change = changes.get((arm, metric))
            means = a.mean(arm, metric), b.mean(arm, metric)
            row = [arm.strategy, QUANTITIES[metric][0], *map(_cell, means)]
            if change is None:
                row += [NONE] * 4 if None in means else [*[NONE] * 3, "no seed in common with the same split"]
            else:
                row += [
                    Number(str(change.n), change.n),
                    Number(signed(change.percent), change.percent),
                    interval(change.low, change.high) or NONE,
                    seen_cell(change) if change.tested else "one seed: an anecdote",
                ]
            groups.setdefault(home.run.plan.heading(arm.dataset, arm.model), []).append(row)
    return Table(
        f"Test errors of {A} and {B}, best checkpoint: mean ± standard deviation over seeds; change from {A} to {B} "
        "over common seeds.",
        [
            Column("arm", numeric=False),
            Column("error (meV/Å, meV per structure)", numeric=False),
            Column(A),
            Column(B),
            Column("common seeds"),
            Column("change (%)"),
            Column("95 % interval (%)"),
            Column("seen with 80 % power (%)"),
        ],
        list(groups.items()),
        (
            f"Negative: {B} is better. Seeds whose splits differ are not compared. All of it is exploratory: intervals "
            "of the paired t-test on logarithms, not corrected for their number, and no verdict.",
        ),
        name="compare-errors",
        absent="Neither run has planned a cell.",
    )


def _facts(run: Run) -> dict[str, str]:
    """What a run is, flat: plan, configuration, and software and hardware of its cells."""

    def leaves(content: Any, name: str) -> Iterator[tuple[str, str]]:
        if isinstance(content, dict):
            for key, value in content.items():
                yield from leaves(value, f"{name}.{key}")
        else:
            yield name, str(content)

    facts = {
        "suite": run.plan.suite,
        "scale": run.plan.scale,
        "command": run.plan.command,
        "cells planned": str(len(run.plan.cells)),
        "cells finished": str(run.count("ok")),
        "commit": listing(list(dict.fromkeys(c for source in run.sources for c in source.commits))),
        "hardware": listing(list(dict.fromkeys(h for source in run.sources for h in source.hardware))),
    }
    versions: dict[str, list[str]] = {}
    for text in dict.fromkeys(version for source in run.sources for version in source.versions):
        name, _, version = text.partition(" ")
        versions.setdefault(f"version of {name}", []).append(version)
    facts |= {name: listing(found) for name, found in versions.items()}
    return facts | dict(leaves(run.plan.config, "config"))


def _differences(a: Run, b: Run) -> Table:
    facts = _facts(a), _facts(b)
    rows = [
        [name, facts[0].get(name, NONE), facts[1].get(name, NONE)]
        for name in dict.fromkeys([*facts[0], *facts[1]])
        if facts[0].get(name) != facts[1].get(name)
    ]
    return Table(
        f"How {A} and {B} differ: plan, configuration, software, hardware.",
        [Column("what", numeric=False), Column(A, numeric=False), Column(B, numeric=False)],
        [("", rows)],
        name="compare-settings",
        absent="The two runs have the same plan, configuration, software and hardware.",
    )


def compare(a: Run, b: Run) -> Comparison:
    """Two runs side by side: errors of every arm in both, the seed-paired change from `a` to `b`, and all settings
    in which they differ.
    """
    changes = changes_between(a, b)
    names = distinct_names((a, b))
    sentences = [f"{A} is {names[0]}, {B} is {names[1]}."]
    tested = [change for change in changes.values() if change.tested]
    if tested:
        sentences.append(
            f"The same seeds are compared in {plural(len({arm for arm, _ in changes}), 'arm')}; what changed from {A} "
            f"to {B} was not declared beforehand, so the table has intervals and no verdicts."
        )
    elif changes:
        sentences.append("Only one seed is common to both: an anecdote, which tells nothing.")
    else:
        sentences.append("No arm has finished with the same seed and split in both, so there is nothing to compare.")
    return Comparison(sentences, [_errors(Results(a), Results(b), changes), _differences(a, b)])
