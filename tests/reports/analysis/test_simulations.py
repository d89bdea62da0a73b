"""Survival, changes and correlations of made-up simulations against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reports.analysis.results import Results
from reports.analysis.simulations import Used, used
from reports.records.run import read_run
from reports.records.simulations import CELL
from tests.reports.made_up import interval, seeds
from tests.reports.simulated import simulate

OUTCOMES = {"scratch": seeds(100, 110, 120), "masked": seeds(50, 55, 60)}
ERRORS = {"scratch": {0: 0.4, 1: 0.5, 2: 0.6}, "masked": {0: 0.2, 1: 0.24, 2: 0.31}}


@pytest.fixture
def found(make_run, key_of):
    def make(errors=ERRORS, ends=None, name="run"):
        folder = make_run(OUTCOMES, name, baselines=["scratch"])
        simulate(folder, key_of, errors, ends)
        return used(Results(read_run(folder)))

    return make


def test_without_simulations_there_is_nothing(make_run):
    assert used(Results(read_run(make_run(OUTCOMES)))) is None


def test_changes_are_paired_by_seed(found):
    made = found()
    _, masked = made.arms
    changes = {change.place.metric: change for change in made.changes(masked)}
    assert set(changes) == {"rdf_error", "force_rmse_mev_per_A"}
    logs = [np.log(ERRORS["masked"][seed] / ERRORS["scratch"][seed]) for seed in range(3)]
    expected, _ = interval(logs)
    one = changes["rdf_error"]
    assert [one.percent, one.low, one.high] == pytest.approx(expected, rel=1e-6)
    assert one.p_holm == pytest.approx(min(1, 2 * one.p))
    assert made.hottest("tip3p") == "400 K"


def test_where_a_seed_has_no_value_nothing_is_tested(found):
    """Structure is measured where simulations last; a verdict on those that did would be one on survivors."""
    _, masked = (made := found({**ERRORS, "scratch": {0: 0.4, 1: 0.5, 2: None}})).arms
    changes = {change.place.metric: change for change in made.changes(masked)}
    one, other = changes["rdf_error"], changes["force_rmse_mev_per_A"]
    assert (one.n, np.isnan(one.p), one.verdict) == (2, True, "")
    assert other.p_holm == pytest.approx(min(1, 2 * other.p))  # what could not be tested still counts


def test_means_and_rivals(found):
    made = found()
    scratch, masked = made.arms
    assert made.mean(scratch, "rdf_error", "mean") == pytest.approx((3, 0.5, 0.1))
    assert made.mean(masked, "rdf_error", "O-O") is None
    assert made.rivals("tip3p") == ["own model"]
    assert made.rival("tip3p", "own model", "rdf_error", "mean") == 0.05
    assert made.places("force_rmse_mev_per_A") == ["300 K", "400 K"]


def test_survival_is_kaplans_and_meiers(found):
    """Two replicas of each of three seeds: one ends at 2 ps, one at 4 ps, in each."""
    made = found(ends={"masked": [(2.0, "bond"), (4.0, "temperature")]})
    scratch, masked = made.arms
    times, shares = made.survival(masked)
    assert times.tolist() == [0, 2, 4, 10]
    assert shares.tolist() == pytest.approx([1, 0.5, 0, 0])
    assert [part.tolist() for part in made.survival(scratch)] == [[0, 10], [1, 1]]


def test_what_was_cut_off_counts_as_long_as_it_lasted(found):
    """Three of six break at 6 ps; the others are cut off at the planned length."""
    made = found(ends={"masked": [(6.0, "bond"), (10.0, None)]})
    _, shares = made.survival(made.arms[1])
    assert shares[-1] == pytest.approx(0.5)


def test_force_errors_that_predict_structure_are_seen(found):
    made = found()
    by_quantity = {one.quantity: one for one in made.correlations}
    one = by_quantity["rdf_error"]
    assert (one.n, one.rho) == (6, pytest.approx(1))
    assert "stable_ps" not in by_quantity  # all lasted: there is no rank
    crossed = found(name="crossed", errors={"scratch": {0: 0.2, 1: 0.24, 2: 0.31}, "masked": {0: 0.4, 1: 0.5, 2: 0.6}})
    one = next(c for c in crossed.correlations if c.quantity == "rdf_error")
    assert one.rho == pytest.approx(-19 / 35)
    assert one.low < one.rho < one.high
    assert np.tanh(np.arctanh(one.rho) - 1.959964 * np.sqrt((1 + one.rho**2 / 2) / 3)) == pytest.approx(one.low)


def test_correlations_are_of_five_potentials_or_more(found):
    four = {strategy: {seed: errors[seed] for seed in (0, 1)} for strategy, errors in ERRORS.items()}
    assert found(four).correlations == []
    five = found({**four, "scratch": ERRORS["scratch"]}, name="five")
    (one,) = five.correlations
    assert (one.quantity, one.n) == ("rdf_error", 5)
    # Of a perfect order the interval is a point, as it is of a reversed one.
    assert (one.rho, one.low, one.high) == pytest.approx((1, 1, 1), abs=1e-9)


def test_places_are_temperatures_first_and_ascending(found):
    made = found()
    frame = made.simulations.measures
    names = ["mean", "1000 K", "H-O", "300 K"]
    more = pd.concat([frame.iloc[:1].assign(quantity="q", place=name) for name in names])
    used_too = replace(made.simulations, measures=pd.concat([frame, more.assign(kind=CELL)]))
    other = Used(made.results, used_too)
    assert other.places("q") == ["300 K", "1000 K", "H-O", "mean"]
    assert other.hottest("tip3p") == "1000 K"
    cold = replace(made.simulations, measures=frame[~frame["place"].str.endswith(" K")])
    assert Used(made.results, cold).hottest("tip3p") == ""


def test_each_dataset_has_a_hottest_place_of_its_own(found):
    """Temperatures elsewhere are common ones and the dataset's own, which may be the highest."""
    made = found()
    frame = made.simulations.measures
    hot = frame.assign(dataset="hot", place=frame["place"].replace({"400 K": "500 K"}))
    both = Used(made.results, replace(made.simulations, measures=pd.concat([frame, hot], ignore_index=True)))
    assert [both.hottest(name) for name in ("tip3p", "hot", "other")] == ["400 K", "500 K", ""]
    forces = both.comparisons[both.comparisons["metric"] == "force_rmse_mev_per_A"]
    assert list(forces["dataset"]) == ["tip3p", "hot"]
    assert forces["change_percent"].nunique() == 1


def test_rivals_have_numbers_of_their_own_dataset_alone(found):
    made = found()
    assert made.rival("tip3p", "own model", "rdf_error", "O-O") is None
    assert made.rival("other", "own model", "rdf_error", "mean") is None
    assert made.rival("tip3p", "data", "rdf_error", "mean") is None
    assert made.rival("tip3p", "own model", "stable_ps") == 10.0
    assert made.rivals("other") == []
    assert len(made.ends(made.arms[0])) == 6
    assert made.ends(made.arms[0], "nve").empty


def test_the_files_are_read_once(found, monkeypatch):
    made = found()
    monkeypatch.setattr("reports.analysis.simulations.read_simulations", None)
    assert used(made.results) is made
