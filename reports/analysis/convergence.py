"""How fast an arm gets where a baseline ended: validation curves, epochs, steps and seconds to reach an error."""

from __future__ import annotations

import numpy as np
import pandas as pd

CELL_NAMES = ["dataset", "model", "strategy", "seed"]

COSTS = ("epoch", "total_epoch", "step", "total_step", "seconds", "total_seconds")
"""What getting there is counted in: finetuning epochs, optimizer steps and training seconds; `total_`: with the
pretraining's added."""


EARLY = 0.8
"""The part of finetuning against whose end its last fifth is held."""


def other_split(hashes: pd.Series, reference: pd.Series) -> pd.Series:
    """Where two split hashes are both known and differ: such cells are not paired."""
    return hashes.notna() & reference.notna() & (hashes != reference)


def untold_cost(records: pd.DataFrame) -> pd.Series:
    """Where a cell started from a file that does not say what its pretraining has cost."""
    return records["pretrained_file"].notna() & records["pretrain_seconds"].isna()


def pretraining_seconds(records: pd.DataFrame) -> pd.Series:
    """Seconds of pretraining; NaN where they are not known, 0 where there was none, whose time may be empty."""
    there = (records["pretrain_epochs"] > 0) | records["pretrained_file"].notna()
    return records["pretrain_seconds"].astype(float).where(there, 0.0)


def validation_curves(records: pd.DataFrame, curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Validation `metric` against the progress of finetuning, of the cells that ended ok.

    Columns: cell_key, dataset, model, strategy, seed, split_hash, pretrain_epochs, `value`, and the `COSTS`: `epoch`
    (from 1), `step` and `seconds` within finetuning; `total_epoch`, `total_step`, `total_seconds` with those of the
    whole pretraining added (seconds are NaN where the pretraining's were not recorded, and all three are missing where
    it came in a file that does not say what it has cost), and those of making its labels.
    """
    costs = ["pretrain_epochs", "pretrain_steps", "pretrain_seconds", "label_seconds"]
    cells = records.loc[
        records["status"] == "ok", ["cell_key", *CELL_NAMES, "split_hash", *costs, "pretrained_file"]
    ].drop_duplicates("cell_key")
    chosen = curves[(curves["phase"] == "finetune") & (curves["split"] == "val") & (curves["metric"] == metric)]
    chosen = chosen[["cell_key", "epoch", "step", "seconds", "value"]].dropna()
    joined = cells.merge(chosen, on="cell_key")
    unknown = untold_cost(joined)
    seconds = pretraining_seconds(joined)
    seconds += joined["label_seconds"].astype(float).fillna(0.0)
    joined["total_epoch"] = joined["pretrain_epochs"].mask(unknown) + joined["epoch"]
    joined["total_step"] = joined["pretrain_steps"].mask(unknown) + joined["step"]
    joined["total_seconds"] = seconds + joined["seconds"]
    return joined.drop(columns=["pretrain_steps", "pretrain_seconds", "label_seconds", "pretrained_file"])


def epochs_to_reach(
    records: pd.DataFrame, curves: pd.DataFrame, baseline: str, metric: str = "force_rmse_mev_per_A"
) -> pd.DataFrame:
    """For each cell, when it is first as good as `baseline` was at its end, and how much sooner than the baseline.

    The target of a seed is the baseline's validation `metric` at its last finetuning epoch with that seed. Columns:
    dataset, model, strategy, seed, `target` (unit of the metric); for each of `COSTS` the epoch, step or second of
    the first validation at or below the target, <NA> for a cell that never gets there; and `speedup_` of each:
    what the baseline needed to be there *first* (its noisy curve may touch the target before its end), divided by
    what this cell needed. The baseline's own speed-up is 1. Seeds for which the baseline has no finished cell
    have no row, nor has a cell whose split is known to differ from the baseline's.
    """
    values = validation_curves(records, curves, metric)
    reference = values[values["strategy"] == baseline].sort_values("epoch")
    seed = ["dataset", "model", "seed"]
    targets = reference.drop_duplicates(seed, keep="last")[[*seed, "split_hash", "value"]]
    compared = values.merge(targets.rename(columns={"value": "target"}), on=seed, suffixes=("", "_baseline"))
    compared = compared[~other_split(compared["split_hash"], compared["split_hash_baseline"])]
    cells = compared[["cell_key", *CELL_NAMES, "target"]].drop_duplicates("cell_key")
    hits = compared[compared["value"] <= compared["target"]].sort_values("epoch")
    first = hits.drop_duplicates("cell_key")[["cell_key", *COSTS]]
    reached = cells.merge(first, on="cell_key", how="left").drop(columns="cell_key")
    own = reached.loc[reached["strategy"] == baseline, [*seed, *COSTS]]
    reached = reached.merge(own, on=seed, suffixes=("", "_baseline"))
    for cost in COSTS:
        needed = reached[cost].astype(float)
        reached[f"speedup_{cost}"] = reached.pop(f"{cost}_baseline").astype(float) / needed.where(needed > 0)
    whole = {name: "Int64" for name in COSTS if not name.endswith("seconds")}
    return reached.astype(whole)


def late_changes(records: pd.DataFrame, curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """How much the validation `metric` of each cell still changed over the last fifth of its finetuning epochs.

    Columns: dataset, model, strategy, seed, `change` (%: the last validation against the last one within the first
    `EARLY` of the epochs; below 0 it still fell). A cell without a validation in both parts has no row.
    """
    values = validation_curves(records, curves, metric).sort_values("epoch")
    last = values.groupby("cell_key")["epoch"].transform("max")
    ends = values.drop_duplicates("cell_key", keep="last")
    before = values[values["epoch"] <= EARLY * last].drop_duplicates("cell_key", keep="last")
    both = ends.merge(before[["cell_key", "value"]], on="cell_key", suffixes=("", "_before"))
    both["change"] = 100 * (both["value"] / both["value_before"] - 1)
    return both[[*CELL_NAMES, "change"]]


def summarise_reach(reached: pd.DataFrame) -> pd.DataFrame:
    """`epochs_to_reach` over seeds.

    Columns: dataset, model, strategy, `seeds`, `reached` (how many got there), `target_mean`; of each of `COSTS`
    `_mean`, `_min` and `_max` over the seeds that got there, and of each speed-up likewise, where `_mean` is the
    geometric mean. <NA> or NaN if none got there. Seeds that did not are counted, not averaged: where `reached` is
    less than `seeds`, a mean is of the faster ones only.
    """
    arm = CELL_NAMES[:-1]
    statistics = {f"{name}_{how}": (name, how) for name in COSTS for how in ("mean", "min", "max")}
    names = [f"speedup_{name}" for name in COSTS]
    logs = reached.assign(**{name: np.log(reached[name].astype(float)) for name in names})
    speed = {f"{name}_{how}": (name, how) for name in names for how in ("mean", "min", "max")}
    summary = (
        logs.groupby(arm, sort=False)
        .agg(seeds=("seed", "count"), reached=("epoch", "count"), target_mean=("target", "mean"), **statistics, **speed)
        .reset_index()
    )
    return summary.assign(**{name: np.exp(summary[name].astype(float)) for name in speed})
