"""Statistics against closed forms."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
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


def test_lost_cells_leave_no_error(lost):
    assert statistics.summarise(records_frame([lost("masked", 0, "failed", "why")])).empty


def test_split_conflicts(record):
    records = records_frame([record("scratch", 0), record("masked", 0), record("masked", 1, split_hash="other")])
    assert statistics.split_conflicts(records).empty
    records = records_frame([record("scratch", 0), record("masked", 0, split_hash="other")])
    assert statistics.split_conflicts(records).to_numpy().tolist() == [["tip3p", "egnn", 0]]
