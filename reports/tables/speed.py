"""How fast arms converge, and what they cost."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reports.analysis.convergence import pretraining_seconds
from reports.analysis.results import Results
from reports.records.parquet import rows_of
from reports.records.plan import Arm
from reports.tables.table import Column, Number, Rows, Table, by_pair, finished_seeds, named, value
from reports.text.formatting import NONE, QUANTITIES, number, spread

PARTIAL = "†"

COSTS = {
    "epoch": ("epochs", "finetuning only"),
    "total_epoch": ("epochs", "pretraining counted"),
    "step": ("optimizer steps", "finetuning only"),
    "total_step": ("optimizer steps", "pretraining counted"),
    "seconds": ("training seconds", "finetuning only"),
    "total_seconds": ("training seconds", "pretraining counted"),
}
"""What getting to an error is counted in -> (header above, header)."""


def _cell(reach: dict[str, Any], name: str, digits: int, suffix: str = "") -> str:
    if not reach["reached"] or pd.isna(reach[f"{name}_mean"]):
        return NONE if reach["reached"] else "not reached"
    mark = "" if reach["reached"] == reach["seeds"] else PARTIAL
    ends = spread(reach[f"{name}_min"], reach[f"{name}_max"], digits)
    return Number(f"{number(reach[f'{name}_mean'], digits)}{suffix}{mark} ({ends})", reach[f"{name}_mean"])


def _reach_rows(results: Results, prefix: str, digits: dict[str, int], suffix: str) -> list[tuple[str, Rows]]:
    def rows(arm: Arm) -> Rows:
        reach = results.reach.get(arm)
        if reach is None:
            return []
        reached = Number(f"{reach['reached']} of {reach['seeds']}", reach["reached"])
        cells = [_cell(reach, prefix + name, digits[name], suffix) for name in COSTS]
        return [[named(results, arm), value(reach["target_mean"]), reached, *cells]]

    return by_pair(results, rows)


_CENSORED = (
    f"{PARTIAL} Only over the seeds that reached it; the others did not within their epochs and would make it slower. "
    "In brackets: smallest and largest seed."
)


def _columns(results: Results) -> list[Column]:
    metrics = {results.headline_metrics(arm.dataset)[0] for arm in results.run.plan.arms}
    unit = QUANTITIES[min(metrics)][1] if metrics else "meV/Å"
    return [
        Column("arm", numeric=False),
        Column(f"error to reach, mean ({unit})"),
        Column("seeds that reached it"),
        *(Column(title, group) for group, title in COSTS.values()),
    ]


def reach_table(results: Results) -> Table:
    """Epochs, steps and seconds to the final validation force error of the first baseline."""
    baseline = results.run.plan.baselines[0] if results.run.plan.baselines else ""
    digits = {name: 0 if name.endswith("step") else 1 for name in COSTS}
    return Table(
        f"Cost until the validation force error is as low as where {baseline} ended with the same seed: mean over "
        "seeds.",
        _columns(results),
        _reach_rows(results, "", digits, ""),
        (_CENSORED,),
        name="reach",
        absent="The first baseline has no finished cell, so there is no error to reach.",
    )


def speedup_table(results: Results) -> Table:
    """Speed-ups to the same error, against the first baseline."""
    baseline = results.run.plan.baselines[0] if results.run.plan.baselines else ""
    return Table(
        f"Speed-up to that error: what {baseline} needed to reach it first, divided by what the arm needed with the "
        "same seed; geometric mean over seeds. Above 1 is faster.",
        _columns(results),
        _reach_rows(results, "speedup_", dict.fromkeys(COSTS, 2), "×"),
        (_CENSORED, "The learning rate decays over each arm's own epochs, which favours arms with fewer."),
        name="speedup",
        absent="The first baseline has no finished cell, so there is no error to reach.",
    )


LABELS = (
    "Making labels: processor time on one core, of the frames that pretraining learned from; every cell is charged for "
    "them, although they are made once."
)

FILES = (
    "A pretraining that came in a file costs what the file says, on the machine that made it, and counts in full for "
    "every cell that starts from it; where the file does not say, it is not known what it cost in all."
)


def cost_table(results: Results) -> Table:
    """Training time, throughput, parameters and memory, means over seeds."""
    plan = results.run.plan
    arm_columns = ["dataset", "model", "strategy"]
    records = results.run.records
    finished = records[records["status"] == "ok"]
    frames = finished[finished["split"] == "train"].drop_duplicates("cell_key").set_index("cell_key")["n_frames"]
    cells = finished.drop_duplicates("cell_key")
    names = ["label_seconds", "pretrain_seconds", "finetune_seconds", "n_parameters", "peak_memory_mb"]
    values = cells[[*arm_columns, *names]].astype(dict.fromkeys(names, "float64"))
    values["pretrain_seconds"] = pretraining_seconds(cells)
    files = bool(cells["pretrained_file"].notna().any())
    values["label_seconds"] = values["label_seconds"].fillna(0.0)
    labels = bool((values["label_seconds"] > 0).any())
    values["total_seconds"] = values[["label_seconds", "pretrain_seconds", "finetune_seconds"]].sum(
        axis=1, skipna=False
    )
    total = values["total_seconds"].where(values["total_seconds"] > 0)
    values["pretrain_share"] = 100 * values["pretrain_seconds"] / total
    # Of a labelled share, an epoch goes over as many frames as the whole has.
    share = cells["dataset"].map(lambda name: plan.datasets[name].labelled).astype(float)
    passed = cells["cell_key"].map(frames).astype(float) / share * cells["finetune_epochs"].astype(float)
    values["frames_per_second"] = passed / values["finetune_seconds"].where(values["finetune_seconds"] > 0)
    averages = values.groupby(arm_columns).mean().reset_index()
    means = {Arm(row["dataset"], row["model"], row["strategy"]): row for row in rows_of(averages)}

    def rows(arm: Arm) -> Rows:
        mean = means.get(arm)
        if mean is None:
            return []
        return [
            [
                named(results, arm),
                finished_seeds(results, arm),
                *([value(mean["label_seconds"], 1)] if labels else []),
                *(value(mean[f"{phase}_seconds"], 1) for phase in ("pretrain", "finetune", "total")),
                value(mean["pretrain_share"], 0),
                value(mean["frames_per_second"], 1),
                value(mean["n_parameters"], 0),
                value(mean["peak_memory_mb"], 0),
            ]
        ]

    return Table(
        "What training cost: means over the seeds that finished.",
        [
            Column("arm", numeric=False),
            Column("seeds"),
            *([Column("making labels (s)")] if labels else []),
            Column("pretraining (s)"),
            Column("finetuning (s)"),
            Column("all (s)" if labels else "both (s)"),
            Column("pretraining's share (%)"),
            Column("finetuning (frames/s)"),
            Column("parameters"),
            Column("peak memory (MB)"),
        ],
        by_pair(results, rows),
        (
            "Wall time of training, including validation between epochs. Where several datasets pool one pretraining, "
            "each bears an equal part of its cost; any other shared pretraining counts in full for every cell. "
            "Frames/s: training frames times epochs, per second. Energy use is not measured.",
            *([LABELS] if labels else []),
            *([FILES] if files else []),
        ),
        name="costs",
        absent="No cell has finished.",
    )
