"""One linear model for all arms of a dataset and network: seeds are blocks, and one spread is pooled over the arms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse.csgraph import connected_components
from statsmodels.regression.linear_model import OLS

from reports.analysis.statistics import LEVEL
from reports.records.plan import SpreadRule

POOLING_LEVEL = 0.1
"""Where two arms scatter more than the others do (p below this, one-sided), their own spread is taken.

A compromise, by simulation with four arms. All of one spread: 4.5 % false claims at p < 0.05, and what has 80 % power
with the pooled spread has 73 % (three seeds) or 76 % (six). One arm of twice the spread of the others: 8 % false
claims about it, against 10 % without the check. Checked at 0.05 these are 9 %, at 0.25 the power is 63 and 71 %."""

ROUNDING = 1e-9
"""Logarithms that differ by less are equal: what arithmetic leaves of a spread of zero."""

VALUE_COLUMNS = ["strategy", "seed", "split_hash", "value"]
CHANGE = ["n", "change_percent", "low_percent", "high_percent", "p", "df", "error", "sd", "arms", "spread_p", "method"]


def blocked_changes(values: pd.DataFrame, baselines: Sequence[str], spread: SpreadRule = "pooled") -> pd.DataFrame:
    """Change of each arm against each baseline, from one model for all arms of a dataset, network and metric.

    The model is log(error) = block + arm + residual, fitted by least squares, with normal residuals of one spread. A
    block is a seed: its arms share split, initial weights and data order. Arm and baseline are compared by the contrast
    of their coefficients, and the spread is estimated from all arms: four arms of three seeds leave 6 degrees of
    freedom, where the differences of two of them leave 2. In a balanced design the estimate is the mean log ratio over
    seeds; with two arms all of it is the paired t-test.

    One spread for all arms is an assumption, and it is looked at for each comparison. The sum of squares of its own
    differences is a part of that of the residuals and independent of the rest, also where cells are missing; the ratio
    of the two has exactly an F distribution if there is one spread, and `spread_p` is its upper tail. Below
    `POOLING_LEVEL` these two arms scatter more than the model allows for, and the paired t-test of their differences
    takes its place. Where they scatter less the pooled spread stays: it is too wide for them and claims nothing false,
    whereas choosing whichever spread is smaller would. (Levene's and Bartlett's tests want independent residuals in
    each arm. Those of a blocked model add up to zero in each seed and arm: the Brown–Forsythe test never rejects
    three seeds of them.)

    With `spread="own"` every comparison is the paired t-test of its two arms, whatever the others do. Suites declare it
    whose arms are expected to scatter differently; where they do not, it costs degrees of freedom.

    Args:
        values: rows of `statistics.seed_values`, or of its columns. Errors of zero have no logarithm and are left
            out. Cells of one seed whose splits are known to differ go into different blocks and are not compared; a
            seed that only one arm has says nothing.
        baselines: strategies that others are compared with.
        spread: whose spread intervals rest on, of all arms or of the two that are compared.

    Returns:
        One row for each comparison with a common seed: dataset, model, strategy, baseline, metric and what else
        `values` has to say of what it is, and

        * `n`: common seeds,
        * `change_percent` = 100 (exp(contrast) − 1) and its 95 % interval, `low_percent` to `high_percent`,
        * `p`: two-sided, uncorrected,
        * `df`: its degrees of freedom; `error`: standard error of the contrast, in logarithms,
        * `sd`: the spread that it rests on, of the log error of one cell,
        * `arms`: number of arms that the spread is estimated from,
        * `spread_p`: NaN where there is no third arm to compare the spread with,
        * `method`: `blocked`, `paired` where the pooled spread was refused, or `own` where the two arms' was declared.

        Interval, p and `error` are NaN for one common seed, an anecdote, and where no degree of freedom is left.
    """
    what = [name for name in values.columns if name not in VALUE_COLUMNS]
    groups = _blocks(values, what).groupby(what, sort=False, dropna=False)
    fitted = [
        contrasts.assign(**dict[str, Any](zip(what, place, strict=True)))
        for place, cells in groups
        if len(contrasts := _contrasts(cells, baselines))
    ]
    names = [*what[:2], "strategy", "baseline", *what[2:]]
    if not fitted:
        return pd.DataFrame(columns=[*names, *CHANGE])
    return _intervals(_with_own_spread(pd.concat(fitted, ignore_index=True), spread))[[*names, *CHANGE]]


def geometric_means(values: pd.DataFrame, datasets: Sequence[str], name: str) -> pd.DataFrame:
    """Errors averaged over datasets (molecules of one collection), to be compared like those of one dataset.

    Molecules may share one pretrained network of each seed; they are then not independent, seeds are. So logarithms
    are averaged over molecules within a seed: comparisons of the averages speak of further seeds, not of further
    molecules.

    Args:
        values: rows of `statistics.seed_values`.
        datasets: what is averaged over.
        name: the `dataset` of the averages.

    Returns:
        Rows like `values` with `molecules`, how many were averaged: of each network and metric those datasets in which
        every arm has a value, over the seeds in which the arm has all of them. What one arm lost altogether is taken
        from all arms. One molecule is no average. Errors of zero are left out.
    """
    group = [column for column in values.columns if column not in ("dataset", *VALUE_COLUMNS)]
    chosen = values[values["dataset"].isin(datasets) & (values["value"] > 0)]
    arms = chosen.groupby(group)["strategy"].transform("nunique")
    chosen = chosen[chosen.groupby([*group, "dataset"])["strategy"].transform("nunique") == arms]
    chosen = chosen.assign(value=np.log(chosen["value"]))
    chosen["molecules"] = chosen.groupby(group)["dataset"].transform("nunique")
    cell = [*group, "strategy", "seed"]
    whole = chosen.groupby(cell)["dataset"].transform("nunique") == chosen["molecules"]
    groups = chosen[whole & (chosen["molecules"] > 1)].sort_values("dataset").groupby([*cell, "molecules"], sort=False)
    means = groups.agg(value=("value", "mean"), split_hash=("split_hash", _one_hash)).reset_index()
    return means.assign(dataset=name, value=np.exp(means["value"]))[[*values.columns, "molecules"]]


def _one_hash(hashes: pd.Series) -> str | None:
    """What stands for several splits; None if one is unknown."""
    return None if hashes.isna().any() else " ".join(hashes)


def _blocks(values: pd.DataFrame, what: list[str]) -> pd.DataFrame:
    """The rows that can be compared, with their `log` error and `block`, of which each has two arms or more."""
    rows = values[values["value"] > 0]
    # Several splits of one seed are blocks of their own, and so is what is of unknown split then.
    several = rows.groupby([*what, "seed"], dropna=False)["split_hash"].transform("nunique") > 1
    split = rows["split_hash"].fillna("unknown").where(several, "")
    rows = rows.assign(log=np.log(rows["value"]), block=rows["seed"].astype(str) + " " + split)
    return rows[rows.groupby([*what, "block"], dropna=False)["strategy"].transform("nunique") > 1]


def _contrasts(cells: pd.DataFrame, baselines: Sequence[str]) -> pd.DataFrame:
    """Fit of one dataset, network and metric.

    Columns: strategy, baseline, `n`; `effect`, `error`, `df`, `squares` (of all residuals) and `arms` as the model has
    them; `own_effect` and `own_squares` as the differences of the two arms have them: a difference counts half, for it
    is of two cells.
    """
    blocks, block_names = pd.factorize(cells["block"])
    arms, arm_names = pd.factorize(cells["strategy"])
    log = np.full((len(block_names), len(arm_names)), np.nan)
    log[blocks, arms] = cells["log"]
    common = (~np.isnan(log)).T.astype(int) @ ~np.isnan(log)
    pairs = np.array(
        [
            (arm, base)
            for baseline in baselines
            for base in np.flatnonzero(arm_names == baseline)
            for arm in np.flatnonzero(common[base])
            if arm != base
        ],
        dtype=int,
    ).reshape(-1, 2)
    if not len(pairs):
        return pd.DataFrame()
    # Coefficients are relative to one arm; to one of each set, where sets of arms have no seed in common.
    _, relative_to = np.unique(connected_components(common)[1], return_index=True)
    coefficients = np.delete(np.eye(len(arm_names)), relative_to, axis=1)
    # Without the means of the blocks their coefficients fall out (Frisch, Waugh and Lovell): the cost grows with the
    # number of seeds, and not with its cube.
    model = OLS(_within(log[blocks, arms], blocks), _within(coefficients[arms], blocks))
    model.df_resid = len(cells) - len(block_names) - coefficients.shape[1]
    fit = model.fit()
    with np.errstate(divide="ignore", invalid="ignore"):  # no degree of freedom, no error
        test = fit.t_test(coefficients[pairs[:, 0]] - coefficients[pairs[:, 1]])
    differences = log[:, pairs[:, 0]] - log[:, pairs[:, 1]]
    return pd.DataFrame(
        {
            "strategy": arm_names[pairs[:, 0]],
            "baseline": arm_names[pairs[:, 1]],
            "n": common[pairs[:, 0], pairs[:, 1]],
            "effect": np.ravel(test.effect),
            "error": np.ravel(test.sd),
            "df": round(fit.df_resid),
            "squares": fit.ssr,
            "arms": len(arm_names),
            "own_effect": np.nanmean(differences, axis=0),
            "own_squares": np.nansum((differences - np.nanmean(differences, axis=0)) ** 2, axis=0) / 2,
        }
    )


def _within(values: NDArray[np.float64], blocks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values (R,) or (R, C) less the mean of their block (R,)."""
    sums = np.zeros((blocks.max() + 1, *values.shape[1:]))
    np.add.at(sums, blocks, values)
    return values - (sums.T / np.bincount(blocks)).T[blocks]


def _with_own_spread(fitted: pd.DataFrame, spread: SpreadRule) -> pd.DataFrame:
    """`spread_p`, `sd` and `method`; where the pooled spread is refused, or not wanted, the paired t-test's numbers."""
    own_df = fitted["n"] - 1
    rest_df, rest = fitted["df"] - own_df, (fitted["squares"] - fitted["own_squares"]).clip(lower=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (fitted["own_squares"] / own_df) / (rest / rest_df)
        spread_p = stats.f.sf(ratio, own_df, rest_df)
        sd = (fitted["squares"] / fitted["df"].where(fitted["df"] > 0)) ** 0.5
        own_sd = (fitted["own_squares"] / own_df) ** 0.5
    refused = spread_p < POOLING_LEVEL
    paired = refused | (spread == "own")
    return fitted.assign(
        spread_p=spread_p,
        method="own" if spread == "own" else np.where(refused, "paired", "blocked"),
        sd=sd.mask(paired, own_sd),
        effect=fitted["effect"].mask(paired, fitted["own_effect"]),
        error=fitted["error"].mask(paired, own_sd * np.sqrt(2 / fitted["n"])),
        df=fitted["df"].mask(paired, own_df),
        arms=fitted["arms"].mask(paired, 2),
    )


def _intervals(contrasts: pd.DataFrame) -> pd.DataFrame:
    """Change, interval and p in % from `effect`, `error`, `df`, `n` and `sd`."""
    flat = contrasts["sd"] < ROUNDING
    effect = contrasts["effect"].mask(flat & (contrasts["effect"].abs() < ROUNDING), 0.0)
    error = contrasts["error"].mask(flat, 0.0).where((contrasts["n"] > 1) & (contrasts["df"] > 0))
    half = stats.t.ppf((1 + LEVEL) / 2, contrasts["df"]) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p = pd.Series(2 * stats.t.sf(effect.abs() / error, contrasts["df"]), contrasts.index)
    return contrasts.assign(
        error=error,
        change_percent=100 * np.expm1(effect),
        low_percent=100 * np.expm1(effect - half),
        high_percent=100 * np.expm1(effect + half),
        # All ratios are 1: nothing changed, and 0/0 stands above.
        p=p.mask((error == 0) & (effect == 0), 1.0),
    )
