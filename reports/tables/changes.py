"""Changes against the baselines, with intervals and tests."""

from __future__ import annotations

import pandas as pd

from reports.analysis.results import Results
from reports.records.plan import Arm
from reports.records.record import METRICS
from reports.tables.table import LEGEND, Column, Number, Rows, Table, by_pair, change_cell, interval
from reports.text.formatting import NONE, QUANTITIES, p_value, plural, signed, titled

UNTOLD = "no difference can be told"


def p_cell(p: float) -> str:
    """A p-value as a cell."""
    return NONE if pd.isna(p) else Number(p_value(p), p)


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
                verdict = (change.verdict or UNTOLD) if change.n > 1 else "one seed: not tested"
                lines.append(
                    [
                        f"{arm.strategy} vs {baseline}",
                        QUANTITIES[metric][0],
                        Number(str(change.n), change.n),
                        Number(signed(change.percent), change.percent),
                        interval(change.low, change.high).strip(" ()") or NONE,
                        spread_percent(change.lowest, change.highest),
                        p_cell(change.p),
                        p_cell(change.p_holm),
                        verdict,
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
    """Changes averaged over molecules."""
    groups: dict[str, Rows] = {}
    plan = results.run.plan
    for pooled in results.pooled:
        verdict = (pooled.verdict or UNTOLD) if pooled.n > 1 else "one seed each: not tested"
        groups.setdefault(plan.models[pooled.model].label, []).append(
            [
                f"{pooled.strategy} vs {pooled.baseline}",
                QUANTITIES[pooled.metric][0],
                Number(str(pooled.molecules), pooled.molecules),
                Number(str(pooled.n), pooled.n),
                Number(f"{pooled.lower} of {pooled.molecules}", pooled.lower),
                Number(signed(pooled.percent), pooled.percent),
                interval(pooled.low, pooled.high).strip(" ()") or NONE,
                p_cell(pooled.p),
                p_cell(pooled.p_holm),
                verdict,
            ]
        )
    tested = sum(pooled.n > 1 for pooled in results.pooled)
    return Table(
        "Changes averaged over molecules, each counting once, with intervals over seeds. Holm's correction is made "
        f"over {plural(tested, 'row')} of this table: all that have two common seeds or more.",
        [
            Column("comparison", numeric=False),
            Column("error", numeric=False),
            Column("molecules"),
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
            "Change: geometric mean over molecules and seeds. The logarithms are averaged over molecules within a "
            "seed, for molecules may share a pretrained network; interval and p-value are over seeds. They say nothing "
            "of further molecules.",
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
