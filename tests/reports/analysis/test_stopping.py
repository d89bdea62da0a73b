"""When a run knows enough: widths against closed forms, and that stopping by them favours no verdict."""

import math

import numpy as np
import pytest
from scipy import stats

from reports.analysis.power import half_width, seeds_for_width
from reports.analysis.stopping import AVERAGE, FEWEST_SEEDS, primary_widths
from reports.records.run import read_run
from tests.reports.made_up import molecules

PRIMARY = {
    "dataset": "tip3p",
    "model": "egnn",
    "strategy": "masked",
    "baselines": ["scratch", "scratch-extended"],
    "metric": "force_rmse_mev_per_A",
}


def test_widths_of_two_arms_are_those_of_the_paired_t_test(make_run):
    logs = (-0.5, -0.2, -0.3, -0.4)
    outcomes = {
        "scratch": {seed: (100.0 + seed, 10.0) for seed in range(4)},
        "masked": {seed: ((100.0 + seed) * math.exp(log), 10.0) for seed, log in enumerate(logs)},
    }
    run = read_run(make_run(outcomes, primary=[PRIMARY]))
    known, unknown = primary_widths(run, 5.0).to_dict("records")
    expected = stats.t.ppf(0.975, 3) * np.std(logs, ddof=1) / 2
    assert known["half_width"] == pytest.approx(100 * math.expm1(expected))
    assert known["n"] == 4
    assert known["needed"] == seeds_for_width(5.0, np.std(logs, ddof=1) / math.sqrt(2)) > 4
    assert (unknown["baseline"], unknown["n"]) == ("scratch-extended", 0)
    assert math.isnan(unknown["half_width"])
    assert primary_widths(run)["needed"].isna().all()
    assert primary_widths(run, 99.0)["needed"].tolist()[0] == FEWEST_SEEDS
    assert not primary_widths(run, 99.0)["enough"].any()


def test_with_its_own_spread_a_wild_arm_widens_no_other_interval(make_run):
    rng = np.random.default_rng(0)
    spreads = {"scratch": 0.05, "masked": 0.05, "denoised": 0.8}
    outcomes = {
        arm: {seed: (100 * math.exp(spread * rng.normal()), 10.0) for seed in range(8)}
        for arm, spread in spreads.items()
    }
    primary = [PRIMARY | {"baselines": ["scratch"]}]
    (own,), (pooled,) = (
        primary_widths(read_run(make_run(outcomes, name=rule, primary=primary, spread=rule)), 10.0).to_dict("records")
        for rule in ("own", "pooled")
    )
    force = [[outcomes[arm][seed][0] for seed in range(8)] for arm in ("masked", "scratch")]
    low, high = stats.ttest_rel(*np.log(force)).confidence_interval()
    assert own["half_width"] == pytest.approx(100 * math.expm1((high - low) / 2))
    assert own["arms"] == 2
    assert own["half_width"] < 10 < pooled["half_width"]
    assert own["needed"] == 8 < pooled["needed"]


def test_an_average_is_over_the_members_within_a_seed(make_run):
    primary = [PRIMARY | {"dataset": None, "baselines": ["scratch"]}]
    results = molecules(make_run, ["a", "b", "c"], logs=(0.0, 0.1, 0.3), primary=primary)
    (row,) = primary_widths(results.run).to_dict("records")
    assert row["dataset"] == AVERAGE
    assert row["half_width"] == pytest.approx(
        100 * math.expm1(stats.t.ppf(0.975, 2) * np.std([0, 0.1, 0.3], ddof=1) / math.sqrt(3))
    )


def test_stopping_by_width_claims_hardly_more_than_it_says_and_stopping_by_significance_does():
    """Two arms without a difference; 4 000 made-up runs of up to a hundred seeds, looked at after each seed."""
    rng, sd, most = np.random.default_rng(0), 0.12, 100
    ratios = rng.normal(scale=math.sqrt(2) * sd, size=(4000, most))
    n = np.arange(1, most + 1)
    mean = ratios.cumsum(axis=1) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(((ratios**2).cumsum(axis=1) - n * mean**2) / (n - 1) / n)
        factor = stats.t.ppf(0.975, n - 1)
        narrow = factor * error <= math.log(1.1)
        told = np.abs(mean) > factor * error
    assert half_width(0.05, 9) == pytest.approx(100 * math.expm1(stats.t.ppf(0.975, 9) * 0.05))

    def claims(stop, first):
        stop = stop[:, first - 1 :]
        at = np.where(stop.any(axis=1), stop.argmax(axis=1), most - first) + first - 1
        return told[np.arange(len(told)), at].mean()

    assert 0.05 < claims(narrow, FEWEST_SEEDS) < 0.075
    assert claims(narrow, 3) > 0.09
    assert claims(told, FEWEST_SEEDS) > 0.3


@pytest.mark.parametrize(("seeds", "enough"), [(FEWEST_SEEDS - 1, False), (FEWEST_SEEDS, True)])
def test_an_interval_as_wide_as_is_aimed_at_is_enough_from_six_seeds_on(make_run, seeds, enough):
    assert FEWEST_SEEDS == 6
    outcomes = {
        "scratch": dict.fromkeys(range(seeds), (100.0, 10.0)),
        "masked": {seed: (100.0 * math.exp(0.01 * (seed % 3)), 10.0) for seed in range(seeds)},
    }
    run = read_run(make_run(outcomes, primary=[PRIMARY | {"baselines": ["scratch"]}]))
    (width,) = primary_widths(run)["half_width"]
    (row,) = primary_widths(run, width).to_dict("records")
    assert (row["enough"], row["needed"], row["arms"]) == (enough, FEWEST_SEEDS, 2)
    (row,) = primary_widths(run, 0.9 * width).to_dict("records")
    assert not row["enough"]
    assert row["needed"] == max(FEWEST_SEEDS, seeds_for_width(0.9 * width, row["sd"]))
    assert not primary_widths(run)["enough"].any(), "where no width is aimed at none is enough"
