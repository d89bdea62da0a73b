"""A run packed into one file: what is unpacked reads as the run did, and nothing is overwritten."""

import tarfile

import pandas as pd
import pytest

from reports.page.write import build_report
from reports.records.archive import write_archive
from reports.records.atomic import RecordError
from reports.records.folder import RunFolder
from reports.records.run import read_run
from reports.records.simulations import read_simulations
from tests.reports.simulated import leave, subject_of

ENDED = {
    "scratch": {0: (120.0, 500.0), 1: (110.0, 480.0)},
    "masked": {0: (100.0, 400.0), 1: ("diverged", "a loss was not finite"), 2: None},
}


def unpack(archive, folder):
    folder.mkdir()
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    (run,) = folder.iterdir()
    return run


def test_what_is_unpacked_reads_as_the_run_did(make_run, tmp_path):
    folder = make_run(ENDED, name="water-quick", references={"null": (800.0, 900.0)})
    packed = write_archive(folder, tmp_path / "water.tar.xz")
    found = read_run(unpack(tmp_path / "water.tar.xz", tmp_path / "elsewhere"))
    assert found.folder.name == "water-quick"
    assert packed.plan == found.plan
    assert [state.state for state in found.states] == ["ok", "ok", "ok", "diverged", "pending"]
    for name in ("records", "curves", "elements", "predictions", "references"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(packed, name))
    assert found.provenance == packed.provenance


def test_its_report_is_that_of_the_run(make_run, tmp_path):
    folder = make_run(ENDED)
    write_archive(folder, tmp_path / "run.tar.xz")
    other = unpack(tmp_path / "run.tar.xz", tmp_path / "elsewhere")
    assert build_report(other).html.read_text() == build_report(folder).html.read_text()


def test_equal_records_give_equal_bytes_without_weights_logs_and_report(make_run, tmp_path):
    folder = make_run(ENDED)
    write_archive(folder, tmp_path / "first.tar.xz")
    cell = RunFolder(folder).begun("cells")[0]
    for path in (cell.checkpoint("best"), cell.checkpoint("last"), cell.log):
        path.write_bytes(b"0" * 1000)
    build_report(folder)
    write_archive(folder, tmp_path / "second.tar.xz")
    assert (tmp_path / "first.tar.xz").read_bytes() == (tmp_path / "second.tar.xz").read_bytes()


def test_a_cell_that_is_under_way_is_pending_in_the_archive(make_run, tmp_path):
    folder = make_run(ENDED)
    running = read_run(folder).states[-1].cell
    RunFolder(folder).cell(running.key).set_status("running", phase="finetune", epoch=1, epochs=4)
    write_archive(folder, tmp_path / "run.tar.xz")
    assert read_run(unpack(tmp_path / "run.tar.xz", tmp_path / "elsewhere")).states[-1].state == "pending"


def test_simulations_are_packed_and_what_failed_is_still_named(make_run, tmp_path, key_of):
    folder = make_run(ENDED)
    first, second = (subject_of(key_of("scratch", seed), "scratch", seed, "nvt") for seed in (0, 1))
    leave(folder, first, measures={("stable_ps", ""): 7.0}, ends=[(7.0, "hot"), (7.0, "hot")])
    leave(folder, second, state="failed", reason="out of memory")
    write_archive(folder, tmp_path / "run.tar.xz")
    other = unpack(tmp_path / "run.tar.xz", tmp_path / "elsewhere")
    found = read_simulations(RunFolder(other), [first["subject"], second["subject"]])
    assert found.ends["simulated_ps"].tolist() == [7.0, 7.0]
    (failed,) = found.failed
    assert "out of memory" in failed


def test_home_folders_are_not_published(make_run, tmp_path):
    folder = make_run(ENDED, command="python -m benchmark run --suite /home/somebody/own.yaml")
    write_archive(folder, tmp_path / "run.tar.xz")
    plan = unpack(tmp_path / "run.tar.xz", tmp_path / "elsewhere") / "plan.json"
    assert "--suite ~/own.yaml" in plan.read_text()
    assert "somebody" not in plan.read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("run.zip", "let it end with .tar.xz"),
        ("there.tar.xz", "exists, and is left as it is"),
        ("no/run.tar.xz", "is no folder"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_refused(make_run, tmp_path, name, message):
    folder = make_run(ENDED)
    (tmp_path / "there.tar.xz").write_text("mine")
    with pytest.raises(RecordError, match=message):
        write_archive(folder, tmp_path / name)
    assert (tmp_path / "there.tar.xz").read_text() == "mine"
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_record_is_named_and_nothing_written(make_run, tmp_path):
    folder = make_run(ENDED)
    record = RunFolder(folder).begun("cells")[0].record
    record.write_bytes(b"no parquet")
    with pytest.raises(RecordError, match=str(record)):
        write_archive(folder, tmp_path / "run.tar.xz")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
