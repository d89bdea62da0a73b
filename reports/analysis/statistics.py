"""Means, spreads, and seed-paired changes with intervals and corrected p-values: pure functions of the records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from reports.analysis.convergence import other_split
from reports.records.record import METRICS

ARM = ["dataset", "model", "strategy"]

LEVEL = 0.95
"""Level of the intervals; a corrected p-value below 1 − LEVEL tells a difference."""

CHANGE = ["n", "change_percent", "low_percent", "high_percent", "p", "lowest_percent", "highest_percent", "agree"]

QUANTILES = (0.5, 0.9, 0.95, 0.99)
"""Of absolute errors, as reports show them."""


def seed_values(
    records: pd.DataFrame, metrics: Sequence[str] = METRICS, split: str = "test", checkpoint: str = "best"
) -> pd.DataFrame:
    """One row a dataset, model, strategy, seed and metric, with `split_hash` and `value`; of cells that ended ok.

    For the split `extra` the column `extra`, the further dataset's name, stands before the metric.
    """
    chosen = records[(records["status"] == "ok") & (records["split"] == split) & (records["checkpoint"] == checkpoint)]
    names = [*ARM, "seed", "split_hash", *(["extra"] if split == "extra" else [])]
    long = chosen.melt(names, list(metrics), var_name="metric", value_name="value")
    return long.dropna(subset=["value"]).reset_index(drop=True)


def summarise(
    records: pd.DataFrame, metrics: Sequence[str] = METRICS, split: str = "test", checkpoint: str = "best"
) -> pd.DataFrame:
    """Mean and spread over seeds: columns dataset, model, strategy (, extra), metric, `n`, `mean`, `sd`.

    `sd` is the sample standard deviation (ddof = 1), NaN for one seed. Units are those of the metric.
    """
    values = seed_values(records, metrics, split, checkpoint)
    names = [name for name in values.columns if name not in ("seed", "split_hash", "value")]
    return values.groupby(names, sort=False)["value"].agg(n="count", mean="mean", sd="std").reset_index()


def _percent(log_ratio: pd.Series) -> pd.Series:
    return 100 * np.expm1(log_ratio)


def t_factor(n: int) -> float:
    """Half the width of the interval of a mean over `n` values, in standard errors: a quantile of Student's t."""
    return float(stats.t.ppf((1 + LEVEL) / 2, n - 1))


def _t_interval(groups: pd.DataFrame) -> pd.DataFrame:
    """Estimate, interval and p-value in % from `n`, `mean` and `sd` of log ratios; NaN for n = 1."""
    half, p = np.full(len(groups), np.nan), np.full(len(groups), np.nan)
    n, mean, sd = (groups[name].to_numpy(dtype=float) for name in ("n", "mean", "sd"))
    many = n > 1
    error = sd[many] / np.sqrt(n[many])
    half[many] = stats.t.ppf((1 + LEVEL) / 2, n[many] - 1) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p[many] = 2 * stats.t.sf(np.abs(mean[many]) / error, n[many] - 1)
    # All ratios are 1: nothing changed, and 0/0 stands above.
    p[many & (mean == 0) & (sd == 0)] = 1.0
    return groups.assign(
        change_percent=_percent(groups["mean"]),
        low_percent=_percent(groups["mean"] - half),
        high_percent=_percent(groups["mean"] + half),
        p=p,
    )


def log_ratios(
    records: pd.DataFrame,
    baselines: Sequence[str],
    metrics: Sequence[str] = METRICS,
    split: str = "test",
    checkpoint: str = "best",
) -> pd.DataFrame:
    """log(arm / baseline) of each error, one row a common seed.

    Columns: dataset, model, strategy, baseline, metric, seed and `log_ratio`. Arms of one seed share split, initial
    weights and data order. Two cells whose splits are known to differ are no pair and have no row; nor has a pair with
    an error of exactly zero, which has no ratio.
    """
    values = seed_values(records, metrics, split, checkpoint)
    names = [*ARM, "baseline", "metric", "seed", "log_ratio"]
    parts = []
    for baseline in baselines:
        reference = values[values["strategy"] == baseline].drop(columns="strategy")
        pairs = values[values["strategy"] != baseline].merge(
            reference, on=["dataset", "model", "metric", "seed"], suffixes=("", "_baseline")
        )
        pairs = pairs[(pairs["value"] > 0) & (pairs["value_baseline"] > 0)]
        pairs = pairs[~other_split(pairs["split_hash"], pairs["split_hash_baseline"])]
        pairs["log_ratio"] = np.log(pairs["value"]) - np.log(pairs["value_baseline"])
        parts.append(pairs.assign(baseline=baseline)[names])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names)


def paired_changes(
    records: pd.DataFrame,
    baselines: Sequence[str],
    metrics: Sequence[str] = METRICS,
    split: str = "test",
    checkpoint: str = "best",
) -> pd.DataFrame:
    """Change of each arm against each baseline, by the paired t-test on the logarithms of errors.

    Errors are positive and differ by factors, so their logarithms are compared: d = log(arm / baseline) of each
    common seed, with mean m and sample standard deviation s over n seeds. Columns: dataset, model, strategy,
    baseline, metric, and

    * `n`: number of common seeds,
    * `change_percent` = 100 (exp(m) − 1): the geometric mean of the ratios of single seeds, less one,
    * `low_percent`, `high_percent`: the same of m ± t(n − 1) s / √n, the 95 % interval (Student 1908); NaN for
      one seed, for which there is none,
    * `p`: two-sided p-value of the same t-test, uncorrected; NaN for one seed,
    * `lowest_percent`, `highest_percent`: smallest and largest change of a single seed,
    * `agree`: there are at least two common seeds and all changes have the same sign (none is zero).

    Negative is better. An arm without a common seed has no row; a baseline is not compared with itself.
    """
    names = [*ARM, "baseline", "metric"]
    ratios = log_ratios(records, baselines, metrics, split, checkpoint)
    if ratios.empty:
        return pd.DataFrame(columns=[*names, *CHANGE])
    groups = ratios.groupby(names, sort=False)["log_ratio"].agg(n="count", mean="mean", sd="std", low="min", high="max")
    changes = _t_interval(groups.reset_index())
    changes["lowest_percent"] = _percent(changes["low"])
    changes["highest_percent"] = _percent(changes["high"])
    changes["agree"] = (changes["n"] > 1) & ((changes["high"] < 0) | (changes["low"] > 0))
    return changes[[*names, *CHANGE]]


def pooled_changes(
    records: pd.DataFrame, baselines: Sequence[str], metrics: Sequence[str], datasets: Sequence[str]
) -> pd.DataFrame:
    """Change averaged over datasets, the members of one collection (molecules, say), each counting once.

    Members may share one pretrained network of each seed, and are then not independent: the log ratios are averaged
    over members within a seed; mean, interval and p-value are those of `paired_changes` for these averages. They
    speak of further seeds, not of further members. Averaged are the members that have any ratio, over the seeds
    in which all of these have one; without such a seed, or with fewer than two members, there is no row.

    Columns: model, strategy, baseline, metric, `n` (seeds), `members`, `lower` (members whose mean change is
    negative), `change_percent`, `low_percent`, `high_percent`, `p`; the last three are NaN for one seed.
    """
    names = ["model", "strategy", "baseline", "metric"]
    columns = [*names, "n", "members", "lower", "change_percent", "low_percent", "high_percent", "p"]
    ratios = log_ratios(records[records["dataset"].isin(datasets)], baselines, metrics)
    ratios["members"] = ratios.groupby(names)["dataset"].transform("nunique")
    here = ratios.groupby([*names, "seed"])["dataset"].transform("nunique")
    ratios = ratios[(here == ratios["members"]) & (here > 1)]
    if ratios.empty:
        return pd.DataFrame(columns=columns)
    by_member = ratios.groupby([*names, "dataset"], sort=False)["log_ratio"].mean()
    lower = (by_member < 0).groupby(names, sort=False).sum().rename("lower")
    by_seed = ratios.groupby([*names, "members", "seed"], sort=False)["log_ratio"].mean()
    pooled = by_seed.groupby([*names, "members"], sort=False).agg(n="count", mean="mean", sd="std").reset_index()
    return _t_interval(pooled.merge(lower.reset_index(), on=names))[columns]


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """p-values corrected for being several (Holm 1979, Scand. J. Statist. 6, 65): the step-down Bonferroni.

    With the m given values in ascending order, the i-th (from 0) becomes the largest of (m − j) p_j over j ≤ i, at
    most 1. NaN stays NaN and is not counted in m: what was not tested is no part of the family.
    """
    values = np.asarray(p, dtype=float)
    corrected = np.full(values.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1.0)
    return corrected


def error_quantiles(records: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Quantiles of the absolute errors of sampled predictions, of each cell that ended ok.

    Columns: dataset, model, strategy, seed, quantity, `sampled` (number of predictions), and one for each of
    `QUANTILES`, in meV/atom (energies) or meV/Å (force components).
    """
    cells = records.loc[records["status"] == "ok", ["cell_key", *ARM, "seed"]].drop_duplicates("cell_key")
    errors = predictions[["cell_key", "quantity"]].assign(
        error=(predictions["predicted"] - predictions["reference"]).abs()
    )
    errors = errors[errors["cell_key"].isin(cells["cell_key"])]
    if errors.empty:
        return pd.DataFrame(columns=[*ARM, "seed", "quantity", "sampled", *QUANTILES])
    groups = errors.groupby(["cell_key", "quantity"], sort=False)["error"]
    wide = groups.quantile(np.array(QUANTILES)).unstack()
    wide["sampled"] = groups.size()
    joined = cells.merge(wide.reset_index(), on="cell_key")
    return joined[[*ARM, "seed", "quantity", "sampled", *QUANTILES]]


def split_conflicts(records: pd.DataFrame) -> pd.DataFrame:
    """(dataset, model, seed) whose arms had different splits: their differences are not paired."""
    known = records.dropna(subset=["split_hash"])
    counts = known.groupby(["dataset", "model", "seed"], sort=False)["split_hash"].nunique()
    return counts[counts > 1].reset_index()[["dataset", "model", "seed"]]
