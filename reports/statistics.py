"""Means, spreads, seed-paired changes and epochs to reach an error: pure functions of records and curves."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from reports.records import METRICS

ARM = ["dataset", "model", "strategy"]


def seed_values(
    records: pd.DataFrame, metrics: Sequence[str] = METRICS, split: str = "test", checkpoint: str = "best"
) -> pd.DataFrame:
    """One row a dataset, model, strategy, seed and metric, with its `value`; only of cells that ended ok."""
    chosen = records[(records["status"] == "ok") & (records["split"] == split) & (records["checkpoint"] == checkpoint)]
    long = chosen.melt([*ARM, "seed"], list(metrics), var_name="metric", value_name="value")
    return long.dropna(subset=["value"]).reset_index(drop=True)


def summarise(
    records: pd.DataFrame, metrics: Sequence[str] = METRICS, split: str = "test", checkpoint: str = "best"
) -> pd.DataFrame:
    """Mean and spread over seeds: columns dataset, model, strategy, metric, `n`, `mean`, `sd`.

    `sd` is the sample standard deviation (ddof = 1), NaN for one seed. Units are those of the metric.
    """
    groups = seed_values(records, metrics, split, checkpoint).groupby([*ARM, "metric"], sort=False)["value"]
    return groups.agg(n="count", mean="mean", sd="std").reset_index()


def paired_changes(
    records: pd.DataFrame,
    baselines: Sequence[str],
    metrics: Sequence[str] = METRICS,
    split: str = "test",
    checkpoint: str = "best",
) -> pd.DataFrame:
    """Change of each arm against each baseline, from the seeds that both have.

    Columns: dataset, model, strategy, baseline, metric, and

    * `n`: number of common seeds,
    * `change_percent` = 100 (mean(arm) / mean(baseline) − 1), both means over the common seeds,
    * `lowest_percent`, `highest_percent`: smallest and largest of the per-seed changes
      100 (arm / baseline − 1); arms share split, initial weights and data order of a seed,
    * `agree`: there are at least two common seeds and all per-seed changes have the same sign (none is zero).

    Negative is better. An arm without a common seed has no row; a baseline is not compared with itself.
    """
    values = seed_values(records, metrics, split, checkpoint)
    names = [*ARM, "baseline", "metric"]
    parts = []
    for baseline in baselines:
        reference = values[values["strategy"] == baseline].drop(columns="strategy")
        pairs = values[values["strategy"] != baseline].merge(
            reference, on=["dataset", "model", "metric", "seed"], suffixes=("", "_baseline")
        )
        pairs["percent"] = 100 * (pairs["value"] / pairs["value_baseline"] - 1)
        parts.append(pairs.assign(baseline=baseline))
    if not parts:
        return pd.DataFrame(columns=[*names, "n", "change_percent", "lowest_percent", "highest_percent", "agree"])
    changes = (
        pd.concat(parts, ignore_index=True)
        .groupby(names, sort=False)
        .agg(
            n=("seed", "count"),
            mean=("value", "mean"),
            mean_baseline=("value_baseline", "mean"),
            lowest_percent=("percent", "min"),
            highest_percent=("percent", "max"),
        )
        .reset_index()
    )
    changes["change_percent"] = 100 * (changes["mean"] / changes["mean_baseline"] - 1)
    one_sided = (changes["highest_percent"] < 0) | (changes["lowest_percent"] > 0)
    changes["agree"] = (changes["n"] > 1) & one_sided
    return changes[[*names, "n", "change_percent", "lowest_percent", "highest_percent", "agree"]]


def validation_curves(records: pd.DataFrame, curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Validation `metric` against finetuning epoch of the cells that ended ok.

    Columns: cell_key, dataset, model, strategy, seed, pretrain_epochs, `epoch` (from 1, finetuning), `value`,
    and `total_epoch` = pretrain_epochs + epoch.
    """
    cells = records.loc[records["status"] == "ok", ["cell_key", *ARM, "seed", "pretrain_epochs"]]
    chosen = curves[(curves["phase"] == "finetune") & (curves["split"] == "val") & (curves["metric"] == metric)]
    joined = cells.drop_duplicates("cell_key").merge(chosen[["cell_key", "epoch", "value"]].dropna(), on="cell_key")
    joined["total_epoch"] = joined["pretrain_epochs"] + joined["epoch"]
    return joined


def epochs_to_reach(
    records: pd.DataFrame, curves: pd.DataFrame, baseline: str, metric: str = "force_rmse_mev_per_A"
) -> pd.DataFrame:
    """For each cell, the first epoch at which it is as good as `baseline` was at its end.

    The target of a seed is the baseline's validation `metric` at its last finetuning epoch with that seed.
    Columns: dataset, model, strategy, seed, `target` (unit of the metric), `epoch` (first finetuning epoch
    whose validation value is at or below the target), `total_epoch` (pretraining epochs added). Both are <NA>
    for a cell that never gets there. Seeds for which the baseline has no finished cell have no row. The
    baseline itself is included: it may have been there before its end.
    """
    values = validation_curves(records, curves, metric)
    reference = values[values["strategy"] == baseline].sort_values("epoch")
    seed = ["dataset", "model", "seed"]
    targets = reference.drop_duplicates(seed, keep="last")[[*seed, "value"]].rename(columns={"value": "target"})
    compared = values.merge(targets, on=seed)
    cells = compared[["cell_key", *ARM, "seed", "target"]].drop_duplicates("cell_key")
    hits = compared[compared["value"] <= compared["target"]].sort_values("epoch")
    first = hits.drop_duplicates("cell_key")[["cell_key", "epoch", "total_epoch"]]
    reached = cells.merge(first, on="cell_key", how="left").drop(columns="cell_key")
    return reached.astype({"epoch": "Int64", "total_epoch": "Int64"})


def summarise_reach(reached: pd.DataFrame) -> pd.DataFrame:
    """`epochs_to_reach` over seeds.

    Columns: dataset, model, strategy, `seeds`, `reached` (how many got there), `target_mean`, and mean, min
    and max of `epoch` and `total_epoch` over those that got there (<NA> if none).
    """
    statistics = {f"{name}_{how}": (name, how) for name in ("epoch", "total_epoch") for how in ("mean", "min", "max")}
    return (
        reached.groupby(ARM, sort=False)
        .agg(seeds=("seed", "count"), reached=("epoch", "count"), target_mean=("target", "mean"), **statistics)
        .reset_index()
    )


def split_conflicts(records: pd.DataFrame) -> pd.DataFrame:
    """(dataset, model, seed) whose arms had different splits: their differences are not paired."""
    known = records.dropna(subset=["split_hash"])
    counts = known.groupby(["dataset", "model", "seed"], sort=False)["split_hash"].nunique()
    return counts[counts > 1].reset_index()[["dataset", "model", "seed"]]
