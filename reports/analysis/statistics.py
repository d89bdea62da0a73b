"""Errors seed by seed, their means and spreads, quantiles, and Holm's correction: pure functions of the records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from reports.records.record import FURTHER, METRICS

ARM = ["dataset", "model", "strategy"]

LEVEL = 0.95
"""Level of the intervals; a corrected p-value below 1 − LEVEL tells a difference."""

CONSTANT = "energy_bias_mev"
"""The energy error that all frames share. It has a sign, and so no ratio."""

COMPARED = (*METRICS, *(name for name in FURTHER if name != CONSTANT))
"""Errors that arms are compared by."""

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
