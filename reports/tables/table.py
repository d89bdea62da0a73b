"""What a table is: text in rows and columns, apart from how a page, a file or a terminal shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from reports.analysis.estimates import Change, Estimate
from reports.analysis.results import Results
from reports.records.plan import Arm
from reports.text.formatting import NONE, UNTOLD, number, p_value, plus_minus, signed

TOLD, SINGLE = "*", "‡"
SIGNS = (
    "Seeds: finished of planned. Negative changes are improvements. In brackets: 95 % interval of the paired t-test on "
    "logarithms."
)
LEGEND = (
    f"{TOLD} a difference can be told: p < 0.05 after Holm's correction over the comparisons under Statistics. "
    "Changes between baselines are not tested. "
    f"{SINGLE} only one common seed: an anecdote, without interval or test."
)


class Number(str):
    """A number as text that keeps its value: what tables are sorted by and files hold."""

    value: float

    def __new__(cls, text: str, value: float) -> Number:
        made = super().__new__(cls, text)
        made.value = float(value)
        return made


def sort_value(cell: str) -> float | None:
    """The number in a cell; None if it holds none."""
    if isinstance(cell, Number) and not pd.isna(cell.value):
        return cell.value
    return None


@dataclass(frozen=True)
class Column:
    """A column: `group` is the header above neighbouring columns of one quantity, '' for none."""

    title: str
    group: str = ""
    numeric: bool = True

    @property
    def full(self) -> str:
        """Both headers in one line, for Markdown."""
        return f"{self.group}: {self.title}" if self.group else self.title


@dataclass(frozen=True)
class Table:
    """Rows in groups under a heading ('' for none); the first column heads its row."""

    caption: str
    columns: list[Column]
    groups: list[tuple[str, list[list[str]]]]
    notes: tuple[str, ...] = ()
    name: str = ""
    """Stem of the files that it is written to."""
    absent: str = "None."
    """What to say in its place if it is empty."""

    @property
    def headers(self) -> list[tuple[str, int]]:
        """(group, number of columns) for the upper header line."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans

    @property
    def empty(self) -> bool:
        return not any(rows for _, rows in self.groups)


Rows = list[list[str]]


def by_pair(
    results: Results, rows_of: Callable[[Arm], Rows], datasets: Sequence[str] | None = None
) -> list[tuple[str, Rows]]:
    """Rows of all arms (on these datasets), grouped by dataset and model; groups without rows are left out."""
    plan = results.run.plan
    groups: dict[tuple[str, str], Rows] = {}
    for arm in plan.arms:
        if datasets is None or arm.dataset in datasets:
            groups.setdefault((arm.dataset, arm.model), []).extend(rows_of(arm))
    return [(plan.heading(*pair), rows) for pair, rows in groups.items() if rows]


def finished_seeds(results: Results, arm: Arm) -> str:
    """`2 of 3`: finished of planned; with what was lost, `2 of 3; 1 diverged`."""
    counts = results.states(arm)
    lost = [f"{counts[state]} {state}" for state in ("diverged", "failed") if counts.get(state)]
    return Number("; ".join([f"{results.finished(arm)} of {results.planned(arm)}", *lost]), results.finished(arm))


def value(number_: float, digits: int | None = None) -> str:
    """A number as a cell."""
    return Number(number(number_, digits), number_)


def mean_cell(results: Results, arm: Arm, metric: str, checkpoint: str = "best") -> str:
    """`mean ± sd` of an arm's seeds; a dash without any."""
    mean = results.mean(arm, metric, checkpoint)
    return NONE if mean is None else Number(plus_minus(mean.mean, mean.sd), mean.mean)


def mark(change: Change) -> str:
    """The sign of a change that can be told, or of one seed."""
    return SINGLE if not change.tested else TOLD if change.verdict else ""


def interval(low: float, high: float) -> str:
    """`low to high` in %; nothing where there is no interval."""
    return "" if pd.isna(low) else f"{signed(low)} to {signed(high)}"


def bracketed(low: float, high: float) -> str:
    """` (low to high)`, to follow a number; nothing where there is no interval."""
    ends = interval(low, high)
    return f" ({ends})" if ends else ""


def p_cell(p: float) -> str:
    """A p-value as a cell."""
    return NONE if pd.isna(p) else Number(p_value(p), p)


def verdict_cell(estimate: Estimate, untested: str = "one seed: not tested") -> str:
    """What can be said of a change."""
    return (estimate.verdict or UNTOLD) if estimate.tested else untested


def change_cell(change: Change | None) -> str:
    """A change in %, its mark and its interval; a dash without one."""
    if change is None:
        return NONE
    return Number(signed(change.percent) + mark(change) + bracketed(change.low, change.high), change.percent)
