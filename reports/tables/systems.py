"""Per-system detail: errors by element, by quantile, by member of a collection and on further test sets."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from ase.data import chemical_symbols

from reports.analysis import statistics
from reports.analysis.results import Results
from reports.records.plan import Arm
from reports.records.record import METRICS
from reports.records.samples import QUANTITY_UNITS
from reports.tables.errors import GROUPS
from reports.tables.table import STUCK, Column, Number, Rows, Table, bracketed, by_pair, mark, named
from reports.text.formatting import NONE, plus_minus, signed

Cells = dict[tuple[Arm, object], str]


def _means(frame: pd.DataFrame, names: Sequence[str], column: str | float) -> Cells:
    """`mean ± sd` over seeds by arm and a further name."""
    groups = frame.groupby([*statistics.ARM, *names], sort=False)[column].agg(["mean", "std"])
    cells: Cells = {}
    for place, (mean, sd) in zip(groups.index, groups.to_numpy(), strict=True):
        further = place[3] if len(names) == 1 else place[3:]
        cells[Arm(*place[:3]), further] = Number(plus_minus(mean, sd), mean)
    return cells


def element_table(results: Results) -> Table:
    """Test force errors by element, mean ± sd over seeds."""
    run = results.run
    cells = run.records.loc[run.records["status"] == "ok", ["cell_key", *statistics.ARM]].drop_duplicates("cell_key")
    chosen = run.elements[(run.elements["split"] == "test") & (run.elements["checkpoint"] == "best")]
    joined = cells.merge(chosen, on="cell_key")
    present = sorted({int(z) for z in joined["element"]})
    rmse = _means(joined, ["element"], "force_rmse_mev_per_A")
    mae = _means(joined, ["element"], "force_mae_mev_per_A")
    columns = [Column("arm", numeric=False)]
    for title in ("RMSE", "MAE"):
        columns += [Column(chemical_symbols[z], f"force {title}, meV/Å") for z in present]
    with_details = {Arm(*names) for names in joined[statistics.ARM].drop_duplicates().itertuples(index=False)}

    def rows(arm: Arm) -> Rows:
        if arm not in with_details:
            return []
        return [[named(results, arm), *(of.get((arm, z), NONE) for of in (rmse, mae) for z in present)]]

    return Table(
        "Test force errors by element, best checkpoint: mean ± standard deviation over seeds.",
        columns,
        by_pair(results, rows),
        ("Over the force components of all atoms of the element in the test frames.",),
        name="elements",
        absent="Not recorded: these cells left no errors by element.",
    )


def quantile_table(results: Results) -> Table:
    """Quantiles of absolute test errors, mean ± sd over seeds."""
    frame = statistics.error_quantiles(results.run.records, results.run.predictions)
    cells = {quantile: _means(frame, ["quantity"], quantile) for quantile in statistics.QUANTILES} if len(frame) else {}
    fewest = frame.groupby([*statistics.ARM, "quantity"])["sampled"].min().to_dict() if len(frame) else {}
    arms = {Arm(*names) for names in frame[statistics.ARM].drop_duplicates().itertuples(index=False)}

    def rows(arm: Arm) -> Rows:
        if arm not in arms:
            return []
        line = [named(results, arm)]
        for quantity in QUANTITY_UNITS:
            count = fewest.get((*arm, quantity))
            line.append(NONE if count is None else Number(str(int(count)), int(count)))
            line += [cells[quantile].get((arm, quantity), NONE) for quantile in statistics.QUANTILES]
        return [line]

    columns = [Column("arm", numeric=False)]
    for quantity, unit in QUANTITY_UNITS.items():
        group = f"{quantity}, {unit}"
        columns.append(Column("sampled", group))
        columns += [Column(f"{100 * quantile:g} %", group) for quantile in statistics.QUANTILES]
    return Table(
        "Quantiles of the absolute test errors, best checkpoint: mean ± standard deviation over seeds.",
        columns,
        by_pair(results, rows),
        (
            "From a random sample of the test predictions; sampled: predictions of a cell (the fewest). Forces: single "
            "components. A quantile of few predictions is uncertain: of 100 predictions, 99 % is the second largest.",
        ),
        name="quantiles",
        absent="Not recorded: these cells left no predictions.",
    )


def member_tables(results: Results) -> list[Table]:
    """Members of collections (molecules, say) row by row, the arms side by side, with the change against the baseline.

    One table; two where some members are judged by RMSE and others by MAE; none without a result.
    """
    plan = results.run.plan
    judged: dict[tuple[str, str], list[str]] = {}
    for name in dict.fromkeys(arm.dataset for arm in plan.arms):
        if plan.datasets[name].member is not None:
            judged.setdefault(results.headline_metrics(name), []).append(name)
    tables = [
        _member_table(results, metrics, datasets, "molecules" if at == 1 else f"molecules-{at}")
        for at, (metrics, datasets) in enumerate(judged.items(), start=1)
    ]
    return [table for table in tables if not table.empty]


def _member_table(results: Results, metrics: tuple[str, str], datasets: Sequence[str], name: str) -> Table:
    plan = results.run.plan
    groups: dict[str, Rows] = {}
    arms = [arm for arm in plan.arms if arm.dataset in datasets]
    strategies = [name for name in plan.strategies if any(arm.strategy == name for arm in arms)]
    member = plan.members(datasets)
    columns = [Column(member, numeric=False)]
    for metric in metrics:
        columns += [Column(name, f"{GROUPS[metric][0]}: {GROUPS[metric][1]}") for name in strategies]
    for model in dict.fromkeys(arm.model for arm in arms):
        for dataset in datasets:
            line = [plan.datasets[dataset].label]
            for metric in metrics:
                for strategy in strategies:
                    line.append(_with_change(results, Arm(dataset, model, strategy), metric))
            if any(cell != NONE for cell in line[1:]):
                groups.setdefault(plan.models[model].label, []).append(line)
    baseline = f"; change against {plan.baselines[0]} in % (95 % interval)" if plan.baselines else ""
    return Table(
        f"Test errors by {member}, best checkpoint: mean ± standard deviation over seeds{baseline}.",
        columns,
        list(groups.items()),
        name=name,
    )


def _with_change(results: Results, arm: Arm, metric: str) -> str:
    mean = results.mean(arm, metric)
    if mean is None:
        return NONE
    text = plus_minus(mean.mean, mean.sd) + (STUCK if results.stuck(arm) else "")
    baselines = results.run.plan.baselines[:1]
    change = results.change(arm, baselines[0], metric) if baselines else None
    if change is not None:
        text += f"; {signed(change.percent)} %{mark(change)}{bracketed(change.low, change.high)}"
    return Number(text, mean.mean)


def further_table(results: Results) -> Table:
    """Errors on further test sets: mean ± sd over seeds."""
    summary = statistics.summarise(results.run.records, split="extra")
    place = zip(summary["dataset"], summary["model"], summary["strategy"], summary.get("extra", ()), strict=False)
    means = {
        (Arm(*names[:3]), names[3], metric): Number(plus_minus(mean, sd), mean)
        for names, metric, mean, sd in zip(place, summary["metric"], summary["mean"], summary["sd"], strict=True)
    }
    counts = {(arm, extra): 0 for arm, extra, _ in means}
    for names, count in zip(
        summary[[*statistics.ARM, "extra"]].itertuples(index=False) if len(summary) else (), summary["n"], strict=True
    ):
        counts[Arm(*names[:3]), names[3]] = max(counts[Arm(*names[:3]), names[3]], int(count))

    def rows(arm: Arm) -> Rows:
        return [
            [f"{named(results, arm)} on {extra}", Number(f"{count} of {results.planned(arm)}", count)]
            + [means.get((arm, extra, metric), NONE) for metric in METRICS]
            for (other, extra), count in counts.items()
            if other == arm
        ]

    return Table(
        "Errors on further test sets, on which nothing was trained, best checkpoint: mean ± standard deviation over "
        "seeds.",
        [
            Column("arm and test set", numeric=False),
            Column("seeds"),
            *(Column(title, group) for group, title in (GROUPS[metric] for metric in METRICS)),
        ],
        by_pair(results, rows),
        name="further",
    )
