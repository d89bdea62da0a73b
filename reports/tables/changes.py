"""Changes against the baselines: the primary comparisons with verdicts, all others with intervals alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import pandas as pd

from reports.analysis.estimates import Change
from reports.analysis.families import Primary
from reports.analysis.power import CHANGES, seeds_needed
from reports.analysis.results import Results
from reports.records.plan import Arm, SpreadRule
from reports.tables.table import (
    Column,
    Number,
    Rows,
    Table,
    by_pair,
    change_cell,
    method_cell,
    p_cell,
    seen_cell,
    signs,
    versus,
)
from reports.text.formatting import NONE, QUANTITIES, interval, listing, plural, signed, titled
from reports.text.verdicts import conclusion, errors_of, where

SEEN = Column("seen with 80 % power (%)")
SPREAD = Column("spread", numeric=False)
RULES: Mapping[SpreadRule, str] = {
    "pooled": "Interval and p come from one model for all arms of a dataset and network (logarithm of the error = "
    "seed + arm + residual), or from the paired t-test of two arms that scatter more than the others: see the column "
    "spread.",
    "own": "Interval and p come from the paired t-test of the two arms (logarithms of their errors, seed by seed), as "
    "the suite declares.",
}


def _rule(results: Results) -> str:
    """Where intervals and p come from."""
    seen = "Seen with 80 % power: smaller changes would mostly have been missed."
    return f"{RULES[results.run.plan.spread]} {seen}"


def _name(results: Results, place: Primary) -> str:
    """`masked vs scratch`, marked where cells are stuck."""
    if place.dataset in results.averages:
        return f"{place.strategy} vs {place.baseline}"
    return versus(results, Arm(place.dataset, place.model, place.strategy), place.baseline)


def _estimate(change: Change) -> list[str]:
    """Seeds, change and interval."""
    return [
        Number(str(change.n), change.n),
        Number(signed(change.percent), change.percent),
        interval(change.low, change.high) or NONE,
    ]


ESTIMATE = [Column("common seeds"), Column("change (%)"), Column("95 % interval (%)")]


def primary_table(results: Results) -> Table:
    """The comparisons that were declared before the run, with their verdicts."""
    groups: dict[str, Rows] = {}
    for place in results.primaries:
        change = results.changes.get(place)
        row = [_name(results, place), QUANTITIES[place.metric][0]]
        if change is None:
            row += [*[NONE] * 7, "nothing to compare"]
        else:
            row += [*_estimate(change), p_cell(change.p), p_cell(change.p_holm), seen_cell(change)]
            row += [method_cell(change), conclusion(results, change)]
        groups.setdefault(where(results, place), []).append(row)
    return Table(
        f"Primary comparisons: declared before the run, with verdicts. Holm's correction is over all "
        f"{len(results.primaries)}.",
        [
            Column("comparison", numeric=False),
            Column("error", numeric=False),
            *ESTIMATE,
            Column("p"),
            Column("p, corrected"),
            SEEN,
            SPREAD,
            Column("verdict", numeric=False),
        ],
        list(groups.items()),
        (_rule(results),),
        name="primary",
        absent="No primary comparison was declared, so that nothing here has a verdict.",
    )


def _exploratory(results: Results) -> list[Change]:
    """Comparisons of arms with baselines in the errors that their datasets are judged by, but for the primary ones."""
    plan, found = results.run.plan, []
    for arm in plan.arms:
        for metric in results.headline_metrics(arm.dataset) if arm.strategy not in plan.baselines else ():
            changes = [results.change(arm, baseline, metric) for baseline in results.references(arm)]
            found += [change for change in changes if change is not None and not change.primary]
    return found


def _untested(changes: Iterable[Change]) -> str:
    """One line on what has a single common seed; empty if nothing has."""
    count = sum(not change.tested for change in changes)
    if not count:
        return ""
    return f"{plural(count, 'comparison')} with one common seed {'is' if count == 1 else 'are'} left out: an anecdote."


def comparison_table(results: Results) -> Table:
    """Exploratory comparisons: intervals without a verdict."""
    groups: dict[str, Rows] = {}
    every = _exploratory(results)
    for change in every:
        if change.tested:
            place = change.place
            groups.setdefault(where(results, place), []).append(
                [
                    _name(results, place),
                    QUANTITIES[place.metric][0],
                    *_estimate(change),
                    _single_seeds(results, change),
                    seen_cell(change),
                    method_cell(change),
                ]
            )
    untested = _untested(every)
    return Table(
        "Exploratory comparisons with the baselines, best checkpoint: intervals, which are not corrected for their "
        "number, and no verdict.",
        [
            Column("comparison", numeric=False),
            Column("error", numeric=False),
            *ESTIMATE,
            Column("single seeds (%)"),
            SEEN,
            SPREAD,
        ],
        list(groups.items()),
        (_rule(results), *([untested] if untested else [])),
        name="comparisons",
        absent=untested or "No further arm has a finished seed in common with a baseline.",
    )


def _single_seeds(results: Results, change: Change) -> str:
    """Smallest to largest change of a seed."""
    percents = results.single_seeds(change).values()
    return " to ".join(dict.fromkeys((signed(min(percents)), signed(max(percents)))))


def pooled_table(results: Results) -> Table:
    """Changes averaged over the members of a collection."""
    groups: dict[str, Rows] = {}
    plan, every = results.run.plan, results.averaged()
    for change in every:
        if change.tested:
            place = change.place
            lower = results.lower(change)
            groups.setdefault(plan.models[place.model].label, []).append(
                [
                    _name(results, place),
                    QUANTITIES[place.metric][0],
                    Number(f"{lower} of {change.members}", lower),
                    *_estimate(change),
                    seen_cell(change),
                    method_cell(change),
                    _kind(change),
                ]
            )
    members = plan.members(name for names in results.averages.values() for name in names) + "s"
    untested = _untested(every)
    return Table(
        f"Changes averaged over {members}, each counting once, with intervals over seeds.",
        [
            Column("comparison", numeric=False),
            Column("error", numeric=False),
            Column("lower in"),
            *ESTIMATE,
            SEEN,
            SPREAD,
            Column("kind", numeric=False),
        ],
        list(groups.items()),
        (
            f"Change: geometric mean over {members} and seeds. Logarithms are averaged over the {members} of each "
            f"seed, because {members} may share a pretrained network; intervals are over seeds and say nothing about "
            f"other {members}.",
            *([untested] if untested else []),
        ),
        name="pooled",
        absent=untested,
    )


def _kind(change: Change) -> str:
    return "primary: see its verdict" if change.primary else "exploratory"


def loss_table(results: Results) -> Table:
    """Comparisons with stuck and lost cells set to the null's errors."""
    groups: dict[str, Rows] = {}
    changes = [results.changes[place] for place in results.primaries if place in results.changes]
    for change in changes if results.primaries else _exploratory(results):
        counted = results.with_losses(change.place)
        if counted is not None:
            behind = results.left_behind(change)
            groups.setdefault(where(results, change.place), []).append(
                [
                    _name(results, change.place),
                    QUANTITIES[change.place.metric][0],
                    Number(str(behind), behind),
                    change_cell(change),
                    change_cell(counted),
                    _verdicts(change, counted),
                ]
            )
    return Table(
        "The same comparisons if lost cells, and those that never left the plateau, count with the errors of the null "
        "(no force, mean energy).",
        [
            Column("comparison", numeric=False),
            Column("error", numeric=False),
            Column("lost or stuck cells"),
            Column("change as it is (%)"),
            Column("with them counted (%)"),
            Column("verdict", numeric=False),
        ],
        list(groups.items()),
        name="losses",
    )


def _verdicts(change: Change, counted: Change) -> str:
    if not change.primary:
        return "exploratory"
    if change.verdict == counted.verdict:
        return f"the same: {change.verdict or 'none'}"
    return f"changes from {change.verdict or 'none'} to {counted.verdict or 'none'}"


def seeds_table(results: Results) -> Table:
    """How many seeds changes of some sizes need, by the spreads that were measured."""
    groups: dict[str, Rows] = {}
    seen = set()
    primaries = [results.changes[place] for place in results.primaries if place in results.changes]
    for change in [*primaries, *results.averaged(), *_exploratory(results)]:
        place = change.place
        if pd.isna(change.sd) or not change.tested:
            continue
        key = (place.dataset, place.model, place.metric, change.method, change.sd)
        if key in seen:
            continue
        seen.add(key)
        own = change.method != "blocked"
        what = f"{_name(results, place)}, " if own else ""
        needed = [seeds_needed(percent, change.sd, change.arms, change.family) for percent in CHANGES]
        spread = 100 * math.expm1(change.sd)
        groups.setdefault(where(results, place), []).append(
            [f"{what}{errors_of(place.metric)}{_corrected(change)}", Number(f"{spread:.0f}", spread), str(change.arms)]
            + [Number(str(count), count) if count else "over 2000" for count in needed]
        )
    return Table(
        f"Seeds needed to tell a decrease of {listing([f'{percent:g}' for percent in CHANGES])} % with 80 % power, by "
        "the spread that was measured here.",
        [
            Column("error", numeric=False),
            Column("spread of a cell (%)"),
            Column("arms"),
            *(Column(f"{percent:g} %", "seeds for") for percent in CHANGES),
        ],
        list(groups.items()),
        (
            "Spread: standard deviation of the logarithm of the error of one cell, beside what its seed and arm "
            "explain. It is itself uncertain: with few seeds these numbers are a guide, no promise.",
        ),
        name="seeds",
        absent="No comparison has two common seeds, so that no spread is known.",
    )


def _corrected(change: Change) -> str:
    return f" (primary, one of {change.family})" if change.primary and change.family > 1 else ""


def change_table(results: Results) -> Table:
    """Changes of every error against every baseline, with intervals."""

    def rows(arm: Arm) -> Rows:
        lines = []
        for baseline in results.references(arm):
            changes = {metric: results.change(arm, baseline, metric) for metric in results.metrics}
            counts = sorted({change.n for change in changes.values() if change})
            if counts and counts[-1] > 1:
                cells = [change_cell(change) for change in changes.values()]
                lines.append([versus(results, arm, baseline), " or ".join(map(str, counts)), *cells])
        return lines

    return Table(
        "Change of all test errors in %, best checkpoint (95 % interval, not corrected).",
        [Column("comparison", numeric=False), Column("common seeds"), *(Column(titled(m)) for m in results.metrics)],
        by_pair(results, rows),
        (signs(results),),
        name="changes",
        absent="No arm has two finished seeds in common with a baseline.",
    )
