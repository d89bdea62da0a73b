"""What a table is: text in rows and columns, apart from how a page, a file or a terminal shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from reports.analysis.estimates import Change
from reports.analysis.results import Results
from reports.records.plan import Arm, SpreadRule
from reports.text.formatting import NONE, UNTOLD, WIDEST, interval, number, p_value, plus_minus, signed

MARKS = {
    "*": "primary comparison in which a difference can be told: p < 0.05 after Holm's correction over all of them",
    "◦": f"primary comparison in which {UNTOLD}, or no verdict is given: see the primary comparisons",
    "‡": "only one common seed: an anecdote, without interval or test",
    "ᵖ": "interval from the paired t-test of these two arms, because they scatter more than the others",
    "°": "does not beat the references that need no network: comparisons among such arms say nothing",
    "¶": "some of its finished cells never left the plateau on which training begins",
}
"""Sign behind a number or a name -> what it means; tables explain those that they have."""
TOLD, UNTOLD_PRIMARY, SINGLE, OWN_SPREAD, UNLEARNED, STUCK = MARKS


def signs(results: Results) -> str:
    """What numbers and brackets in tables of errors are."""
    rules: dict[SpreadRule, str] = {
        "pooled": "the model for all arms (logarithm of the error = seed + arm + residual)",
        "own": "the paired t-test of the two arms (logarithms of their errors, seed by seed)",
    }
    return (
        "Seeds: finished of planned. Negative changes are improvements. In brackets: 95 % interval of "
        f"{rules[results.run.plan.spread]}. Changes without * or ◦ are exploratory and have no verdict."
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
    def label(self) -> str:
        """What it is, with its unit, beside a number that stands alone."""
        quantity, _, unit = self.group.partition(", ")
        return f"{quantity} {self.title}".strip() + (f", {unit}" if unit and "%" not in self.title else "")

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


def named(results: Results, arm: Arm, text: str = "") -> str:
    """The name of an arm (or another text for it), marked if some of its cells never left the plateau."""
    return (text or arm.strategy) + (STUCK if results.stuck(arm) else "")


def versus(results: Results, arm: Arm, baseline: str) -> str:
    """`masked vs scratch`, each marked as `named` does."""
    return f"{named(results, arm)} vs {named(results, arm._replace(strategy=baseline))}"


def explained(table: Table) -> Table:
    """The table with a note on the marks that it has."""
    text = "".join(cell for _, rows in table.groups for row in rows for cell in row)
    notes = tuple(f"{mark} {meaning}." for mark, meaning in MARKS.items() if mark in text)
    return replace(table, notes=(*table.notes, " ".join(notes))) if notes else table


def finished_seeds(results: Results, arm: Arm) -> str:
    """`2 of 3`: finished of planned; with what was lost or is stuck, `2 of 3 (1 diverged, 1 stuck)`."""
    counts = results.states(arm)
    behind = [f"{counts[state]} {state}" for state in ("diverged", "failed") if counts.get(state)]
    behind += [f"{results.stuck(arm)} stuck"] if results.stuck(arm) else []
    text = f"{results.finished(arm)} of {results.planned(arm)}"
    return Number(text + (f" ({', '.join(behind)})" if behind else ""), results.finished(arm))


def value(number_: float, digits: int | None = None) -> str:
    """A number as a cell."""
    return Number(number(number_, digits), number_)


def mean_cell(results: Results, arm: Arm, metric: str, checkpoint: str = "best") -> str:
    """`mean ± sd` of an arm's seeds, marked if it does not beat the references; a dash without any."""
    mean = results.mean(arm, metric, checkpoint)
    if mean is None:
        return NONE
    unlearned = checkpoint == "best" and results.learned(arm, metric) is False
    return Number(plus_minus(mean.mean, mean.sd) + (UNLEARNED if unlearned else ""), mean.mean)


def mark(change: Change) -> str:
    """The signs of a change: whether it is one seed, primary, and by which spread."""
    if not change.tested:
        return SINGLE
    kind = (TOLD if change.verdict else UNTOLD_PRIMARY) if change.primary else ""
    return kind + (OWN_SPREAD if change.method == "paired" else "")


def bracketed(low: float, high: float) -> str:
    """` (low to high)`, to follow a number; nothing where there is no interval."""
    ends = interval(low, high)
    return f" ({ends})" if ends else ""


def p_cell(p: float) -> str:
    """A p-value as a cell."""
    return NONE if pd.isna(p) else Number(p_value(p), p)


def seen_cell(change: Change) -> str:
    """The smallest changes that a comparison could have seen, to both sides."""
    low, high = change.seen
    if pd.isna(low):
        return NONE
    return Number("hardly any" if high > WIDEST else f"{signed(low)} or {signed(high)}", high)


def method_cell(change: Change) -> str:
    """By which spread a comparison was made."""
    if not change.tested:
        return NONE
    if change.method == "paired":
        return "of these two arms, which scatter more"
    if change.method == "own":
        return "of the two arms, as declared"
    return "of the two arms" if change.arms == 2 else f"of all {change.arms} arms"


def change_cell(change: Change | None) -> str:
    """A change in %, its marks and its interval; a dash without one."""
    if change is None:
        return NONE
    return Number(signed(change.percent) + mark(change) + bracketed(change.low, change.high), change.percent)
