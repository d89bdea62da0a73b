"""Changes against the baselines, with intervals and tests."""

from __future__ import annotations

from reports.analysis.results import Results
from reports.records.plan import Arm
from reports.records.record import METRICS
from reports.tables.table import (
    LEGEND,
    Column,
    Number,
    Rows,
    Table,
    by_pair,
    change_cell,
    interval,
    p_cell,
    verdict_cell,
)
from reports.text.formatting import NONE, QUANTITIES, plural, signed, titled


def comparison_table(results: Results) -> Table:
    """Every comparison of the family that p-values are corrected over, with its verdict."""
    plan = results.run.plan

    def rows(arm: Arm) -> Rows:
        if arm.strategy in plan.baselines:
            return []
        lines = []
        for metric in results.headline_metrics(arm.dataset):
            for baseline in results.references(arm):
                change = results.change(arm, baseline, metric)
                if change is None:
                    continue
                lines.append(
                    [
                        f"{arm.strategy} vs {baseline}",
                        QUANTITIES[metric][0],
                        Number(str(change.n), change.n),
                        Number(signed(change.percent), change.percent),
                        interval(change.low, change.high) or NONE,
                        spread_percent(change.lowest, change.highest),
                        p_cell(change.p),
                        p_cell(change.p_holm),
                        verdict_cell(change),
                    ]
                )
        return lines

    size = results.family_size
    return Table(
        "Comparisons with the baselines, best checkpoint. Holm's correction is made over "
        f"{plural(size, 'comparison')}: all of this table that have two common seeds or more.",
        [
            Column("comparison", numeric=False),
            Column("error", numeric=False),
            Column("common seeds"),
            Column("change (%)"),
            Column("95 % interval (%)"),
            Column("single seeds (%)"),
            Column("p"),
            Column("p, corrected"),
            Column("verdict", numeric=False),
        ],
        by_pair(results, rows),
        (
            "Change: geometric mean of the ratios of single seeds, less one. Interval and p-value are those of the "
            "paired t-test on logarithms of errors, two-sided; the interval is not corrected for the number of "
            "comparisons.",
        ),
        name="comparisons",
        absent="No arm and baseline have a finished seed in common: nothing is compared.",
    )


def spread_percent(lowest: float, highest: float) -> str:
    """`lowest to highest` with signs; the one number if both print alike."""
    return " to ".join(dict.fromkeys((signed(lowest), signed(highest))))


def pooled_table(results: Results) -> Table:
    """Changes averaged over the members of a collection."""
    groups: dict[str, Rows] = {}
    plan = results.run.plan
    for pooled in results.pooled:
        groups.setdefault(plan.models[pooled.model].label, []).append(
            [
                f"{pooled.strategy} vs {pooled.baseline}",
                QUANTITIES[pooled.metric][0],
                Number(str(pooled.members), pooled.members),
                Number(str(pooled.n), pooled.n),
                Number(f"{pooled.lower} of {pooled.members}", pooled.lower),
                Number(signed(pooled.percent), pooled.percent),
                interval(pooled.low, pooled.high) or NONE,
                p_cell(pooled.p),
                p_cell(pooled.p_holm),
                verdict_cell(pooled, untested="one seed each: not tested"),
            ]
        )
    tested = sum(pooled.tested for pooled in results.pooled)
    members = plan.members(name for pooled in results.pooled for name in pooled.datasets) + "s"
    return Table(
        f"Changes averaged over {members}, each counting once, with intervals over seeds. Holm's correction is made "
        f"over {plural(tested, 'row')} of this table: all that have two common seeds or more.",
        [
            Column("comparison", numeric=False),
            Column("error", numeric=False),
            Column(members),
            Column("common seeds"),
            Column("lower in"),
            Column("change (%)"),
            Column("95 % interval (%)"),
            Column("p"),
            Column("p, corrected"),
            Column("verdict", numeric=False),
        ],
        list(groups.items()),
        (
            f"Change: geometric mean over {members} and seeds. The logarithms are averaged over {members} within a "
            f"seed, because {members} may share a pretrained network; interval and p-value are over seeds. They say "
            f"nothing about other {members}.",
        ),
        name="pooled",
    )


def change_table(results: Results) -> Table:
    """Changes of every error against every baseline, with intervals."""

    def rows(arm: Arm) -> Rows:
        lines = []
        for baseline in results.references(arm):
            changes = {metric: results.change(arm, baseline, metric) for metric in METRICS}
            counts = sorted({change.n for change in changes.values() if change})
            if counts:
                cells = [change_cell(change) for change in changes.values()]
                lines.append([f"{arm.strategy} vs {baseline}", " or ".join(map(str, counts)), *cells])
        return lines

    return Table(
        "Change of all test errors in %, best checkpoint, paired by seed (95 % interval, not corrected).",
        [Column("comparison", numeric=False), Column("common seeds"), *(Column(titled(m)) for m in METRICS)],
        by_pair(results, rows),
        (f"{LEGEND} Only the errors that a dataset is judged by are tested.",),
        name="changes",
    )
