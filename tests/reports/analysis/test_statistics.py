"""Statistics against closed forms."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.analysis import statistics
from reports.records.record import records_frame

FORCE = "force_rmse_mev_per_A"


def force_records(record, values):
    """Records with these force RMSE: {strategy: {seed: value}}; the last checkpoint is twice as bad."""
    return records_frame(
        [
            record(strategy, seed, checkpoint=checkpoint, force_rmse_mev_per_A=factor * value)
            for strategy, seeds in values.items()
            for seed, value in seeds.items()
            for checkpoint, factor in (("best", 1.0), ("last", 2.0))
        ]
    )


def row_of(frame, **where):
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_mean_and_sample_sd(record, lost):
    records = force_records(record, {"masked": {0: 1.0, 1: 2.0, 2: 6.0}, "scratch": {0: 5.0}})
    records = pd.concat([records, records_frame([lost("masked", 3, "diverged", "loss is nan")])])
    best = statistics.summarise(records)
    row = row_of(best, strategy="masked", metric=FORCE)
    assert (row["n"], row["mean"]) == (3, 3.0)
    assert row["sd"] == pytest.approx(math.sqrt(7.0))  # ((−2)² + (−1)² + 3²) / (3 − 1)
    assert np.isnan(row_of(best, strategy="scratch", metric=FORCE)["sd"])
    last = statistics.summarise(records, checkpoint="last")
    assert row_of(last, strategy="masked", metric=FORCE)["mean"] == 6.0


def test_change_interval_and_p_of_two_seeds(record):
    # Seed 2 of the arm and seed 3 of the baseline have no partner: they must not count.
    records = force_records(record, {"scratch": {0: 100.0, 1: 300.0, 3: 9.0}, "masked": {0: 50.0, 1: 240.0, 2: 999.0}})
    row = row_of(statistics.paired_changes(records, ["scratch"]), metric=FORCE)
    assert (row["strategy"], row["baseline"], row["n"]) == ("masked", "scratch", 2)
    # Ratios 1/2 and 4/5: logarithms of mean m and standard error |d0 - d1| / 2.
    m, error = math.log(0.4) / 2, math.log(1.6) / 2
    assert row["change_percent"] == pytest.approx(100 * (math.sqrt(0.4) - 1))
    # One degree of freedom is the Cauchy distribution, whose quantiles and tails are known.
    t = math.tan(math.pi * 0.475)
    assert row["low_percent"] == pytest.approx(100 * (math.exp(m - t * error) - 1))
    assert row["high_percent"] == pytest.approx(100 * (math.exp(m + t * error) - 1))
    assert row["p"] == pytest.approx(1 - 2 / math.pi * math.atan(-m / error))
    assert row["lowest_percent"] == pytest.approx(-50.0)
    assert row["highest_percent"] == pytest.approx(-20.0)
    assert row["agree"]


def test_change_interval_and_p_of_three_seeds(record):
    logs = (-0.5, -0.2, -0.2)
    records = force_records(
        record,
        {"scratch": {0: 80.0, 1: 120.0, 2: 97.0}}
        | {
            "masked": {i: base * math.exp(d) for i, (base, d) in enumerate(zip((80.0, 120.0, 97.0), logs, strict=True))}
        },
    )
    row = row_of(statistics.paired_changes(records, ["scratch"]), metric=FORCE)
    # Mean -0.3, sum of squares 0.06, sd sqrt(0.03), standard error 0.1, t = 3.
    assert row["change_percent"] == pytest.approx(100 * (math.exp(-0.3) - 1))
    # Two degrees of freedom: P(|T| < t) = t / sqrt(2 + t^2), which is 0.95 at t = 0.95 sqrt(2 / (1 - 0.95^2)).
    t = 0.95 * math.sqrt(2 / (1 - 0.95**2))
    assert t == pytest.approx(4.303, abs=1e-3)
    assert row["low_percent"] == pytest.approx(100 * (math.exp(-0.3 - 0.1 * t) - 1))
    assert row["high_percent"] == pytest.approx(100 * (math.exp(-0.3 + 0.1 * t) - 1))
    assert row["p"] == pytest.approx(1 - 3 / math.sqrt(11))


def test_one_seed_has_neither_interval_nor_p(record):
    records = force_records(record, {"scratch": {0: 100.0}, "masked": {0: 50.0}})
    row = row_of(statistics.paired_changes(records, ["scratch"]), metric=FORCE)
    assert (row["n"], row["change_percent"]) == (1, pytest.approx(-50.0))
    assert np.isnan([row["low_percent"], row["high_percent"], row["p"]]).all()


def test_equal_ratios_are_certain_and_no_change_is_none(record):
    records = force_records(record, {"scratch": {0: 100.0, 1: 64.0}, "masked": {0: 100.0, 1: 64.0}})
    row = row_of(statistics.paired_changes(records, ["scratch"]), metric=FORCE)
    assert (row["change_percent"], row["low_percent"], row["high_percent"], row["p"]) == (0, 0, 0, 1)
    records = force_records(record, {"scratch": {0: 100.0, 1: 64.0}, "masked": {0: 50.0, 1: 32.0}})
    row = row_of(statistics.paired_changes(records, ["scratch"]), metric=FORCE)
    assert (row["low_percent"], row["high_percent"]) == (pytest.approx(-50), pytest.approx(-50))
    assert row["p"] == pytest.approx(0, abs=1e-12)


def test_errors_of_zero_are_not_compared(record):
    records = force_records(record, {"scratch": {0: 0.0, 1: 100.0}, "masked": {0: 5.0, 1: 50.0}})
    row = row_of(statistics.paired_changes(records, ["scratch"]), metric=FORCE)
    assert (row["n"], row["change_percent"]) == (1, pytest.approx(-50.0))


@pytest.mark.parametrize(
    ("arm", "agree"),
    [
        ({0: 90.0, 1: 110.0}, False),  # signs differ
        ({0: 90.0, 1: 100.0}, False),  # one seed does not change
        ({0: 110.0, 1: 101.0}, True),
        ({0: 50.0}, False),  # one seed
    ],
)
def test_agreement_in_sign(record, arm, agree):
    records = force_records(record, {"scratch": {0: 100.0, 1: 100.0}, "masked": arm})
    assert bool(row_of(statistics.paired_changes(records, ["scratch"]), metric=FORCE)["agree"]) is agree


def pairs_frame(pairs, unit=1.0):
    """Records of `scratch` and `masked` with these force errors, one pair a seed."""
    return pd.DataFrame(
        [
            {"dataset": "d", "model": "m", "strategy": strategy, "seed": seed, FORCE: unit * value}
            | {"status": "ok", "split": "test", "checkpoint": "best", "split_hash": f"hash-of-seed-{seed}"}
            for seed, pair in enumerate(pairs)
            for strategy, value in zip(("scratch", "masked"), pair, strict=True)
        ]
    )


PAIRS = st.lists(st.tuples(st.floats(0.1, 1e4), st.floats(0.1, 1e4)), min_size=1, max_size=10)


@settings(max_examples=25, deadline=None)
@given(PAIRS, st.floats(0.1, 10.0))
def test_change_lies_within_seeds_and_interval_and_knows_no_unit(pairs, unit):
    row = row_of(statistics.paired_changes(pairs_frame(pairs), ["scratch"], [FORCE]), metric=FORCE)
    assert row["lowest_percent"] - 1e-6 <= row["change_percent"] <= row["highest_percent"] + 1e-6
    other = row_of(statistics.paired_changes(pairs_frame(pairs, unit), ["scratch"], [FORCE]), metric=FORCE)
    assert other["change_percent"] == pytest.approx(row["change_percent"], rel=1e-6, abs=1e-6)
    if len(pairs) > 1:
        assert row["low_percent"] <= row["change_percent"] <= row["high_percent"]
        # Ratios so close that their standard deviation is rounding are of no interest.
        if row["high_percent"] - row["low_percent"] > 1e-3:
            assert other["p"] == pytest.approx(row["p"], rel=1e-4, abs=1e-9)
            assert (row["p"] < 0.05) == (row["low_percent"] > 0 or row["high_percent"] < 0)


@settings(max_examples=25, deadline=None)
@given(PAIRS)
def test_arm_and_baseline_swapped_is_the_same_with_the_other_sign(pairs):
    frame = pairs_frame(pairs)
    there = row_of(statistics.paired_changes(frame, ["scratch"], [FORCE]), metric=FORCE)
    back = row_of(statistics.paired_changes(frame, ["masked"], [FORCE]), metric=FORCE)

    def log(percent):
        return np.log1p(percent / 100)

    assert log(back["change_percent"]) == pytest.approx(-log(there["change_percent"]), abs=1e-9)
    if len(pairs) > 1 and there["high_percent"] < 1e9 and there["low_percent"] > -99.9999:
        assert log(back["low_percent"]) == pytest.approx(-log(there["high_percent"]), rel=1e-6, abs=1e-6)
        assert back["p"] == pytest.approx(there["p"], rel=1e-6, abs=1e-12)


def test_holm_by_hand():
    # Ascending 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, and 0.04 that may not fall below 0.06.
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    # What was not tested is no part of the family; no p-value exceeds 1.
    assert statistics.holm([0.02, float("nan"), 0.9]).tolist() == pytest.approx([0.04, float("nan"), 0.9], nan_ok=True)
    assert statistics.holm([0.7, 0.8]).tolist() == [1.0, 1.0]
    assert statistics.holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_is_monotone_and_lies_between_raw_and_bonferroni(values):
    corrected = statistics.holm(values)
    raw = np.array(values)
    assert (corrected >= raw).all()
    assert (corrected <= np.minimum(1, len(values) * raw)).all()
    order = np.argsort(raw)
    assert (np.diff(corrected[order]) >= 0).all()
    assert statistics.holm(values[::-1]).tolist() == corrected[::-1].tolist()


def molecule_records(record, values):
    """Records of `scratch` and `masked` with these pairs of force errors: {molecule: {seed: pair}}."""
    return records_frame(
        [
            record(strategy, seed, dataset=dataset, force_rmse_mev_per_A=value)
            for dataset, pairs in values.items()
            for seed, pair in pairs.items()
            for strategy, value in zip(("scratch", "masked"), pair, strict=True)
        ]
    )


def pooled_row(records):
    return row_of(statistics.pooled_changes(records, ["scratch"], [FORCE], ["a", "b"]), strategy="masked")


def test_pooled_averages_molecules_within_a_seed_and_tests_over_seeds(record):
    # Seed 0: ratios 1/4 and 1, of geometric mean 1/2. Seed 1: 16/25 and 1, of mean 4/5. Seed 2 lacks molecule b.
    values = {
        "a": {0: (100.0, 25.0), 1: (100.0, 64.0), 2: (100.0, 1.0)},
        "b": {0: (10.0, 10.0), 1: (10.0, 10.0)},
    }
    records = molecule_records(record, values)
    row = pooled_row(records)
    assert (row["n"], row["members"], row["lower"]) == (2, 2, 1)
    # As two seeds with ratios 1/2 and 4/5; over molecules, whose ratios are 2/5 and 1, the interval would be wider.
    m, error, t = math.log(0.4) / 2, math.log(1.6) / 2, math.tan(math.pi * 0.475)
    assert row["change_percent"] == pytest.approx(100 * (math.sqrt(0.4) - 1))
    assert row["low_percent"] == pytest.approx(100 * (math.exp(m - t * error) - 1))
    assert row["high_percent"] == pytest.approx(100 * (math.exp(m + t * error) - 1))
    assert row["p"] == pytest.approx(1 - 2 / math.pi * math.atan(-m / error))
    assert statistics.pooled_changes(records, ["scratch"], [FORCE], []).empty
    assert statistics.pooled_changes(records, ["scratch"], [FORCE], ["a"]).empty


def test_pooled_molecules_of_one_seed_are_not_tested(record):
    row = pooled_row(molecule_records(record, {"a": {0: (100.0, 25.0)}, "b": {0: (10.0, 10.0)}}))
    assert (row["n"], row["members"], row["change_percent"]) == (1, 2, pytest.approx(-50.0))
    assert np.isnan([row["low_percent"], row["high_percent"], row["p"]]).all()


def test_molecules_without_a_common_seed_are_not_pooled(record):
    records = molecule_records(record, {"a": {0: (100.0, 25.0)}, "b": {1: (10.0, 10.0)}})
    assert statistics.pooled_changes(records, ["scratch"], [FORCE], ["a", "b"]).empty


def test_quantiles_of_sampled_errors(record, key_of):
    key = key_of("masked", 0)
    errors = np.arange(101.0)
    predictions = pd.DataFrame(
        {
            "cell_key": [*[key] * 101, "f" * 12],
            "quantity": "force",
            "frame": 0,
            "element": 1,
            "reference": 0.0,
            "predicted": [*(errors * np.where(np.arange(101) % 2, 1, -1)), 9e9],
        }
    )
    (row,) = statistics.error_quantiles(records_frame([record()]), predictions).to_dict("records")
    assert (row["strategy"], row["seed"], row["sampled"]) == ("masked", 0, 101)
    assert [row[q] for q in (0.5, 0.9, 0.95, 0.99)] == pytest.approx([50, 90, 95, 99])


def test_nothing_common_gives_no_row(record, lost):
    records = force_records(record, {"scratch": {0: 1.0}, "masked": {1: 1.0}})
    assert statistics.paired_changes(records, ["scratch"]).empty
    assert statistics.paired_changes(records, []).empty
    nothing = records_frame([lost("masked", 0, "failed", "why")])
    assert statistics.paired_changes(nothing, ["scratch"]).empty
    assert statistics.summarise(nothing).empty


def test_split_conflicts(record):
    records = records_frame([record("scratch", 0), record("masked", 0), record("masked", 1, split_hash="other")])
    assert statistics.split_conflicts(records).empty
    records = records_frame([record("scratch", 0), record("masked", 0, split_hash="other")])
    assert statistics.split_conflicts(records).to_numpy().tolist() == [["tip3p", "egnn", 0]]


@pytest.mark.parametrize(("split_hash", "n"), [("hash-of-seed-1", 2), (None, 2), ("another", 1)])
def test_cells_of_different_splits_are_not_compared(record, split_hash, n):
    """A hash that is not known tells no difference."""
    cells = [("scratch", 0), ("scratch", 1), ("masked", 0)]
    records = records_frame([*(record(*cell) for cell in cells), record("masked", 1, split_hash=split_hash)])
    assert row_of(statistics.paired_changes(records, ["scratch"]), metric=FORCE)["n"] == n
    assert row_of(statistics.summarise(records), metric=FORCE, strategy="masked")["n"] == 2


def test_a_molecule_of_another_split_leaves_its_seed_out(record):
    values = {"a": {0: (100.0, 25.0), 1: (100.0, 64.0)}, "b": {0: (10.0, 10.0), 1: (10.0, 10.0)}}
    records = molecule_records(record, values)
    odd = (records["dataset"] == "b") & (records["strategy"] == "masked") & (records["seed"] == 1)
    records.loc[odd, "split_hash"] = "another"
    row = pooled_row(records)
    assert (row["n"], row["change_percent"]) == (1, pytest.approx(-50.0))
