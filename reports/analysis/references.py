"""Whether anything was learned: errors of arms against references that need no network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from reports.analysis.statistics import ARM

COLUMNS = [*ARM, "metric", "reference", "n", "ratio", "beaten"]


def against_references(values: pd.DataFrame, references: pd.DataFrame) -> pd.DataFrame:
    """How arms do against each reference.

    Args:
        values: rows of `statistics.seed_values`.
        references: errors on the same set of frames: dataset, seed, reference (its name), metric, value.

    Returns:
        One row an arm, metric and reference: dataset, model, strategy, metric, reference, `n` (seeds), `ratio`
        (geometric mean over seeds of the arm's error divided by the reference's with the same seed) and `beaten`:
        whether the ratio is below 1. That is a mark in a table, not a test. Where the reference's error is 0 (it has
        nothing to do) or not known there is no row.
    """
    paired = values.merge(references, on=["dataset", "seed", "metric"], suffixes=("", "_reference"))
    paired = paired[paired["value_reference"] > 0]
    with np.errstate(divide="ignore"):  # an error of 0 is infinitely better
        paired = paired.assign(ratio=np.log(paired["value"] / paired["value_reference"]))
    groups = paired.groupby([*ARM, "metric", "reference"], sort=False)["ratio"]
    found = groups.agg(n="count", ratio="mean").reset_index()
    found["ratio"] = np.exp(found["ratio"])
    return found.assign(beaten=found["ratio"] < 1)[COLUMNS]


def averaged(found: pd.DataFrame, datasets: Sequence[str], name: str) -> pd.DataFrame:
    """Rows of `against_references` averaged over datasets (members of one collection) like their changes.

    Logarithms of the ratios are averaged; `n` is the smallest number of seeds; the `dataset` of the averages is `name`.
    """
    here = found[found["dataset"].isin(datasets)]
    groups = here.assign(ratio=np.log(here["ratio"])).groupby([*ARM[1:], "metric", "reference"], sort=False)
    means = groups.agg(n=("n", "min"), ratio=("ratio", "mean")).reset_index()
    means["ratio"] = np.exp(means["ratio"])
    return means.assign(dataset=name, beaten=means["ratio"] < 1)[COLUMNS]
