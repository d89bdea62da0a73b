"""Escape from the plateau on which training begins: which cells left it, when, and verdicts that count the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from reports.analysis.convergence import CELL_NAMES
from reports.analysis.statistics import ARM

METRIC = "force_rmse_mev_per_A"
SHARE = 0.5
"""Of the null's validation error: below it a cell has left the plateau."""
EXACT = 19_999
"""Up to so many ways to deal cells out to two arms all are tried, else so many at random; 8 against 8 have 12 870."""


def escapes(records: pd.DataFrame, curves: pd.DataFrame, nulls: pd.DataFrame) -> pd.DataFrame:
    """Which cells left the plateau, and when.

    A cell has escaped at the first finetuning epoch whose validation force RMSE is below `SHARE` of that of the null
    (zero force) on the same frames. One that diverged or failed has not, whatever it did before: nothing of it is left.

    Args:
        records: of finished and of lost cells.
        curves: of all of them.
        nulls: errors of the null: dataset, seed, split, metric, value; each place once.

    Returns:
        One row a cell: cell_key, dataset, model, strategy, seed, split_hash, status, `escaped`; `epoch` of the escape,
        or the last that was planned, up to which it was waited for; `epochs`, that were planned; and both with those of
        pretraining added, `total_epoch` and `total_epochs`. A cell whose null is not known has no row.
    """
    names = ["cell_key", *CELL_NAMES, "split_hash", "status", "pretrain_epochs", "finetune_epochs"]
    cells = records[names].drop_duplicates("cell_key")
    limits = nulls.loc[(nulls["split"] == "val") & (nulls["metric"] == METRIC), ["dataset", "seed", "value"]]
    cells = cells.merge(limits.rename(columns={"value": "null"}), on=["dataset", "seed"], validate="m:1")
    here = (curves["phase"] == "finetune") & (curves["split"] == "val") & (curves["metric"] == METRIC)
    points = curves.loc[here, ["cell_key", "epoch", "value"]].merge(cells[["cell_key", "null"]], on="cell_key")
    first = points[points["value"] < SHARE * points["null"]].groupby("cell_key")["epoch"].min()
    epoch = cells["cell_key"].map(first).where(cells["status"] == "ok")
    planned, before = cells["finetune_epochs"].astype(int), cells["pretrain_epochs"].astype(int)
    cells = cells.assign(
        escaped=epoch.notna(), epoch=epoch.fillna(planned).astype(int), epochs=planned, total_epochs=planned + before
    )
    cells["total_epoch"] = cells["epoch"] + before
    return cells.drop(columns=["pretrain_epochs", "finetune_epochs", "null"])


def compare_escapes(escaped: pd.DataFrame, baselines: Sequence[str], time: str = "epoch") -> pd.DataFrame:
    """Shares of cells that escaped, and times to escape, of each arm against each baseline.

    Cells of one seed share split and first weights, which these tests do not use: they are the weaker for it.

    Args:
        escaped: rows of `escapes`.
        baselines: strategies that others are compared with.
        time: `epoch` or `total_epoch`.

    Returns:
        dataset, model, strategy, baseline, `cells` and `escaped` of the arm, `baseline_cells` and `baseline_escaped`;
        `p_share`: Fisher's exact test, two-sided, of the shares; `p_time`: log-rank test of the times, see
        `log_rank`. Times are compared up to the end of the training that was planned to be shorter.
    """
    rows = []
    for (dataset, model), group in escaped.groupby(ARM[:2], sort=False):
        arms = dict(list(group.groupby("strategy", sort=False)))
        for baseline in baselines:
            for strategy, arm in arms.items():
                if strategy == baseline or baseline not in arms:
                    continue
                base = arms[baseline]
                sides = [(len(side), int(side["escaped"].sum())) for side in (arm, base)]
                end = min(arm[f"{time}s"].min(), base[f"{time}s"].min())
                waited = [side[time].clip(upper=end).to_numpy() for side in (arm, base)]
                seen = [(side["escaped"] & (side[time] <= end)).to_numpy() for side in (arm, base)]
                rows.append(
                    {
                        **dict(zip(ARM, (dataset, model, strategy), strict=True)),
                        "baseline": baseline,
                        **dict(zip(("cells", "escaped"), sides[0], strict=True)),
                        **dict(zip(("baseline_cells", "baseline_escaped"), sides[1], strict=True)),
                        "p_share": stats.fisher_exact([[n, cells - n] for cells, n in sides]).pvalue,
                        "p_time": log_rank(waited[0], seen[0], waited[1], seen[1]),
                    }
                )
    return pd.DataFrame(rows)


def log_rank(
    times: NDArray[np.int64], events: NDArray[np.bool_], other_times: NDArray[np.int64], other_events: NDArray[np.bool_]
) -> float:
    """Two-sided p-value of the log-rank test, from the permutations of the cells and not from χ².

    The log-rank statistic, observed less expected events of one side, is a sum of scores of its members: 1 for an
    event or 0, less the cumulative hazard (Nelson–Aalen) of both sides together at their time (Peto and Peto 1972, J.
    R. Statist. Soc. A 135, 185). Dealing the scores out anew gives its exact distribution if both sides were waited
    for as long. The usual χ² distribution is for many: of three cells against three it calls the clearest case p =
    0.02, which is 2 of 20 ways and so p = 0.1.

    Args:
        times: of the event, or until when it was waited for, (n,).
        events: whether it came, (n,).
        other_times: of the other side, (m,).
        other_events: likewise.

    Returns:
        p; NaN where a side has fewer than two cells, 1 where nothing tells one cell from another.
    """
    if min(len(times), len(other_times)) < 2:
        return np.nan
    time, event = np.concatenate([times, other_times]), np.concatenate([events, other_events])
    moments, at = np.unique(time, return_inverse=True)
    risk = (time[:, None] >= moments).sum(axis=0)
    hazard = np.cumsum(np.bincount(at, weights=event) / risk)
    scores = event - hazard[at]
    if np.allclose(scores, 0):
        return 1.0

    def distance(own: NDArray[np.float64], _: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        # Rounded: equal sums must be equal in whatever order they were added.
        return np.round(np.abs(own.sum(axis=axis)), 9)

    sides = scores[: len(times)], scores[len(times) :]
    test = stats.permutation_test(
        sides, distance, n_resamples=EXACT, alternative="greater", vectorized=True, rng=np.random.default_rng(0)
    )
    return float(test.pvalue)


def plateau_shares(escaped: pd.DataFrame, time: str = "epoch") -> pd.DataFrame:
    """Share of an arm's cells that are still on the plateau, against time (Kaplan and Meier 1958).

    Args:
        escaped: rows of `escapes`.
        time: `epoch` or `total_epoch`.

    Returns:
        dataset, model, strategy, `time` and `share` from then on: a row at time 0, at each escape and at the end.
    """
    parts = {}
    for place, group in escaped.groupby(ARM, sort=False):
        waited = stats.CensoredData(
            uncensored=group.loc[group["escaped"], time].to_numpy(),
            right=group.loc[~group["escaped"], time].to_numpy(),
        )
        left = stats.ecdf(waited).sf
        steps = {"time": np.append(0, left.quantiles), "share": np.append(1.0, left.probabilities)}
        parts[place] = pd.DataFrame(steps)
    return pd.concat(parts, names=ARM).reset_index(ARM).reset_index(drop=True)


def with_null_errors(values: pd.DataFrame, escaped: pd.DataFrame, nulls: pd.DataFrame, split: str) -> pd.DataFrame:
    """The errors with those of lost and stuck cells set to the null's: does a verdict survive them?

    Args:
        values: rows of `statistics.seed_values` on `split`.
        escaped: rows of `escapes`.
        nulls: errors of the null: dataset, seed, split, metric, value; each place once.
        split: whose errors `values` are.

    Returns:
        Rows like `values`, to be given to `blocked.blocked_changes` in their place. Lost cells, of which `values` has
        nothing, are among them.
    """
    null = nulls.loc[nulls["split"] == split, ["dataset", "seed", "metric", "value"]]
    null = null[null["metric"].isin(values["metric"].unique())]
    replaced = escaped.loc[~escaped["escaped"], [*CELL_NAMES, "split_hash"]].merge(null, on=["dataset", "seed"])
    place = [*CELL_NAMES, "metric"]
    kept = ~pd.MultiIndex.from_frame(values[place]).isin(pd.MultiIndex.from_frame(replaced[place]))
    return pd.concat([values[kept], replaced], ignore_index=True)[list(values.columns)]
