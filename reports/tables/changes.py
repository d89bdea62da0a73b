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
        f"Comparisons with the baselines, best checkpoint. Holm's correction is over {plural(size, 'comparison')}: "
        "those of this table with at least two common seeds.",
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
            "Change: geometric mean of the ratios of the single seeds, minus one. Interval and p-value come from the "
            "two-sided paired t-test on the logarithms of the errors; the interval is not corrected for the number of "
            "comparisons.",
        ),
        name="comparisons",
        absent="No arm has a finished seed in common with a baseline, so there is nothing to compare.",
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
        f"Changes averaged over {members}, each counting once, with intervals over seeds. Holm's correction is over "
        f"{plural(tested, 'row')} of this table: those with at least two common seeds.",
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
            f"Change: geometric mean over {members} and seeds. Logarithms are averaged over the {members} of each "
            f"seed, because {members} may share a pretrained network; interval and p-value are over seeds and say "
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
        (f"{LEGEND} Only the errors by which a dataset is judged are tested.",),
        name="changes",
    )
