"""Errors by element and predictions: what is written is what is read, and what contradicts the schema is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports.records.atomic import RecordError
from reports.records.run import read_run
from reports.records.samples import (
    ELEMENT_SCHEMA,
    MOST_PREDICTIONS,
    PREDICTION_SCHEMA,
    write_elements,
    write_predictions,
)

OLD = Path(__file__).parents[2] / "data" / "run-schema-1"
OUTCOMES = {"scratch": {0: (120.0, 500.0)}, "masked": {0: (60.0, 100.0)}}


def elements(key, **changes):
    """Errors of hydrogen and oxygen on the test split, and on a further dataset."""
    frame = pd.DataFrame(
        {
            "cell_key": key,
            "split": ["test", "test", "extra"],
            "checkpoint": "best",
            "extra": [None, None, "ice"],
            "element": [1, 8, 8],
            "n_atoms": [3200, 1600, 100],
            "force_rmse_mev_per_A": [50.0, 110.0, 300.0],
            "force_mae_mev_per_A": [40.0, 80.0, 200.0],
        }
    )
    return frame.assign(**changes)


def predictions(key, **changes):
    """Two energies and three force components."""
    frame = pd.DataFrame(
        {
            "cell_key": key,
            "quantity": ["energy"] * 2 + ["force"] * 3,
            "frame": [0, 4, 0, 0, 4],
            "file": "own.xyz",
            "file_frame": [5, 9, 5, 5, 9],
            "atom": pd.array([None, None, 2, 0, 1], dtype="Int64"),
            "axis": [None, None, "x", "z", "y"],
            "element": pd.array([None, None, 1, 8, 1], dtype="Int64"),
            "reference": [1.0, -2.0, 10.0, 20.0, -30.0],
            "predicted": [1.5, -2.0, 11.0, 18.0, -30.0],
        }
    )
    return frame.assign(**changes)


def test_details_come_back_with_the_run(make_run, key_of):
    folder = make_run(OUTCOMES)
    keys = [key_of(name, 0) for name in OUTCOMES]
    for key in keys:
        write_elements(elements(key), folder / "cells" / key / "elements.parquet")
        write_predictions(predictions(key), folder / "cells" / key / "predictions.parquet")
    assert pq.read_schema(folder / "cells" / keys[0] / "elements.parquet").equals(ELEMENT_SCHEMA)
    assert pq.read_schema(folder / "cells" / keys[0] / "predictions.parquet").equals(PREDICTION_SCHEMA)
    run = read_run(folder)
    pd.testing.assert_frame_equal(run.elements, pd.concat(map(elements, keys), ignore_index=True), check_dtype=False)
    pd.testing.assert_frame_equal(
        run.predictions, pd.concat(map(predictions, keys), ignore_index=True), check_dtype=False
    )


def test_predictions_of_schema_1_are_read(make_run, key_of):
    """A file of a run of the first schema, as it was written: its forces have no atom, and are not refused for it."""
    folder = make_run(OUTCOMES)
    old = pq.read_table(next(OLD.glob("cells/*/predictions.parquet")))
    assert not {"atom", "axis", "file"} & {*old.column_names}
    key = key_of("masked", 0)
    place = old.schema.get_field_index("cell_key")
    relabelled = old.set_column(place, old.schema.field(place), pa.array([key] * len(old)))
    pq.write_table(relabelled, folder / "cells" / key / "predictions.parquet")
    found = read_run(folder).predictions
    assert len(found) == len(old) > 0
    assert list(found.columns) == PREDICTION_SCHEMA.names
    assert found[["file", "file_frame", "atom", "axis"]].isna().all(axis=None)
    assert found["predicted"].tolist() == old["predicted"].to_pylist()


def test_older_runs_have_none(make_run):
    run = read_run(make_run(OUTCOMES))
    assert run.elements.empty
    assert list(run.elements.columns) == ELEMENT_SCHEMA.names
    assert run.predictions.empty
    assert list(run.predictions.columns) == PREDICTION_SCHEMA.names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "dev"}, "split 'dev'.*train, val, test, extra"),
        ({"checkpoint": "first"}, "checkpoint 'first'"),
        ({"extra": None}, "extra"),
        ({"element": 0}, "element 0.*1 to 118"),
        ({"element": 8}, "two rows"),
        ({"n_atoms": 0}, "n_atoms"),
        ({"force_rmse_mev_per_A": np.inf}, "finite"),
        ({"force_mae_mev_per_A": -1.0}, "not negative"),
        ({"cell_key": None}, "cell_key is empty"),
        ({"unit": "meV"}, "columns"),
    ],
)
def test_errors_by_element_that_contradict_the_schema_are_refused(tmp_path, changes, message):
    with pytest.raises(RecordError, match=message):
        write_elements(elements("a" * 12, **changes), tmp_path / "elements.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantity": "charge"}, "quantity 'charge'.*energy, force"),
        ({"quantity": "energy"}, "a force has the element"),
        ({"element": pd.array([None] * 5, dtype="Int64")}, "a force has the element"),
        ({"element": pd.array([None, None, 1, 119, 1], dtype="Int64")}, "element 119"),
        ({"frame": -1}, "frame -1"),
        ({"axis": "w"}, "a force has the atom and the axis"),
        ({"axis": [None, None, "x", "w", "y"]}, "axis 'w'.*x, y, z"),
        ({"atom": pd.array([0, 0, 2, 0, 1], dtype="Int64")}, "a force has the atom and the axis"),
        ({"axis": None}, "a force has the atom and the axis"),
        ({"file": None}, "a file and the index of the frame in it"),
        ({"predicted": np.nan}, "predicted is empty"),
        ({"reference": np.inf}, "finite"),
        ({"seed": 0}, "columns"),
    ],
)
def test_predictions_that_contradict_the_schema_are_refused(tmp_path, changes, message):
    with pytest.raises(RecordError, match=message):
        write_predictions(predictions("a" * 12, **changes), tmp_path / "predictions.parquet")
    assert not list(tmp_path.iterdir())


def test_more_predictions_than_a_sample_are_refused(tmp_path):
    energies = predictions("a" * 12).iloc[[0] * MOST_PREDICTIONS["energy"]]
    write_predictions(energies, tmp_path / "predictions.parquet")
    with pytest.raises(RecordError, match=r"1001 of quantity 'energy'.*at most 1000"):
        write_predictions(pd.concat([energies, energies.iloc[:1]]), tmp_path / "more.parquet")


@pytest.mark.parametrize(
    ("name", "write", "frame"),
    [("elements.parquet", write_elements, elements), ("predictions.parquet", write_predictions, predictions)],
)
def test_details_of_another_cell_or_corrupt_are_named(make_run, key_of, name, write, frame):
    folder = make_run(OUTCOMES)
    path = folder / "cells" / key_of("masked", 0) / name
    write(frame("f" * 12), path)
    with pytest.raises(RecordError, match="other cells") as caught:
        read_run(folder)
    assert str(path) in str(caught.value)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RecordError, match="run again") as caught:
        read_run(folder)
    assert str(path) in str(caught.value)


def test_a_file_that_contradicts_itself_is_named_among_many(make_run, key_of):
    folder = make_run(OUTCOMES)
    for name in OUTCOMES:
        write_elements(elements(key_of(name, 0)), folder / "cells" / key_of(name, 0) / "elements.parquet")
    path = folder / "cells" / key_of("masked", 0) / "elements.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(5, ELEMENT_SCHEMA.field("n_atoms"), [[0, 0, 0]]), path)
    with pytest.raises(RecordError, match="n_atoms below 1") as caught:
        read_run(folder)
    assert str(path) in str(caught.value)
