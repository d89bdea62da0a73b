"""Power against a published-style table, the non-central t where SciPy has it, and simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.analysis import power

SEEDS = {
    0.04: ("4/5/7", "3/4/5", "2/3/4"),
    0.12: ("13/18/25", "5/7/9", "3/4/5"),
    0.17: ("23/33/45", "7/10/14", "4/5/6"),
    0.22: ("37/52/72", "10/15/20", "4/6/8"),
    0.28: ("58/82/114", "15/21/29", "5/7/10"),
    0.36: ("94/134/185", "23/33/45", "7/9/13"),
}
"""Seeds of the paired t-test by the spread of log ratios, for 10, 20 and 40 %; alone, in a family of 4 and of 24."""


@pytest.mark.parametrize("spread", SEEDS)
def test_seeds_of_the_paired_t_test(spread):
    sd = spread / math.sqrt(2)
    found = tuple(
        "/".join(str(power.seeds_needed(percent, sd, family=family)) for family in (1, 4, 24))
        for percent in power.CHANGES
    )
    assert found == SEEDS[spread]


@pytest.mark.parametrize(("effect", "df", "family"), [(3.0, 6, 1), (4.0, 6, 4), (2.5, 2, 1), (12.0, 2, 4), (0.0, 4, 1)])
def test_power_by_simulation(effect, df, family):
    rng = np.random.default_rng(5)
    t = (rng.normal(size=200_000) + effect) / np.sqrt(rng.chisquare(df, 200_000) / df)
    told = 2 * stats.t.sf(np.abs(t), df) < 0.05 / family
    assert float(power.power(effect, 1.0, df, family)) == pytest.approx(told.mean(), abs=0.004)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 30), st.integers(1, 200), st.sampled_from([1, 3, 24]))
def test_power_is_the_tail_of_the_noncentral_t(ratio, df, family):
    found = float(power.power(ratio, 1.0, df, family))
    t = stats.t.isf(0.025 / family, df)
    expected = stats.nct.sf(t, df, ratio) + stats.nct.cdf(-t, df, ratio)
    if np.isfinite(expected):  # SciPy's is NaN here and there
        assert found == pytest.approx(expected, abs=1e-6)
    assert 0.05 / family - 1e-9 <= found <= 1 + 1e-9


@pytest.mark.parametrize("df", [1, 2, 3, 6, 30, 1000])
@pytest.mark.parametrize("family", [1, 4, 100])
def test_the_smallest_effect_has_the_power(df, family):
    effect = power.smallest_effect(0.07, df, family)
    assert float(power.power(effect, 0.07, df, family)) == pytest.approx(power.POWER, abs=1e-9)


def test_smallest_change_of_many_seeds_is_the_normal_one():
    effect = (stats.norm.isf(0.025) + stats.norm.ppf(0.8)) * 0.1
    low, high = power.smallest_change(0.1, 1_000_000)
    assert (low, high) == pytest.approx((100 * math.expm1(-effect), 100 * math.expm1(effect)), rel=1e-4)


@pytest.mark.parametrize(("error", "df"), [(float("nan"), 4), (0.1, 0), (0.1, float("nan"))])
def test_without_a_test_nothing_can_be_said(error, df):
    assert np.isnan(power.smallest_change(error, df)).all()


def test_without_spread_everything_is_seen():
    assert power.smallest_change(0.0, 3) == (0.0, 0.0)
    assert power.seeds_needed(10, 0.0) == 2


def test_half_width_is_that_of_the_interval():
    # One degree of freedom: t at 97.5 % is tan(0.475 π).
    assert power.half_width(0.1, 1) == pytest.approx(100 * math.expm1(0.1 * math.tan(0.475 * math.pi)))
    assert np.isnan(power.half_width(float("nan"), 4))


@pytest.mark.parametrize("arms", [2, 4])
def test_seeds_for_a_width_are_the_first_that_reach_it(arms):
    n = power.seeds_for_width(10, 0.12, arms)

    def width(seeds):
        return power.half_width(0.12 * math.sqrt(2 / seeds), (arms - 1) * (seeds - 1))

    assert width(n) <= 10 < width(n - 1)


def test_arms_lend_degrees_of_freedom_and_few_seeds_are_not_always_enough():
    assert power.seeds_needed(20, 0.126, arms=4, family=4) < power.seeds_needed(20, 0.126, family=4)
    assert power.seeds_needed(0.1, 1.0) is None
    assert power.seeds_needed(99, 1e-6) == 2


def test_table_of_seeds():
    changes = pd.DataFrame({"strategy": ["a", "b"], "sd": [0.12 / math.sqrt(2), np.nan], "arms": [2, 4]})
    table = power.seeds_table(changes, family=4)
    assert table.loc[0, ["seeds_10", "seeds_20", "seeds_40"]].tolist() == [18, 7, 4]
    assert table.loc[1, ["seeds_10", "seeds_20", "seeds_40"]].isna().all()


def test_more_seeds_than_the_most_are_not_looked_for(monkeypatch):
    """18 seeds are what it takes; the answers are not remembered from elsewhere."""
    for most, found in ((19, 18), (18, 18), (17, None)):
        monkeypatch.setattr(power, "MOST_SEEDS", most)
        assert power.seeds_needed.__wrapped__(10, 0.12 / math.sqrt(2), family=4) == found
    width = power.seeds_for_width(10, 0.12)
    for most, found in ((width + 1, width), (width, width), (width - 1, None)):
        monkeypatch.setattr(power, "MOST_SEEDS", most)
        assert power.seeds_for_width(10, 0.12) == found
