"""Statistics against closed forms and hand-made curves."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import statistics
from reports.records import records_frame

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


def test_change_is_of_means_over_common_seeds(record):
    # Seed 2 of the arm and seed 3 of the baseline have no partner: they must not count.
    records = force_records(record, {"scratch": {0: 100.0, 1: 300.0, 3: 9.0}, "masked": {0: 50.0, 1: 250.0, 2: 999.0}})
    row = row_of(statistics.paired_changes(records, ["scratch"]), metric=FORCE)
    assert (row["strategy"], row["baseline"], row["n"]) == ("masked", "scratch", 2)
    assert row["change_percent"] == pytest.approx(-25.0)  # 150 / 200 − 1
    assert row["lowest_percent"] == pytest.approx(-50.0)
    assert row["highest_percent"] == pytest.approx(100 * (250 / 300 - 1))
    assert row["agree"]


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


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.1, 1e4), st.floats(0.1, 1e4)), min_size=1, max_size=6),
    st.floats(0.1, 10.0),
)
def test_change_lies_within_the_seeds_and_knows_no_unit(pairs, unit):
    frame = pd.DataFrame(
        [
            {"dataset": "d", "model": "m", "strategy": strategy, "seed": seed, FORCE: value}
            | {"status": "ok", "split": "test", "checkpoint": "best"}
            for seed, pair in enumerate(pairs)
            for strategy, value in zip(("scratch", "masked"), pair, strict=True)
        ]
    )
    row = row_of(statistics.paired_changes(frame, ["scratch"], [FORCE]), metric=FORCE)
    assert row["lowest_percent"] - 1e-6 <= row["change_percent"] <= row["highest_percent"] + 1e-6
    scaled = frame.assign(**{FORCE: unit * frame[FORCE]})
    other = row_of(statistics.paired_changes(scaled, ["scratch"], [FORCE]), metric=FORCE)
    assert other["change_percent"] == pytest.approx(row["change_percent"], abs=1e-6)


def test_nothing_common_gives_no_row(record, lost):
    records = force_records(record, {"scratch": {0: 1.0}, "masked": {1: 1.0}})
    assert statistics.paired_changes(records, ["scratch"]).empty
    assert statistics.paired_changes(records, []).empty
    nothing = records_frame([lost("masked", 0, "failed", "why")])
    assert statistics.paired_changes(nothing, ["scratch"]).empty
    assert statistics.summarise(nothing).empty


def test_epochs_to_reach(record, curve):
    # Arms pretrain for 2 epochs. Targets: 10 with seed 0, 20 with seed 1; seed 2 has no baseline.
    curves = pd.concat(
        [
            curve("scratch", 0, [40.0, 9.0, 12.0, 10.0]),  # below its own end at epoch 2 already
            curve("scratch", 1, [40.0, 30.0, 25.0, 20.0]),
            curve("masked", 0, [30.0, 11.0, 10.0, 5.0]),  # equal to the target at epoch 3
            curve("masked", 1, [50.0, 40.0, 30.0, 20.1]),  # never
            curve("masked", 2, [1.0, 1.0, 1.0, 1.0]),
            curve("masked", 0, [1.0, 1.0, 1.0, 1.0], metric="energy_rmse_mev"),
        ]
    )
    cells = [("scratch", 0), ("scratch", 1), ("masked", 0), ("masked", 1), ("masked", 2)]
    records = records_frame([record(*cell) for cell in cells])
    reached = statistics.epochs_to_reach(records, curves, "scratch")
    found = {(row.strategy, row.seed): (row.target, row.epoch, row.total_epoch) for row in reached.itertuples()}
    assert found == {
        ("scratch", 0): (10.0, 2, 2),
        ("scratch", 1): (20.0, 4, 4),
        ("masked", 0): (10.0, 3, 5),
        ("masked", 1): (20.0, pd.NA, pd.NA),
    }
    summary = statistics.summarise_reach(reached)
    masked = row_of(summary, strategy="masked")
    assert (masked["seeds"], masked["reached"], masked["target_mean"]) == (2, 1, 15.0)
    assert (masked["epoch_mean"], masked["total_epoch_min"], masked["total_epoch_max"]) == (3, 5, 5)
    scratch = row_of(summary, strategy="scratch")
    assert (scratch["epoch_mean"], scratch["epoch_min"], scratch["epoch_max"]) == (3.0, 2, 4)


def test_epochs_to_reach_uses_cells_that_ended_ok_only(record, lost, curve):
    curves = pd.concat([curve("scratch", 0, [2.0, 1.0]), curve("masked", 0, [1.0, 1.0])])
    records = records_frame([record("scratch", 0), lost("masked", 0, "diverged", "loss is nan")])
    assert set(statistics.epochs_to_reach(records, curves, "scratch")["strategy"]) == {"scratch"}


def test_split_conflicts(record):
    records = records_frame([record("scratch", 0), record("masked", 0), record("masked", 1, split_hash="other")])
    assert statistics.split_conflicts(records).empty
    records = records_frame([record("scratch", 0), record("masked", 0, split_hash="other")])
    assert statistics.split_conflicts(records).to_numpy().tolist() == [["tip3p", "egnn", 0]]
