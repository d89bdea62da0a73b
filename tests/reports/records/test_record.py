"""The schema: what is written is what is read, and what contradicts it is refused."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from reports.records.atomic import RecordError
from reports.records.record import CURVE_SCHEMA, METRICS, RECORD_SCHEMA, Record, write_curves, write_records
from reports.records.run import read_run


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
        ({"cell_key": "../../etc"}, "cell_key"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_row_that_contradicts_the_schema_is_refused(record, changes, names):
    with pytest.raises(ValidationError, match=names):
        record(**changes)


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


def test_a_failed_write_leaves_the_older_file(curve, tmp_path, monkeypatch):
    path = tmp_path / "curves.parquet"
    write_curves(curve("masked", 0, [3.0]), path)
    before = path.read_bytes()

    def torn(table, where):
        where.write_bytes(b"half a file")
        raise OSError("No space left on device")

    monkeypatch.setattr("reports.records.record.pq.write_table", torn)
    with pytest.raises(OSError, match="No space"):
        write_curves(curve("masked", 0, [2.0]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_is_read_and_foreign_cells_are_ignored(make_run, key_of):
    folder = make_run({"scratch": {0: (120.0, 500.0), 1: None}, "masked": {0: ("failed", "out of memory")}})
    (folder / "cells" / ("0" * 12)).mkdir(parents=True)
    run = read_run(folder)
    assert len(run.records) == 7  # two checkpoints × three splits, and one failed cell
    assert set(run.curves["cell_key"]) == {key_of("scratch", 0)}
    assert [state.state for state in run.states] == ["ok", "pending", "failed"]
    assert run.provenance[key_of("scratch", 0)]["versions"]["torch"] == "2.13.0"


def test_a_failed_cell_that_is_run_again_is_running(make_run, key_of):
    folder = make_run({"scratch": {0: ("failed", "out of memory")}})
    status = folder / "cells" / key_of("scratch", 0) / "status.json"
    status.write_text('{"state": "running", "phase": "finetune", "epoch": 2, "epochs": 4}')
    (state,) = read_run(folder).states
    assert state.state == "running"
    assert "epoch 2 of 4" in state.note


@pytest.mark.parametrize("name", ["record.parquet", "curves.parquet", "provenance.json", "status.json"])
def test_a_corrupt_file_is_named_with_the_remedy(make_run, key_of, name):
    folder = make_run({"scratch": {0: (120.0, 500.0)}})
    path = folder / "cells" / key_of("scratch", 0) / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RecordError) as caught:
        read_run(folder)
    assert str(path) in str(caught.value)
    assert "run again" in str(caught.value)


@pytest.mark.parametrize("name", ["record.parquet", "curves.parquet", "provenance.json"])
def test_a_file_missing_from_a_finished_cell_is_named(make_run, key_of, name):
    folder = make_run({"scratch": {0: (120.0, 500.0)}})
    path = folder / "cells" / key_of("scratch", 0) / name
    path.unlink()
    with pytest.raises(RecordError, match="missing") as caught:
        read_run(folder)
    assert str(path) in str(caught.value)


def test_a_record_of_another_cell_is_refused(make_run, record, key_of):
    folder = make_run({"scratch": {0: (120.0, 500.0)}})
    path = folder / "cells" / key_of("scratch", 0) / "record.parquet"
    write_records([record("scratch", 0, dataset="rpbe")], path)
    with pytest.raises(RecordError, match="rpbe"):
        read_run(folder)


def test_a_plan_that_is_missing_or_wrong_is_named(make_run, tmp_path):
    with pytest.raises(RecordError, match=r"plan\.json is missing"):
        read_run(tmp_path)
    with pytest.raises(RecordError, match="schema"):
        read_run(make_run({}, name="future", schema=2))
    cells = [
        {"key": key * 12, "dataset": "a", "model": "b", "strategy": "c", "seed": 0}
        | {"pretrain_epochs": 0, "finetune_epochs": 1}
        for key in "ab"
    ]
    with pytest.raises(RecordError, match="share the dataset"):
        read_run(make_run({}, name="doubled", cells=cells))


def test_importing_reports_imports_neither_torch_nor_plotting():
    code = "import sys, reports; print([m for m in ('torch', 'matplotlib', 'tasks') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_making_a_report_does_not_import_torch(make_run):
    folder = make_run({"scratch": {0: (120.0, 500.0)}})
    code = f"import sys, reports; reports.build_report({str(folder)!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert (folder / "report" / "index.html").exists()
