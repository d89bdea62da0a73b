"""A run folder is read whole: what is missing, damaged or of another cell is named with the remedy."""

import pytest

from reports.records.atomic import RecordError
from reports.records.record import write_records
from reports.records.run import read_run


def test_a_run_is_read_and_foreign_cells_are_ignored(make_run, key_of):
    folder = make_run({"scratch": {0: (120.0, 500.0), 1: None}, "masked": {0: ("failed", "out of memory")}})
    (folder / "cells" / ("0" * 12)).mkdir(parents=True)
    run = read_run(folder)
    assert len(run.records) == 7  # two checkpoints × three splits, and one failed cell
    assert set(run.curves["cell_key"]) == {key_of("scratch", 0)}
    assert [state.state for state in run.states] == ["ok", "pending", "failed"]
    assert run.provenance[key_of("scratch", 0)]["versions"]["torch"] == "2.13.0"
    bare = read_run(folder, whole=False)
    assert bare.records.equals(run.records)
    assert not any(map(len, (bare.curves, bare.elements, bare.predictions)))


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


@pytest.mark.parametrize(
    ("command", "published"),
    [
        ("run --suite /home/jane/s.yaml --out=/home/jane", "run --suite ~/s.yaml --out=~"),
        ("run --out '/Users/jane/my runs'", "run --out '~/my runs'"),
        ("run --out /data/home/jane/x --suite water", "run --out /data/home/jane/x --suite water"),
    ],
)
def test_a_published_command_does_not_name_users(make_run, command, published):
    folder = make_run({"scratch": {0: None}}, command=command)
    assert read_run(folder).plan.command == published
    assert command in (folder / "plan.json").read_text(), "the record keeps it"
