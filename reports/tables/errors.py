"""Test errors: the main table, all errors, and the paper's and other methods' numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from reports.analysis.estimates import Change, Mean
from reports.analysis.published import PaperValue, anchors, paper_notes, paper_value
from reports.analysis.results import Results
from reports.analysis.statistics import CONSTANT
from reports.records.plan import Arm
from reports.records.record import JUDGED, METRICS
from reports.tables.table import (
    TOLD,
    UNLEARNED,
    Column,
    Number,
    Rows,
    Table,
    bracketed,
    by_pair,
    change_cell,
    finished_seeds,
    mean_cell,
    named,
    signs,
)
from reports.text.formatting import NONE, QUANTITIES, REFERENCES, as_printed, plus_minus, signed, titled

SPREAD = "energy_sd_mev"

OTHER = "§"
OTHER_DATA = f"{OTHER} published for other data of this kind (another number of molecules or frames, or a surrogate)."

GROUPS = {
    "force_rmse_mev_per_A": ("force, meV/Å", "RMSE"),
    "force_mae_mev_per_A": ("force, meV/Å", "MAE"),
    "energy_rmse_mev": ("energy, meV per structure", "RMSE"),
    "energy_mae_mev": ("energy, meV per structure", "MAE"),
    "energy_rmse_mev_per_atom": ("energy, meV/atom", "RMSE"),
    "energy_mae_mev_per_atom": ("energy, meV/atom", "MAE"),
    "energy_sd_mev": ("energy, meV per structure", "sd"),
    "energy_bias_mev": ("energy, meV per structure", "constant"),
    "molecule_force_rmse_mev_per_A": ("on whole molecules", "net force RMSE (meV/Å)"),
    "molecule_torque_rmse_mev": ("on whole molecules", "torque RMSE (meV)"),
}
"""Metric -> (header above, header) of its column."""

Shown = tuple[str, str | None]
"""What an error column shows: a metric, and the baseline if it is a change against it."""


def error_columns(results: Results, metrics: Sequence[str]) -> tuple[list[Column], list[Shown]]:
    """Columns for these metrics, each followed by a change against every baseline."""
    columns: list[Column] = []
    shown: list[Shown] = []
    for metric in metrics:
        group, title = GROUPS[metric]
        columns.append(Column(title, group))
        shown.append((metric, None))
        for baseline in results.run.plan.baselines:
            columns.append(Column(f"{title} vs {baseline}, %", group))
            shown.append((metric, baseline))
    return columns, shown


def error_texts(results: Results, arm: Arm, shown: Sequence[Shown]) -> list[str]:
    """The cells of an arm under `error_columns`."""
    return [
        mean_cell(results, arm, metric)
        if baseline is None
        else change_cell(_shown_change(results, arm, baseline, metric))
        for metric, baseline in shown
    ]


def _paper_cell(paper: PaperValue | None) -> str:
    if paper is None:
        return NONE
    other = "" if paper.same_data else f" {OTHER}"
    if paper.mean is None:
        return f"{paper.text}{other}"
    ratio = "" if paper.ratio is None else f" (ratio {paper.ratio:g})"
    text = as_printed(paper.mean) if paper.sd is None else as_printed(paper.mean, paper.sd)
    return Number(f"{text}{other}{ratio}", paper.mean)


def _reference_rows(results: Results, dataset: str, shown: Sequence[str | None]) -> Rows:
    """A row for each reference that needs no network: its errors under the columns of metrics."""
    errors = {metric: results.reference_errors.get((dataset, metric), {}) for metric in shown if metric}
    names = dict.fromkeys(name for means in errors.values() for name in means)
    return [
        [f"reference: {REFERENCES.get(name, name)}", *(_reference_cell(errors, metric, name) for metric in shown)]
        for name in names
    ]


def _reference_cell(errors: Mapping[str, Mapping[str, Mean]], metric: str | None, name: str) -> str:
    mean = errors[metric].get(name) if metric else None
    return NONE if mean is None else Number(plus_minus(mean.mean, mean.sd), mean.mean)


def _main_table(results: Results, metrics: tuple[str, str], datasets: Sequence[str]) -> Table:
    plan = results.run.plan
    # A column of the paper's numbers where it has any, for one of these arms.
    arms = [arm for arm in plan.arms if arm.dataset in datasets]
    papers = {(arm, metric): paper_value(plan, arm, metric) for arm in arms for metric in metrics}
    columns = [Column("arm", numeric=False), Column("seeds")]
    cells: list[tuple[str | None, Callable[[Arm], str]]] = [(None, lambda arm: finished_seeds(results, arm))]

    def add(title: str, group: str, metric: str | None, cell: Callable[[Arm], str]) -> None:
        columns.append(Column(title, group))
        cells.append((metric, cell))

    def mean_of(metric: str) -> Callable[[Arm], str]:
        return lambda arm: mean_cell(results, arm, metric)

    def change_against(baseline: str, metric: str) -> Callable[[Arm], str]:
        return lambda arm: change_cell(_shown_change(results, arm, baseline, metric))

    def published_for(metric: str) -> Callable[[Arm], str]:
        return lambda arm: _paper_cell(papers[arm, metric])

    split = metrics[1] == "energy_rmse_mev" and any(results.mean(arm, SPREAD) for arm in arms)
    for metric in metrics:
        group, title = GROUPS[metric]
        add(title, group, metric, mean_of(metric))
        for baseline in plan.baselines:
            add(f"{title} vs {baseline}, %", group, None, change_against(baseline, metric))
        if any(papers[arm, metric] for arm in arms):
            add("paper", group, None, published_for(metric))
        if split and metric == metrics[1]:
            add("sd (constant)", group, SPREAD, lambda arm: _split_cell(results, arm))

    groups: dict[tuple[str, str], Rows] = {}
    for arm in arms:
        if (arm.dataset, arm.model) not in groups:
            shown = [metric for metric, _ in cells]
            groups[arm.dataset, arm.model] = _reference_rows(results, arm.dataset, shown)
        groups[arm.dataset, arm.model].append([named(results, arm), *(cell(arm) for _, cell in cells)])

    name = GROUPS[metrics[0]][1]
    notes = [signs(results)]
    if split:
        notes.append("Energy: the constant is the error that all frames share, sd what is left of the RMSE without it.")
    found = [paper for paper in papers.values() if paper]
    if found:
        notes.append(
            "Paper: arXiv 2402.15921, whose text lost the units; meV/Å and meV per structure are inferred. "
            f"{' '.join(paper_notes(plan, datasets))}"
        )
    if any(not paper.same_data for paper in found):
        notes.append(OTHER_DATA)
    return Table(
        f"Test {name} of the checkpoint with the lowest validation loss: mean ± standard deviation over seeds; "
        "change in % (95 % interval).",
        columns,
        [(plan.heading(*pair), rows) for pair, rows in groups.items()],
        tuple(notes),
        name=f"main-{name.lower()}",
    )


def _split_cell(results: Results, arm: Arm) -> str:
    """The energy error without its constant, and that constant."""
    sd, constant = results.mean(arm, SPREAD), results.mean(arm, CONSTANT)
    if sd is None:
        return NONE
    shared = f" ({plus_minus(constant.mean, constant.sd)})" if constant else ""
    unlearned = UNLEARNED if results.learned(arm, SPREAD) is False else ""
    return Number(plus_minus(sd.mean, sd.sd) + unlearned + shared, sd.mean)


def _shown_change(results: Results, arm: Arm, baseline: str, metric: str) -> Change | None:
    """The change against a baseline that an arm is compared with."""
    return results.change(arm, baseline, metric) if baseline in results.references(arm) else None


def main_tables(results: Results) -> list[Table]:
    """The main result: a table of RMSE, of MAE, or both, by what the datasets are judged by."""
    datasets = list(dict.fromkeys(arm.dataset for arm in results.run.plan.arms))
    groups: dict[tuple[str, str], list[str]] = {}
    for dataset in datasets:
        groups.setdefault(results.headline_metrics(dataset), []).append(dataset)
    return [_main_table(results, metrics, names) for metrics, names in groups.items()]


def anchor_table(results: Results) -> Table:
    """What other methods reach on these data."""
    plan = results.run.plan
    groups: dict[str, Rows] = {}
    found = anchors(plan)
    for anchor in found:
        label = plan.datasets[anchor.dataset].label
        cells = []
        for quantity in ("force", "energy"):
            parts = [
                (metric, getattr(anchor.row, metric)[0])
                for metric in METRICS
                if metric.startswith(quantity) and getattr(anchor.row, metric, None)
            ]
            # At most one number of each quantity was published for these.
            text = [f"{as_printed(number)} {QUANTITIES[metric][1]} ({GROUPS[metric][1]})" for metric, number in parts]
            cells.append(Number(text[0], parts[0][1]) if parts else NONE)
        data = anchor.data if anchor.same_data else f"{OTHER} {anchor.data}"
        groups.setdefault(label, []).append([anchor.row.method, data, *cells, anchor.source.text])
    return Table(
        "Test errors of other methods, as published.",
        [
            Column("method", numeric=False),
            Column("trained on", numeric=False),
            Column("force"),
            Column("energy"),
            Column("source", numeric=False),
        ],
        list(groups.items()),
        () if all(anchor.same_data for anchor in found) else (OTHER_DATA,),
        name="anchors",
        absent="No published results of other methods are known for these data.",
    )


def error_table(results: Results, checkpoint: str = "best") -> Table:
    """All test errors, mean ± sd over seeds."""
    constant = [CONSTANT] if any(results.mean(arm, CONSTANT) for arm in results.run.plan.arms) else []
    shown = [name for name in GROUPS if name in (*results.metrics, *constant)]

    def row(arm: Arm) -> Rows:
        means = [mean_cell(results, arm, metric, checkpoint) for metric in shown]
        return [[named(results, arm), finished_seeds(results, arm), *means]]

    which = "with the lowest validation loss" if checkpoint == "best" else "at the end of finetuning"
    return Table(
        f"All test errors of the checkpoint {which}: mean ± standard deviation over seeds.",
        [
            Column("arm", numeric=False),
            Column("seeds"),
            *(Column(title, group) for group, title in (GROUPS[metric] for metric in shown)),
        ],
        by_pair(results, row),
        ("Seeds: finished of planned.",),
        name="errors" if checkpoint == "best" else f"errors-{checkpoint}",
    )


def _short(change: Change | None) -> str:
    if change is None:
        return NONE
    hedge = bracketed(change.low, change.high) if change.tested else " (one seed)"
    told = TOLD if change.verdict else ""
    return f"{signed(change.percent)} %{told}{hedge}"


def summary_frame(results: Results, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """The headline numbers as text, one row an arm, for a terminal: a change with its 95 % interval."""
    plan = results.run.plan
    if metrics is None:
        judged = [results.headline_metrics(arm.dataset) for arm in plan.arms]
        metrics = list(dict.fromkeys(metric for pair in judged or [JUDGED["rmse"]] for metric in pair))
    lines = []
    for arm in plan.arms:
        line = {
            "dataset": plan.datasets[arm.dataset].label or arm.dataset,
            "model": plan.models[arm.model].label or arm.model,
            "arm": arm.strategy,
            "seeds": str(finished_seeds(results, arm)),
        }
        line |= {titled(metric): str(mean_cell(results, arm, metric)) for metric in metrics}
        for baseline in plan.baselines:
            for metric in metrics:
                short = QUANTITIES[metric][0].removesuffix(" RMSE")
                line[f"{short} vs {baseline}"] = _short(_shown_change(results, arm, baseline, metric))
        lines.append(line)
    return pd.DataFrame(lines)
