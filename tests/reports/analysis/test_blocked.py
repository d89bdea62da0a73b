"""The blocked model against closed forms, the paired t-test, and made-up reports in which nothing is true."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.analysis import blocked

FORCE = "force_rmse_mev_per_A"
ARMS = ("scratch", "scratch-extended", "masked", "denoised")


def values_of(errors, dataset="d", **columns):
    """Rows as of `seed_values`: {strategy: {seed: error}}."""
    return pd.DataFrame(
        [
            {"dataset": dataset, "model": "m", "strategy": strategy, "seed": seed}
            | {"split_hash": f"split-{seed}", "metric": FORCE, "value": error}
            | columns
            for strategy, seeds in errors.items()
            for seed, error in seeds.items()
        ]
    )


def one(frame, strategy="masked", baseline="scratch", **where):
    for column, value in {"strategy": strategy, "baseline": baseline, **where}.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


PAIRS = st.lists(st.tuples(st.floats(0.1, 1e4), st.floats(0.1, 1e4)), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(PAIRS)
def test_two_arms_are_the_paired_t_test(pairs):
    columns = zip(*pairs, strict=True)
    errors = {arm: dict(enumerate(column)) for arm, column in zip(("scratch", "masked"), columns, strict=True)}
    row = one(blocked.blocked_changes(values_of(errors), ["scratch"]))
    logs = np.log(np.array(pairs))
    differences = logs[:, 1] - logs[:, 0]
    assert (row["n"], row["method"], row["arms"]) == (len(pairs), "blocked", 2)
    assert np.isnan(row["spread_p"])
    assert row["change_percent"] == pytest.approx(100 * math.expm1(differences.mean()), rel=1e-6, abs=1e-6)
    if len(pairs) == 1:
        assert row[["p", "low_percent", "high_percent", "error"]].isna().all()
    elif np.ptp(differences) > 1e-5:  # else the spread is rounding
        test = stats.ttest_rel(logs[:, 1], logs[:, 0])
        low, high = (100 * math.expm1(end) for end in test.confidence_interval())
        assert row["df"] == len(pairs) - 1
        assert row[["p", "low_percent", "high_percent"]].tolist() == pytest.approx(
            [test.pvalue, low, high], rel=1e-5, abs=1e-9
        )


def test_two_and_three_seeds_by_hand():
    # Ratios 1/2 and 4/5: one degree of freedom is the Cauchy distribution, whose quantiles and tails are known.
    row = one(
        blocked.blocked_changes(
            values_of({"scratch": {0: 100.0, 1: 300.0}, "masked": {0: 50.0, 1: 240.0}}), ["scratch"]
        )
    )
    mean, error, t = math.log(0.4) / 2, math.log(1.6) / 2, math.tan(math.pi * 0.475)
    assert row["low_percent"] == pytest.approx(100 * math.expm1(mean - t * error))
    assert row["high_percent"] == pytest.approx(100 * math.expm1(mean + t * error))
    assert row["p"] == pytest.approx(1 - 2 / math.pi * math.atan(-mean / error))
    # Logarithms −0.5, −0.2, −0.2: mean −0.3, standard error 0.1, and P(|T| > t) = 1 − t / √(2 + t²).
    logs = (-0.5, -0.2, -0.2)
    errors = {"scratch": dict.fromkeys(range(3), 100.0), "masked": {i: 100 * math.exp(x) for i, x in enumerate(logs)}}
    assert one(blocked.blocked_changes(values_of(errors), ["scratch"]))["p"] == pytest.approx(1 - 3 / math.sqrt(11))


def test_three_arms_by_hand():
    # Residuals of the additive model: their rows and columns add up to 0.
    pattern = 0.1 * np.array([[1, -1, 0], [-1, 1, 0], [0, 0, 0]])
    logs = np.array([0.0, -0.5, -0.2])[:, None] + np.array([3.0, 4.0, 3.5]) + pattern
    errors = {arm: dict(enumerate(np.exp(row))) for arm, row in zip(("other", "masked", "scratch"), logs, strict=True)}
    changes = blocked.blocked_changes(values_of(errors), ["scratch", "other"])
    row = one(changes)
    # Sum of squares 0.04 over (3 − 1)(3 − 1) degrees of freedom.
    assert (row["n"], row["df"], row["arms"], row["sd"]) == (3, 4, 3, pytest.approx(0.1))
    assert row["error"] == pytest.approx(0.1 * math.sqrt(2 / 3))
    assert row["change_percent"] == pytest.approx(100 * math.expm1(-0.3))
    # Four degrees of freedom: t at 97.5 % is 2.776445.
    assert row["low_percent"] == pytest.approx(100 * math.expm1(-0.3 - 2.776445 * row["error"]), rel=1e-6)
    assert row["high_percent"] == pytest.approx(100 * math.expm1(-0.3 + 2.776445 * row["error"]), rel=1e-6)
    # Own differences −0.1, 0.1, 0 about their mean: (0.01 + 0.01) / 2 of the 0.04. F(2, 2) has the tail 1 / (1 + F).
    assert (row["method"], row["spread_p"]) == ("blocked", pytest.approx(1 / (1 + (0.01 / 2) / (0.03 / 2))))
    # Those of the two arms that differ from the model hold all of it: ((−0.2)² + 0.2²) / 2.
    assert one(changes, baseline="other")["method"] == "paired"


def test_more_scatter_than_the_others_is_refused_the_pooled_spread():
    rng = np.random.default_rng(3)
    logs = rng.normal(size=(4, 8)) * np.array([0.5, 0.02, 0.02, 0.02])[:, None]
    errors = {arm: dict(enumerate(100 * np.exp(row))) for arm, row in zip(ARMS, logs, strict=True)}
    changes = blocked.blocked_changes(values_of(errors), ["scratch", "scratch-extended"])
    row = one(changes)
    assert row["method"] == "paired"
    assert row["spread_p"] < 0.05
    test = stats.ttest_rel(logs[2], logs[0])
    assert row["p"] == pytest.approx(test.pvalue)
    interval = test.confidence_interval()
    assert row["low_percent"] == pytest.approx(100 * math.expm1(interval.low))
    assert row["high_percent"] == pytest.approx(100 * math.expm1(interval.high))
    difference = (logs[2] - logs[0]).std(ddof=1)
    assert (row["df"], row["arms"], row["sd"]) == (7, 2, pytest.approx(difference / math.sqrt(2)))
    # Two arms that scatter less than the rest keep the pooled spread, which is too wide for them.
    calm = one(changes, baseline="scratch-extended")
    assert calm["method"] == "blocked"
    assert calm["df"] == 21
    assert calm["spread_p"] > 0.9


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.floats(0.01, 3), st.integers(0, 10**6))
def test_its_own_spread_is_the_paired_t_test_whatever_other_arms_do(seeds, wild, random):
    logs = np.random.default_rng(random).normal(size=(4, seeds)) * np.array([[0.1], [0.1], [0.1], [wild]])
    errors = {arm: dict(enumerate(np.exp(row))) for arm, row in zip(ARMS, logs, strict=True)}
    changes = blocked.blocked_changes(values_of(errors), ["scratch"], "own")
    assert set(changes["method"]) == {"own"}
    for at, arm in enumerate(ARMS[1:], start=1):
        row, test = one(changes, arm), stats.ttest_rel(logs[at], logs[0])
        low, high = (100 * math.expm1(end) for end in test.confidence_interval())
        assert (row["df"], row["arms"]) == (seeds - 1, 2)
        assert row[["p", "low_percent", "high_percent"]].tolist() == pytest.approx([test.pvalue, low, high], rel=1e-6)


def test_unbalanced_design_against_least_squares_by_hand():
    # masked has no seed 2, other no seed 0; seed 3 has scratch alone and must not count.
    errors = {
        "scratch": {0: 100.0, 1: 120.0, 2: 90.0, 3: 1e6},
        "masked": {0: 80.0, 1: 100.0},
        "other": {1: 60.0, 2: 50.0},
    }
    row = one(blocked.blocked_changes(values_of(errors), ["scratch"]), strategy="masked")
    cells = [(a, s) for a in errors for s in errors[a] if s < 3]
    design = np.array(
        [[float(s == block) for block in range(3)] + [float(a == arm) for arm in ("masked", "other")] for a, s in cells]
    )
    log = np.array([math.log(errors[a][s]) for a, s in cells])
    solution, (squares,), rank, _ = np.linalg.lstsq(design, log, rcond=None)
    assert rank == 5
    assert row["df"] == len(cells) - 5 == 2
    assert (row["n"], row["arms"]) == (2, 3)
    assert row["change_percent"] == pytest.approx(100 * math.expm1(solution[3]))
    assert row["sd"] == pytest.approx(math.sqrt(squares / 2))
    error = math.sqrt(squares / 2 * np.linalg.inv(design.T @ design)[3, 3])
    assert row["error"] == pytest.approx(error)
    # Two degrees of freedom: P(|T| > t) = 1 − t / √(2 + t²).
    t = abs(solution[3]) / error
    assert row["p"] == pytest.approx(1 - t / math.sqrt(2 + t * t))


def test_arms_without_a_common_seed_are_not_compared_and_leave_one_spread():
    errors = {
        "scratch": {0: 100.0, 1: 120.0, 2: 95.0},
        "masked": {0: 80.0, 1: 99.0, 2: 70.0},
        "a": {5: 10.0, 6: 12.0, 7: 9.0},
        "b": {5: 11.0, 6: 10.0, 7: 9.5},
    }
    changes = blocked.blocked_changes(values_of(errors), ["scratch", "a"])
    assert set(zip(changes["strategy"], changes["baseline"], strict=True)) == {("masked", "scratch"), ("b", "a")}
    assert set(changes["df"]) == {4}
    assert changes["sd"].nunique() == 1


def test_one_common_seed_is_an_anecdote_even_where_others_have_more():
    errors = {"scratch": {0: 100.0, 1: 90.0, 2: 95.0}, "masked": {0: 50.0}, "other": {0: 80.0, 1: 90.0, 2: 85.0}}
    row = one(blocked.blocked_changes(values_of(errors), ["scratch"]))
    assert row["n"] == 1
    assert np.isfinite(row["change_percent"])
    assert row[["p", "low_percent", "high_percent", "error"]].isna().all()


def test_one_seed_leaves_no_degree_of_freedom():
    changes = blocked.blocked_changes(values_of({arm: {0: 100.0 - i} for i, arm in enumerate(ARMS)}), ["scratch"])
    assert len(changes) == 3
    assert changes["p"].isna().all()
    assert changes["sd"].isna().all()
    assert one(changes)["change_percent"] == pytest.approx(-2)


def test_cells_of_different_splits_are_not_compared():
    errors = {"scratch": {0: 100.0, 1: 100.0, 2: 100.0}, "masked": {0: 50.0, 1: 60.0, 2: 1.0}}
    values = values_of(errors)
    other = (values["strategy"] == "masked") & (values["seed"] == 2)
    values.loc[other, "split_hash"] = "another"
    assert one(blocked.blocked_changes(values, ["scratch"]))["n"] == 2
    # An unknown split is taken for the one of its seed, as long as that has one.
    values.loc[other, "split_hash"] = None
    assert one(blocked.blocked_changes(values, ["scratch"]))["n"] == 3


def test_errors_of_zero_are_left_out():
    errors = {"scratch": {0: 0.0, 1: 100.0, 2: 90.0}, "masked": {0: 5.0, 1: 50.0, 2: 45.0}}
    row = one(blocked.blocked_changes(values_of(errors), ["scratch"]))
    assert (row["n"], row["change_percent"]) == (2, pytest.approx(-50))


@pytest.mark.parametrize(("factor", "p"), [(1.0, 1.0), (0.5, 0.0)])
def test_equal_ratios_are_certain_and_no_change_is_none(factor, p):
    seeds = {0: 101.0, 1: 64.7, 2: 33.1}
    shifted = {seed: factor * error for seed, error in seeds.items()}
    row = one(blocked.blocked_changes(values_of({"scratch": seeds, "masked": shifted, "other": seeds}), ["scratch"]))
    assert row["p"] == p
    assert row[["change_percent", "low_percent", "high_percent"]].tolist() == pytest.approx([100 * (factor - 1)] * 3)


def test_nothing_to_compare_gives_no_row():
    assert blocked.blocked_changes(values_of({"masked": {0: 1.0}}), ["scratch"]).empty
    empty = blocked.blocked_changes(values_of({"scratch": {0: 1.0}, "masked": {1: 1.0}}), ["scratch"])
    assert empty.empty
    assert list(empty.columns[:5]) == ["dataset", "model", "strategy", "baseline", "metric"]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(st.floats(-2, 2), min_size=4, max_size=4), min_size=2, max_size=6),
    st.floats(0.01, 100),
    st.randoms(use_true_random=False),
)
def test_knows_neither_unit_nor_order_and_turns_with_the_sides(logs, unit, random):
    errors = {arm: dict(enumerate(np.exp(column))) for arm, column in zip(ARMS, np.transpose(logs), strict=True)}
    values = values_of(errors)
    changes = blocked.blocked_changes(values, ["scratch", "masked"])
    shuffled = values.sample(frac=1, random_state=random.randrange(2**32)).assign(value=lambda f: unit * f["value"])
    row, other = one(changes), one(blocked.blocked_changes(shuffled, ["scratch", "masked"]))
    turned = one(changes, strategy="scratch", baseline="masked")
    if row["sd"] > 1e-6:
        assert other["p"] == pytest.approx(row["p"], rel=1e-5, abs=1e-9)
        assert turned["p"] == pytest.approx(row["p"], rel=1e-5, abs=1e-9)
        assert (row["p"] < 0.05) == (row["low_percent"] > 0 or row["high_percent"] < 0)
    product = (1 + row["change_percent"] / 100) * (1 + turned["change_percent"] / 100)
    assert product == pytest.approx(1, rel=1e-6)
    assert other["change_percent"] == pytest.approx(row["change_percent"], rel=1e-6, abs=1e-6)


def test_geometric_means_over_molecules():
    values = pd.concat(
        [
            values_of({"scratch": {0: 10.0, 1: 20.0}, "masked": {0: 5.0, 1: 10.0}}, "aspirin"),
            values_of({"scratch": {0: 40.0, 1: 80.0}, "masked": {0: 40.0}}, "uracil"),
            values_of({"scratch": {0: 1.0, 1: 1.0}}, "benzene"),  # masked lost it: taken from all
            values_of({"scratch": {0: 7.0}}, "water"),
        ]
    )
    means = blocked.geometric_means(values, ["aspirin", "uracil", "benzene"], "rMD17")
    cells = means.set_index(["strategy", "seed"])["value"]
    assert cells.to_dict() == {
        ("scratch", 0): pytest.approx(20.0),
        ("scratch", 1): pytest.approx(40.0),
        ("masked", 0): pytest.approx(math.sqrt(200.0)),  # seed 1 lacks uracil
    }
    assert set(means["molecules"]) == {2}
    assert set(means["dataset"]) == {"rMD17"}
    assert set(means["split_hash"]) == {"split-0 split-0", "split-1 split-1"}
    row = one(blocked.blocked_changes(means, ["scratch"]))
    assert (row["n"], row["molecules"]) == (1, 2)
    assert row["change_percent"] == pytest.approx(100 * (math.sqrt(0.5) - 1))


def test_averages_and_single_molecules_stand_in_one_frame():
    seeds = {"scratch": {0: 10.0, 1: 20.0, 2: 11.0}, "masked": {0: 5.0, 1: 11.0, 2: 5.0}}
    values = pd.concat([values_of(seeds, "aspirin"), values_of(seeds, "uracil")])
    both = pd.concat([values, blocked.geometric_means(values, ["aspirin", "uracil"], "rMD17")])
    changes = blocked.blocked_changes(both, ["scratch"])
    assert list(changes["dataset"]) == ["aspirin", "uracil", "rMD17"]
    assert np.ptp(changes["p"]) < 1e-9
    assert blocked.geometric_means(values, ["aspirin"], "one").empty
