"""Statistics of simulations: how long they lasted, changes paired by seed, and whether force errors predict them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight

from reports.analysis.blocked import blocked_changes
from reports.analysis.estimates import Change, Mean
from reports.analysis.families import Primary, judged
from reports.analysis.results import Results
from reports.analysis.statistics import LEVEL
from reports.records.folder import RunFolder
from reports.records.parquet import rows_of
from reports.records.plan import Arm
from reports.records.simulations import CELL, Simulations, read_simulations

PRIMARIES = (("rdf_error", "mean"), ("distances_error", ""), ("force_rmse_mev_per_A", "hottest"))
"""What arms are compared by, declared beforehand: structure (of liquids; of molecules) and forces at the highest
temperature. Holm's correction is over these comparisons, apart from those of test errors."""
PREDICTED = {
    "stable_ps": "time until a simulation ends",
    "rdf_error": "error of g(r)",
    "distances_error": "error of h(r)",
    "drift_mev_per_atom_per_ps": "drift of the energy",
}
"""What force errors may predict, and what to call it."""
FEWEST = 5
"""Potentials, for a rank correlation with an interval."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of test force errors and a measure, over n potentials, with its 95 % interval."""

    quantity: str
    n: int
    rho: float
    low: float
    high: float


class Used:
    """Simulations with the potentials of a run, and what can be said of them."""

    def __init__(self, results: Results, simulations: Simulations) -> None:
        self.results, self.simulations = results, simulations
        measures = simulations.measures.dropna(subset=["value"])
        self._cells = measures[measures["kind"] == CELL]
        self._rivals = measures[measures["kind"] != CELL]

    def hottest(self, dataset: str) -> str:
        """The highest temperature of the test elsewhere on a dataset, as its place is called; '' without any."""
        places = self._cells.loc[self._cells["dataset"] == dataset, "place"].unique()
        kelvins = [str(place) for place in places if str(place).endswith(" K")]
        return max(kelvins, key=lambda place: float(place.removesuffix(" K")), default="")

    @cached_property
    def tests(self) -> set[str]:
        """Which of `records.simulations.TESTS` were made."""
        return {*self._cells["test"], *self.simulations.ends["test"]}

    @cached_property
    def arms(self) -> list[Arm]:
        """Arms of the plan with simulations, in the plan's order."""
        there = set(self._cells[["dataset", "model", "strategy"]].itertuples(index=False, name=None))
        return [arm for arm in self.results.run.plan.arms if tuple(arm) in there]

    def mean(self, arm: Arm, quantity: str, place: str = "") -> Mean | None:
        """Mean and sd over the seeds of an arm; None where nothing was measured."""
        values = self.values(arm, quantity, place)
        return Mean(len(values), float(values.mean()), float(values.std(ddof=1))) if len(values) else None

    def seeds(self, arm: Arm) -> int:
        """Simulated seeds of an arm, whether or not anything could be measured of them."""
        rows = pd.concat([self.simulations.measures, self.simulations.ends])
        chosen = rows["kind"] == CELL
        for name, value in arm._asdict().items():
            chosen &= rows[name] == value
        return int(rows.loc[chosen, "seed"].nunique())

    def values(self, arm: Arm, quantity: str, place: str = "") -> pd.Series:
        """Values of the seeds of an arm."""
        cells = self._cells
        chosen = (cells["quantity"] == quantity) & (cells["place"] == place)
        for name, value in arm._asdict().items():
            chosen &= cells[name] == value
        return cells.loc[chosen, "value"]

    def rival(self, dataset: str, kind: str, quantity: str, place: str = "") -> float | None:
        """What a rival shows on a dataset; None where nothing was measured."""
        rows = self._rivals
        chosen = (rows["dataset"] == dataset) & (rows["kind"] == kind)
        found = rows.loc[chosen & (rows["quantity"] == quantity) & (rows["place"] == place), "value"]
        return float(found.iloc[0]) if len(found) else None

    def rivals(self, dataset: str) -> list[str]:
        """Kinds of rivals on a dataset, in order of appearance."""
        rows = self.simulations.measures
        return [str(kind) for kind in rows.loc[(rows["dataset"] == dataset) & (rows["kind"] != CELL), "kind"].unique()]

    def places(self, quantity: str) -> list[str]:
        """Places of a quantity, temperatures first and ascending."""
        found = [str(place) for place in self.simulations.measures.query("quantity == @quantity")["place"].unique()]
        return sorted(found, key=lambda p: (0, float(p.removesuffix(" K")), p) if p.endswith(" K") else (1, 0.0, p))

    def ends(self, arm: Arm, test: str = "nvt") -> pd.DataFrame:
        """Rows of `ends` of an arm's simulations."""
        rows = self.simulations.ends
        chosen = (rows["kind"] == CELL) & (rows["test"] == test)
        for name, value in arm._asdict().items():
            chosen &= rows[name] == value
        return rows[chosen]

    def survival(self, arm: Arm) -> tuple[np.ndarray, np.ndarray]:
        """Kaplan and Meier's estimate (1958) over replicas and seeds: times in ps and the share that still runs."""
        ends = self.ends(arm)
        broken = ends["cause"].notna().to_numpy()
        end = float(ends["planned_ps"].max())
        if not broken.any():
            return np.array([0.0, end]), np.array([1.0, 1.0])
        fitted = SurvfuncRight(ends["simulated_ps"].to_numpy(), broken.astype(int))
        times, shares = np.r_[0.0, fitted.surv_times, end], np.r_[1.0, fitted.surv_prob, fitted.surv_prob[-1]]
        return times, shares

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """`families.judged` of the primaries, of arms that are no baseline: a family of its own.

        Where seeds of an arm have no value, as structure has none if all simulations ended early, there is no p: which
        seeds are left was decided by what they lasted.
        """
        plan = self.results.run.plan
        hashes = self.results.run.records.drop_duplicates("cell_key").set_index("cell_key")["split_hash"]
        parts = []
        hottest = {name: self.hottest(str(name)) for name in self._cells["dataset"].unique()}
        for quantity, place in PRIMARIES:
            where = self._cells["dataset"].map(hottest) if place == "hottest" else place
            rows = self._cells[(self._cells["quantity"] == quantity) & (self._cells["place"] == where)]
            parts.append(rows.assign(metric=quantity))
        values = pd.concat(parts, ignore_index=True)
        values["split_hash"] = values["subject"].map(hashes)
        names = ["dataset", "model", "strategy", "seed", "split_hash", "metric", "value"]
        frame = blocked_changes(values[names], plan.baselines, plan.spread)
        frame = frame[~frame["strategy"].isin(plan.baselines)].reset_index(drop=True)
        frame.loc[[not self._whole(change) for change in rows_of(frame)], "p"] = np.nan
        places = frame[list(Primary._fields)].itertuples(index=False, name=None)
        return judged(frame, [Primary(*place) for place in places])

    def _whole(self, change: dict[str, Any]) -> bool:
        """Whether all simulated seeds of both arms of a comparison have a value."""
        rows = self.simulations.measures
        sides = rows["strategy"].isin([change["strategy"], change["baseline"]])
        where = (rows["kind"] == CELL) & (rows["dataset"] == change["dataset"]) & (rows["model"] == change["model"])
        return bool(change["n"] == rows.loc[where & sides, "seed"].nunique())

    def changes(self, arm: Arm) -> list[Change]:
        """Changes of an arm; the metric of a place is the quantity."""
        every = [Change.of(row, len(self.comparisons)) for row in rows_of(self.comparisons)]
        return [change for change in every if change.place[:3] == tuple(arm)]

    @cached_property
    def correlations(self) -> list[Correlation]:
        """Whether the test force error predicted what came of the simulations: one for each measure.

        Ranks are within a dataset: what is hard for one is not compared with another. The interval is Fisher's with
        the variance of Bonett and Wright (Psychometrika 65, 23 (2000)), (1 + ρ²/2) / (n − 3).
        """
        records = self.results.run.records
        best = records[(records["split"] == "test") & (records["checkpoint"] == "best")].set_index("cell_key")
        found = []
        for quantity in PREDICTED:
            rows = self._cells[(self._cells["quantity"] == quantity) & self._cells["place"].isin(["", "mean"])]
            force = {name: self.results.headline_metrics(str(name))[0] for name in rows["dataset"].unique()}
            pairs = [
                (dataset, best.loc[subject, force[dataset]], value)
                for subject, dataset, value in rows[["subject", "dataset", "value"]].itertuples(index=False)
                if subject in best.index
            ]
            frame = pd.DataFrame(pairs, columns=["dataset", "error", "value"]).dropna()
            ranks = frame.groupby("dataset")[["error", "value"]].rank(pct=True)
            if len(ranks) < FEWEST or ranks.nunique().min() < 2:
                continue
            rho = float(stats.pearsonr(ranks["error"], ranks["value"])[0])
            half = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt((1 + rho**2 / 2) / (len(ranks) - 3))
            centre = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
            found.append(
                Correlation(quantity, len(ranks), rho, float(np.tanh(centre - half)), float(np.tanh(centre + half)))
            )
        return found


_KNOWN: WeakKeyDictionary[Results, Used | None] = WeakKeyDictionary()


def used(results: Results) -> Used | None:
    """What was simulated with the potentials of a run, of several that of the first; None where nothing was yet.

    The files are read once for all parts of a report.

    Raises:
        RecordError: if the files of simulations cannot be read.
    """
    if results not in _KNOWN:
        run = results.run
        found = read_simulations(RunFolder(run.folder), [cell.key for cell in run.plan.cells])
        made = None if found is None or found.measures.empty else Used(results, found)
        _KNOWN[results] = made if made is not None and made.arms else None
    return _KNOWN[results]
