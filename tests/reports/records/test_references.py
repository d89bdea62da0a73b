"""References: what is written is what is read, what contradicts the schema is refused, and runs join theirs."""

import pandas as pd
import pytest

from reports.records.atomic import RecordError
from reports.records.merge import read_runs
from reports.records.references import REFERENCE_SCHEMA, read_references, write_references
from reports.records.run import read_run

ROW = {"dataset": "tip3p", "seed": 0, "split": "val", "reference": "null", "metric": "energy_bias_mev", "value": -3.5}


def table(*changes):
    return pd.DataFrame([ROW | change for change in changes])


def test_references_come_back_as_written(tmp_path):
    path = tmp_path / "references.parquet"
    assert read_references(path).empty
    assert list(read_references(path).columns) == REFERENCE_SCHEMA.names
    frame = table({}, {"reference": "one molecule"}, {"seed": 1})
    write_references(frame, path)
    pd.testing.assert_frame_equal(read_references(path), frame)
    path.write_bytes(b"no table")
    with pytest.raises(RecordError, match=r"references\.parquet cannot be read .*delete .* and run again"):
        read_references(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([{"split": "extra"}], "split 'extra' is not known"),
        ([{"reference": "magic"}], "reference 'magic' is not known; allowed are null, one molecule"),
        ([{"metric": "loss"}], "metric 'loss' is not known"),
        ([{"value": float("nan")}], "not finite"),
        ([{"more": 1}], "exactly"),
        ([{}, {"value": 1.0}], "two values for"),
    ],
)
def test_references_that_contradict_the_schema_are_refused(tmp_path, changes, message):
    with pytest.raises(RecordError, match=message):
        write_references(table(*changes), tmp_path / "references.parquet")
    assert not list(tmp_path.iterdir())


def test_a_run_has_its_references_and_merged_runs_have_those_of_all(make_run):
    one, two, none = (make_run({"masked": {seed: None}}, name=str(seed)) for seed in range(3))
    write_references(table({}), one / "references.parquet")
    write_references(table({"value": 7.0}, {"seed": 1, "value": 2.0}), two / "references.parquet")
    assert read_run(none).references.empty
    merged = read_runs([none, one, two]).references
    assert merged[["seed", "value"]].values.tolist() == [[0, -3.5], [1, 2.0]]
    assert read_runs([none, make_run({}, name="empty")]).references.empty
