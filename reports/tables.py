"""The tables of a report: text in rows and columns, told apart from how a page or a terminal shows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.formatting import NONE, QUANTITIES, number, plus_minus, signed, spread, titled
from reports.records import METRICS
from reports.results import Change, Results
from reports.run import Arm, Run

MIXED, SINGLE = "†", "‡"
SIGNS = "Seeds: finished of planned. Negative changes are improvements."
LEGEND = f"{MIXED} the seeds disagree in sign: no difference can be told. {SINGLE} one seed: an anecdote."

COMPARED = ("force_rmse_mev_per_A", "energy_rmse_mev")
"""Metrics with a change column beside them in the main table."""

Shown = tuple[str, str | None]
"""What an error column shows: a metric, and the baseline if it is a change against it."""


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


def _by_pair(run: Run, rows_of: Callable[[Arm], list[list[str]]]) -> list[tuple[str, list[list[str]]]]:
    """Rows of all arms, grouped by dataset and model."""
    groups = []
    for dataset, model in run.plan.pairs:
        arms = [arm for arm in run.plan.arms if (arm.dataset, arm.model) == (dataset, model)]
        groups.append((run.plan.heading(dataset, model), [row for arm in arms for row in rows_of(arm)]))
    return groups


def finished_seeds(results: Results, arm: Arm) -> str:
    """`2 of 3`: finished of planned."""
    return f"{results.finished(arm)} of {len(results.run.plan.cells_of(arm))}"


def mark(change: Change) -> str:
    """The sign that warns of a change: one seed, or seeds of both signs."""
    return SINGLE if change.n == 1 else "" if change.agree else MIXED


def hedge(change: Change) -> str:
    """The same warning in words."""
    return {SINGLE: " (one seed)", MIXED: " (seeds disagree)", "": ""}[mark(change)]


def _change(results: Results, arm: Arm, baseline: str, metric: str, checkpoint: str) -> str:
    change = results.change(arm, baseline, metric, checkpoint)
    return NONE if change is None else signed(change.percent) + mark(change)


def _mean(results: Results, arm: Arm, metric: str, checkpoint: str) -> str:
    mean = results.mean(arm, metric, checkpoint)
    return NONE if mean is None else plus_minus(mean.mean, mean.sd)


def error_columns(results: Results, metrics: Sequence[str]) -> tuple[list[Column], list[Shown]]:
    """Columns for these metrics, the compared ones followed by a change against every baseline."""
    groups = {
        "force_rmse_mev_per_A": ("force, meV/Å", "RMSE"),
        "force_mae_mev_per_A": ("force, meV/Å", "MAE"),
        "energy_rmse_mev": ("energy, meV per cell", "RMSE"),
        "energy_mae_mev": ("energy, meV per cell", "MAE"),
        "energy_rmse_mev_per_atom": ("energy, meV/atom", "RMSE"),
        "energy_mae_mev_per_atom": ("energy, meV/atom", "MAE"),
    }
    columns: list[Column] = []
    shown: list[Shown] = []
    for metric in metrics:
        group, title = groups[metric]
        columns.append(Column(title, group))
        shown.append((metric, None))
        for baseline in results.run.plan.baselines if metric in COMPARED else ():
            columns.append(Column(f"RMSE vs {baseline}, %", group))
            shown.append((metric, baseline))
    return columns, shown


def error_texts(results: Results, arm: Arm, shown: Sequence[Shown], checkpoint: str = "best") -> list[str]:
    """The cells of an arm under `error_columns`."""
    return [
        _mean(results, arm, metric, checkpoint)
        if baseline is None
        else _change(results, arm, baseline, metric, checkpoint)
        for metric, baseline in shown
    ]


def error_table(results: Results, checkpoint: str = "best") -> Table:
    """Test errors, mean ± sd over seeds, with the change against every baseline."""
    columns, shown = error_columns(results, METRICS)

    def row(arm: Arm) -> list[list[str]]:
        return [[arm.strategy, finished_seeds(results, arm), *error_texts(results, arm, shown, checkpoint)]]

    which = "with the lowest validation loss" if checkpoint == "best" else "at the end of finetuning"
    return Table(
        f"Test errors of the checkpoint {which}: mean ± standard deviation over seeds; change of the RMSE "
        "in %, paired by seed.",
        [Column("arm", numeric=False), Column("seeds"), *columns],
        _by_pair(results.run, row),
        (SIGNS, LEGEND),
    )


def _ranged(change: Change) -> str:
    seeds = f" ({signed(change.lowest)} to {signed(change.highest)})" if change.n > 1 else ""
    return signed(change.percent) + mark(change) + seeds


def change_table(results: Results) -> Table:
    """Changes of every error against every baseline, with the range over seeds."""

    def rows(arm: Arm) -> list[list[str]]:
        lines = []
        for baseline in results.references(arm):
            changes = {metric: results.change(arm, baseline, metric) for metric in METRICS}
            counts = sorted({change.n for change in changes.values() if change})
            if not counts:
                continue
            texts = [NONE if change is None else _ranged(change) for change in changes.values()]
            lines.append([f"{arm.strategy} vs {baseline}", " or ".join(map(str, counts)), *texts])
        return lines

    return Table(
        "Change of the test errors in %, best checkpoint: change of the mean over common seeds "
        "(smallest to largest change of a single seed).",
        [Column("comparison", numeric=False), Column("common seeds"), *(Column(titled(m)) for m in METRICS)],
        _by_pair(results.run, rows),
        (LEGEND,),
    )


def reach_table(results: Results) -> Table:
    """Epochs to the final validation force RMSE of the first baseline."""
    baseline = results.run.plan.baselines[0] if results.run.plan.baselines else ""

    def rows(arm: Arm) -> list[list[str]]:
        reach = results.reach.get(arm)
        if reach is None:
            return []
        epochs = [
            f"{number(reach[f'{name}_mean'], 1)} ({spread(reach[f'{name}_min'], reach[f'{name}_max'])})"
            if reach["reached"]
            else "never"
            for name in ("epoch", "total_epoch")
        ]
        pretraining, finetuning = results.run.plan.epochs(arm)
        return [
            [
                arm.strategy,
                number(reach["target_mean"]),
                f"{reach['reached']} of {reach['seeds']}",
                *epochs,
                f"{pretraining} + {finetuning}",
            ]
        ]

    return Table(
        f"Epochs until the validation force RMSE is at or below the one at which {baseline} ended with the "
        "same seed: mean (smallest to largest) over the seeds that got there.",
        [
            Column("arm", numeric=False),
            Column("error to reach, mean (meV/Å)"),
            Column("seeds that reached it"),
            Column("finetuning epochs"),
            Column("with pretraining epochs"),
            Column("epochs planned"),
        ],
        _by_pair(results.run, rows),
    )


def cost_table(results: Results) -> Table:
    """Training time, parameters and memory, means over seeds."""
    records = results.run.records
    finished = records[records["status"] == "ok"].drop_duplicates("cell_key")
    names = ["pretrain_seconds", "finetune_seconds", "n_parameters", "peak_memory_mb"]
    values = finished[["dataset", "model", "strategy", *names]].astype(dict.fromkeys(names, "float64"))
    # A cell without pretraining may leave the time empty: it took none.
    values["pretrain_seconds"] = values["pretrain_seconds"].where(finished["pretrain_epochs"] > 0, 0.0)
    values["total_seconds"] = values["pretrain_seconds"] + values["finetune_seconds"]
    means = values.groupby(["dataset", "model", "strategy"]).mean()

    def rows(arm: Arm) -> list[list[str]]:
        if tuple(arm) not in means.index:
            return []
        mean = means.loc[[tuple(arm)]].iloc[0]
        times = [number(mean[f"{phase}_seconds"], 1) for phase in ("pretrain", "finetune", "total")]
        return [
            [
                arm.strategy,
                finished_seeds(results, arm),
                *times,
                number(mean["n_parameters"], 0),
                number(mean["peak_memory_mb"], 0),
            ]
        ]

    return Table(
        "What training cost: means over the seeds that finished.",
        [
            Column("arm", numeric=False),
            Column("seeds"),
            Column("pretraining (s)"),
            Column("finetuning (s)"),
            Column("both (s)"),
            Column("parameters"),
            Column("peak memory (MB)"),
        ],
        _by_pair(results.run, rows),
        ("Wall time of training. A pretraining that several cells share is counted in each of them.",),
    )


def arm_table(results: Results) -> Table:
    """What was planned: the arms with their epochs and seeds."""
    plan = results.run.plan

    def rows(arm: Arm) -> list[list[str]]:
        pretraining, finetuning = plan.epochs(arm)
        seeds = ", ".join(str(cell.seed) for cell in plan.cells_of(arm))
        role = " (baseline)" if arm.strategy in plan.baselines else ""
        label = plan.labels.strategies.get(arm.strategy, arm.strategy)
        return [[arm.strategy + role, label, str(pretraining), str(finetuning), seeds]]

    return Table(
        "The arms, what they do, and their epochs.",
        [
            Column("arm", numeric=False),
            Column("what it is", numeric=False),
            Column("pretraining epochs"),
            Column("finetuning epochs"),
            Column("seeds"),
        ],
        _by_pair(results.run, rows),
    )


def frame_counts(results: Results, dataset: str, split: str) -> pd.DataFrame:
    """`n_frames` and `n_atoms` of a split, one row a finished cell."""
    records = results.run.records
    chosen = records[(records["status"] == "ok") & (records["checkpoint"] == "best")].dropna(subset=["n_frames"])
    return chosen[(chosen["dataset"] == dataset) & (chosen["split"] == split)]


def split_table(results: Results) -> Table:
    """Frames and atoms of each split, from the records."""
    rows = []
    for dataset in dict.fromkeys(arm.dataset for arm in results.run.plan.arms):
        for split in ("train", "val", "test"):
            here = frame_counts(results, dataset, split)
            if len(here):
                label = results.run.plan.labels.datasets.get(dataset, dataset)
                rows.append([label, split, value_range(here["n_frames"]), value_range(here["n_atoms"].dropna())])
    return Table(
        "Frames on which errors were measured.",
        [
            Column("dataset", numeric=False),
            Column("split", numeric=False),
            Column("frames"),
            Column("atoms, summed over frames"),
        ],
        [("", rows)],
    )


def value_range(values: pd.Series) -> str:
    """Smallest to largest of these counts."""
    return spread(values.min(), values.max()) if len(values) else NONE


def unfinished_table(results: Results) -> Table:
    """Cells that diverged, failed, are running or pending, with the reason."""
    plan = results.run.plan
    rows = [
        [f"{cell.dataset} / {cell.model} / {cell.strategy} / seed {cell.seed}", cell.key, state, note or NONE]
        for cell, state, note in results.run.states
        if state != "ok"
    ]
    return Table(
        f"Cells without a result: {len(rows)} of {len(plan.cells)}.",
        [Column(title, numeric=False) for title in ("cell", "key", "state", "reason")],
        [("", rows)],
    )


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key in sorted(value):
            yield from _leaves(value[key], f"{name}.{key}" if name else str(key))
    elif value is not None:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def provenance_table(results: Results) -> Table:
    """Where and with what the finished cells ran; several values where cells differ."""
    # The configuration has a place of its own; the split hash is a cell's, not the run's.
    skipped = ("config", "split_hash", "started_at", "finished_at")
    found: dict[str, list[str]] = {}
    for cell in results.run.provenance.values():
        for name, value in _leaves({key: cell[key] for key in cell if key not in skipped}):
            found.setdefault(name, [])
            if value not in found[name]:
                found[name].append(value)
    for name, pick in (("started_at", min), ("finished_at", max)):
        times = [str(cell[name]) for cell in results.run.provenance.values() if cell.get(name)]
        if times:
            found[name] = [pick(times)]
    return Table(
        "Software, hardware and times of the cells that left a record; several values where cells differ.",
        [Column("what", numeric=False), Column("value", numeric=False)],
        [("", [[name, "; ".join(values)] for name, values in found.items()])],
    )


def split_hash_table(results: Results) -> Table:
    """Hash of the split by dataset and seed."""
    known = results.run.records.dropna(subset=["split_hash"])
    hashes = known.groupby(["dataset", "seed"], sort=False)["split_hash"].unique().reset_index()
    rows = [[f"{dataset}, seed {seed}", ", ".join(values)] for dataset, seed, values in hashes.itertuples(index=False)]
    return Table(
        "Hashes of the splits: equal hash, equal frames.",
        [Column("dataset and seed", numeric=False), Column("hash", numeric=False)],
        [("", rows)],
    )


def summary_frame(results: Results, metrics: Sequence[str] = COMPARED) -> pd.DataFrame:
    """The headline numbers as text, one row an arm, for a terminal."""
    baselines = results.run.plan.baselines
    lines = []
    for arm in results.run.plan.arms:
        line = {
            "dataset": arm.dataset,
            "model": arm.model,
            "arm": arm.strategy,
            "seeds": finished_seeds(results, arm),
        }
        line |= {titled(metric): _mean(results, arm, metric, "best") for metric in metrics}
        for baseline in baselines:
            for metric in metrics:
                change = results.change(arm, baseline, metric)
                short = QUANTITIES[metric][0].removesuffix(" RMSE")
                line[f"{short} vs {baseline}"] = (
                    NONE if change is None else f"{signed(change.percent)} %{hedge(change)}"
                )
        lines.append(line)
    return pd.DataFrame(lines)
