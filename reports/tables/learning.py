"""Whether cells left the plateau on which training begins, what they were handed over, and whether they were done."""

from __future__ import annotations

from typing import Any

from reports.analysis.escape import SHARE, compare_escapes
from reports.analysis.results import Results
from reports.analysis.statistics import ARM
from reports.records.parquet import rows_of
from reports.records.plan import Arm
from reports.records.record import HANDOVER
from reports.tables.table import Column, Number, Rows, Table, by_pair, named, p_cell
from reports.text.formatting import NONE, number, signed


def escape_table(results: Results) -> Table:
    """Shares of cells that escaped and when, with the tests of both against each baseline."""
    escaped, plan = results.escaped, results.run.plan
    tests: dict[Arm, dict[str, dict[str, Any]]] = {}
    for row in rows_of(compare_escapes(escaped, plan.baselines)):
        tests.setdefault(Arm(*(row[name] for name in ARM)), {})[row["baseline"]] = row
    by_arm = {Arm(*map(str, place)): cells for place, cells in escaped.groupby(ARM, sort=False)}

    def rows(arm: Arm) -> Rows:
        cells = by_arm.get(arm)
        if cells is None:
            return []
        out = cells[cells["escaped"]]
        line = [named(results, arm), Number(f"{len(out)} of {len(cells)}", len(out))]
        for time in ("epoch", "total_epoch"):
            middle = cells[time].where(cells["escaped"], float("inf")).median()
            known = middle < float("inf")
            line.append(Number(number(middle, 1), middle) if known else "half are stuck" if len(cells) > 1 else "stuck")
        compared = results.references(arm)
        for baseline in plan.baselines:
            test = tests.get(arm, {}).get(baseline) if baseline in compared else None
            line += [NONE, NONE] if test is None else [p_cell(test["p_share"]), p_cell(test["p_time"])]
        return [line]

    columns = [Column("arm", numeric=False), Column("cells that left it")]
    columns += [Column(title, "median epoch of leaving it") for title in ("finetuning only", "pretraining counted")]
    for baseline in plan.baselines:
        columns += [Column(title, f"p against {baseline}") for title in ("share", "time")]
    return Table(
        f"Escape from the plateau: the first epoch whose validation force RMSE is below {SHARE:g} of that of no force "
        "at all. Cells that diverged or failed have not left it.",
        columns,
        by_pair(results, rows),
        (
            "p of the shares: Fisher's exact test; of the times in finetuning: log-rank test, from all permutations of "
            "the cells. Both are exploratory and not corrected. With three cells against three no p can be below 0.1.",
        ),
        name="escape",
        absent="Not known: the error of no force at all was not recorded for these data.",
    )


def handover_table(results: Results) -> Table | None:
    """What finetuning started from; None where no cell says it."""
    records = results.run.records
    cells = records.drop_duplicates("cell_key").dropna(subset=["handover_force_rms"])
    if cells.empty:
        return None
    by_arm = {Arm(*map(str, place)): group for place, group in cells.groupby(ARM, sort=False)}

    def cell(group: Any, name: str) -> str:
        values = group[name].dropna().astype(float)
        if values.empty:
            return NONE
        ends = dict.fromkeys((number(values.min()), number(values.max())))
        return Number(f"{number(values.median())} ({' to '.join(ends)})", values.median())

    def rows(arm: Arm) -> Rows:
        group = by_arm.get(arm)
        if group is None:
            return []
        return [[named(results, arm), Number(str(len(group)), len(group)), *(cell(group, name) for name in HANDOVER)]]

    return Table(
        "What finetuning starts from: the forces that networks predict before the first step, on validation frames; "
        "median (smallest to largest seed).",
        [
            Column("arm", numeric=False),
            Column("cells"),
            Column("size, 1 is that of the true forces"),
            Column("cosine to the true forces"),
            Column("force RMSE (meV/Å)"),
        ],
        by_pair(results, rows),
        (
            "Cosine: 1 is the right direction, 0 none. Without pretraining the network is untrained. A pretext may "
            "leave the size of the forces open, which the first steps of finetuning then set right; one with a head of "
            "its own leaves the readout of forces untrained.",
        ),
        name="handover",
    )


def late_table(results: Results) -> Table:
    """How much errors still changed at the end of training."""

    def rows(arm: Arm) -> Rows:
        changes = results.late.get(arm)
        if changes is None:
            return []
        fell = int((changes < 0).sum())
        mean = Number(f"{signed(changes.mean())} ({ends(changes)})", changes.mean())
        return [[named(results, arm), Number(f"{fell} of {len(changes)}", fell), mean]]

    def ends(changes: Any) -> str:
        return " to ".join(dict.fromkeys((signed(changes.min()), signed(changes.max()))))

    return Table(
        "Was training over? Change of the validation force error over the last fifth of finetuning.",
        [Column("arm", numeric=False), Column("cells in which it fell"), Column("mean (smallest to largest seed), %")],
        by_pair(results, rows),
        (
            "The learning rate decays to next to nothing in that fifth, so that curves become flat whether the network "
            "could learn more or not. Whether longer training would help is told by an arm that trains longer.",
        ),
        name="late",
        absent="No finished cell was validated both within the last fifth of its epochs and before.",
    )
