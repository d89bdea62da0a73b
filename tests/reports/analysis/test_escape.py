"""Escape from the plateau with hand-made curves; tests against their exact distributions and statsmodels."""

import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.survfunc import survdiff

from reports.analysis import escape
from reports.analysis.statistics import seed_values
from reports.records.record import records_frame

FORCE = "force_rmse_mev_per_A"


def nulls(seeds=6, val=800.0, test=790.0):
    return pd.DataFrame(
        [
            {"dataset": "tip3p", "seed": seed, "split": split, "metric": FORCE, "value": value}
            for seed in range(seeds)
            for split, value in (("val", val), ("test", test))
        ]
    )


@pytest.fixture
def cells(record, lost, curve):
    """Records and curves: an early escape, a late one, a stuck cell, and one that escaped and then diverged."""
    records = [
        record("masked", 0, force_rmse_mev_per_A=80.0),
        record("masked", 1, force_rmse_mev_per_A=90.0),
        record("scratch", 0, force_rmse_mev_per_A=700.0),
        lost("scratch", 1, "diverged", "the loss became nan"),
    ]
    curves = [
        curve("masked", 0, [399.9, 500.0, 300.0, 100.0]),
        curve("masked", 1, [790.0, 400.0, 300.0, 100.0]),
        curve("scratch", 0, [790.0, 700.0, 500.0, 401.0]),
        curve("scratch", 1, [300.0, float("nan")]),
    ]
    return records_frame(records), pd.concat(curves)


def test_first_epoch_below_half_of_the_null(cells):
    found = escape.escapes(*cells, nulls()).set_index(["strategy", "seed"])
    assert found["escaped"].to_dict() == {
        ("masked", 0): True,
        ("masked", 1): True,
        ("scratch", 0): False,
        ("scratch", 1): False,  # nothing of it is left
    }
    assert found["epoch"].tolist() == [1, 3, 4, 4]  # 400 is not below half of 800
    assert found["total_epoch"].tolist() == [3, 5, 4, 4]  # two epochs of pretraining
    assert found["epochs"].tolist() == [4] * 4
    assert found["total_epochs"].tolist() == [6, 6, 4, 4]


def test_cells_whose_null_is_not_known_are_left_out(cells):
    assert set(escape.escapes(*cells, nulls(seeds=1))["seed"]) == {0}


def escaped_frame(arms, epochs=10):
    """{strategy: epochs of escape, None if stuck}."""
    return pd.DataFrame(
        [
            {"dataset": "d", "model": "m", "strategy": strategy, "seed": seed, "epochs": epochs, "total_epochs": epochs}
            | {"escaped": time is not None, "epoch": time or epochs, "total_epoch": time or epochs}
            for strategy, times in arms.items()
            for seed, time in enumerate(times)
        ]
    )


def test_shares_by_fisher_and_times_by_log_rank():
    frame = escaped_frame({"scratch": [None, None, None, 9], "masked": [1, 2, 3, 4]})
    (row,) = escape.compare_escapes(frame, ["scratch"]).to_dict("records")
    assert (row["cells"], row["escaped"], row["baseline_cells"], row["baseline_escaped"]) == (4, 4, 4, 1)
    # Of C(8, 4) tables with these margins C(5, 4) C(3, 0) + C(5, 1) C(3, 3) are as extreme.
    assert row["p_share"] == pytest.approx((5 + 5) / math.comb(8, 4))
    # Of the 70 ways to deal, this and its mirror image are the extremes.
    assert row["p_time"] == pytest.approx(2 / 70)


def test_shares_of_five_against_five():
    """Four escapes against one: of the C(10, 5) ways 5 · 5 are so, one is more extreme, and as many are mirrored."""
    frame = escaped_frame({"scratch": [None, None, None, None, 9], "masked": [1, 2, 3, 4, None]})
    (row,) = escape.compare_escapes(frame, ["scratch"]).to_dict("records")
    assert row["p_share"] == pytest.approx(2 * (5 * 5 + 1) / math.comb(10, 5))


def test_times_are_compared_as_long_as_both_were_trained():
    frame = escaped_frame({"masked": [10, 10, 10]}, epochs=10)
    longer = escaped_frame({"extended": [11, 12, 13]}, epochs=15)
    (row,) = escape.compare_escapes(pd.concat([frame, longer]), ["extended"]).to_dict("records")
    assert row["p_time"] == pytest.approx(0.1)  # all of one and none of the other, three against three
    late = escaped_frame({"masked": [None] * 3}, epochs=10)
    (row,) = escape.compare_escapes(pd.concat([late, longer]), ["extended"]).to_dict("records")
    assert row["p_time"] == 1
    assert row["baseline_escaped"] == 3


def test_log_rank_is_that_of_statsmodels_for_many():
    rng = np.random.default_rng(0)
    for shift in (0, 2, 5):
        times = [np.minimum(rng.integers(1, 20 + extra, 40), 15) for extra in (0, shift)]
        events = [side < 15 for side in times]
        _, expected = survdiff(np.concatenate(times), np.concatenate(events), np.repeat([0, 1], 40))
        found = escape.log_rank(times[0], events[0], times[1], events[1])
        assert found == pytest.approx(expected, abs=0.02)


def test_log_rank_of_few_is_exact_and_never_too_often_small():
    rng = np.random.default_rng(2)
    p = []
    for _ in range(300):
        times = np.minimum(rng.geometric(0.2, 6), 8)
        p.append(escape.log_rank(times[:3], times[:3] < 8, times[3:], times[3:] < 8))
    assert min(p) >= 0.1 - 1e-12  # 2 of 20 ways
    assert np.mean(np.array(p) <= 0.1 + 1e-9) <= 0.1 + 2 * math.sqrt(0.09 / 300)


def test_one_cell_is_an_anecdote_and_equal_cells_are_not_told_apart():
    time, yes = np.array([3, 3]), np.array([True, True])
    assert np.isnan(escape.log_rank(time[:1], yes[:1], time, yes))
    assert escape.log_rank(time, yes, time, yes) == 1


def test_kaplan_meier_by_hand():
    frame = escaped_frame({"masked": [2, 2, 5, None]}, epochs=8)
    frame.loc[2, ["escaped", "epoch"]] = [False, 3]  # waited for until 3 only
    frame.loc[3, ["escaped", "epoch"]] = [True, 6]
    shares = escape.plateau_shares(frame)
    # 2 of 4 leave at 2; one of the two that stay is lost sight of at 3; the last leaves at 6.
    assert shares["time"].tolist() == [0, 2, 3, 6]
    assert shares["share"].tolist() == pytest.approx([1, 0.5, 0.5, 0])


def test_stuck_and_lost_cells_count_as_the_null(cells):
    records, _ = cells
    found = escape.escapes(*cells, nulls())
    values = seed_values(records, [FORCE])
    counted = escape.with_null_errors(values, found, nulls(), "test")
    assert list(counted.columns) == list(values.columns)
    counted = counted.set_index(["strategy", "seed"])
    assert counted["value"].to_dict() == {
        ("masked", 0): 80.0,
        ("masked", 1): 90.0,
        ("scratch", 0): 790.0,
        ("scratch", 1): 790.0,
    }
    assert counted["split_hash"].tolist() == ["hash-of-seed-0", "hash-of-seed-1"] * 2
