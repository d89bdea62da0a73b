"""The schema: what is written is what is read, and what contradicts it is refused."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from reports.records.atomic import RecordError
from reports.records.record import CURVE_SCHEMA, METRICS, RECORD_SCHEMA, Record, write_curves, write_records


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    values=st.lists(st.none() | st.floats(0, 1e12), min_size=len(METRICS), max_size=len(METRICS)),
    memory=st.none() | st.floats(0, 1e9),
    frames=st.none() | st.integers(0, 2**60),
)
def test_records_come_back_as_written(record, tmp_path, values, memory, frames):
    row = record(**dict(zip(METRICS, values, strict=True)), peak_memory_mb=memory, n_frames=frames)
    path = tmp_path / "record.parquet"
    write_records([row, record(checkpoint="last")], path)
    assert pq.read_schema(path).equals(RECORD_SCHEMA)
    assert Record.model_validate(pq.read_table(path).to_pylist()[0]) == row
    assert [file.name for file in tmp_path.iterdir()] == ["record.parquet"]


def test_every_field_is_described_and_has_a_column():
    assert all(info.description for info in Record.model_fields.values())
    assert list(Record.model_fields) == RECORD_SCHEMA.names


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"status": "failed", "reason": "why"}, "split"),
        ({"status": "diverged", "split": None, "checkpoint": None, "reason": "why"}, "force_rmse"),
        ({"split": None}, "split"),
        ({"split": "extra"}, "both or neither"),
        ({"extra": "ice"}, "both or neither"),
        ({"reason": "why"}, "reason"),
        ({"status": "done"}, "status"),
        ({"force_rmse_mev_per_A": -1.0}, "force_rmse"),
        ({"energy_mae_mev": float("nan")}, "energy_mae"),
        ({"energy_sd_mev": -1.0}, "energy_sd"),
        ({"handover_cosine": 1.5}, "handover_cosine"),
        ({"cell_key": "../../etc"}, "cell_key"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_row_that_contradicts_the_schema_is_refused(record, changes, names):
    with pytest.raises(ValidationError, match=names):
        record(**changes)


def test_a_bias_has_a_sign_and_a_lost_cell_has_none_of_the_further_errors(record, lost):
    assert record(energy_bias_mev=-5.0).energy_bias_mev == -5
    place = {"split": None, "checkpoint": None, "status": "failed", "reason": "why"}
    nothing = dict.fromkeys(METRICS)
    with pytest.raises(ValidationError, match="energy_bias_mev"):
        record(energy_bias_mev=-5.0, **nothing, **place)
    # What is known before the first step stays known.
    assert record(handover_cosine=-0.05, **nothing, **place).handover_cosine == -0.05


@pytest.mark.parametrize("reason", [None, "", "  "])
def test_a_lost_cell_needs_a_reason(lost, reason):
    with pytest.raises(ValidationError, match="needs a reason"):
        lost("masked", 0, "failed", reason)


def test_rows_that_contradict_each_other_are_refused(record, lost, tmp_path):
    path = tmp_path / "record.parquet"
    with pytest.raises(RecordError, match="twice"):
        write_records([record(), record()], path)
    with pytest.raises(RecordError, match="exactly one row"):
        write_records([record(), lost("masked", 0, "failed", "why")], path)
    with pytest.raises(RecordError, match="no row"):
        write_records([], path)
    assert not list(tmp_path.iterdir())


def test_curves_come_back_as_written_with_nan(curve, tmp_path):
    frame = curve("masked", 0, [3.0, np.inf, np.nan])
    path = tmp_path / "curves.parquet"
    write_curves(frame, path)
    assert pq.read_schema(path).equals(CURVE_SCHEMA)
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame, check_dtype=False)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("phase", "warmup", "phase 'warmup'.*pretrain, finetune"),
        ("split", "test", "split 'test'"),
        ("metric", "accuracy", "metric 'accuracy'"),
        ("epoch", 0, "epoch 0"),
        ("step", -1, "step"),
        ("seconds", np.nan, "seconds is empty"),
        ("cell_key", None, "cell_key is empty"),
    ],
)
def test_curves_that_contradict_the_schema_are_refused(curve, tmp_path, column, value, message):
    frame = curve("masked", 0, [3.0, 2.0]).astype({column: object})
    frame.loc[0, column] = value
    with pytest.raises(RecordError, match=message):
        write_curves(frame, tmp_path / "curves.parquet")
    assert not list(tmp_path.iterdir())


def test_curves_with_other_columns_or_repeated_places_are_refused(curve, tmp_path):
    frame = curve("masked", 0, [3.0])
    with pytest.raises(RecordError, match="columns"):
        write_curves(frame.drop(columns="step"), tmp_path / "curves.parquet")
    with pytest.raises(RecordError, match="two values"):
        write_curves(pd.concat([frame, frame]), tmp_path / "curves.parquet")
