"""The run folder: states, plan and provenance come back as they were written."""

import json

import pytest

from reports.records.atomic import RecordError, write_json
from reports.records.folder import JobFolder, RunFolder
from reports.records.run import read_run
from reports.records.status import Status


def test_a_state_is_replaced_with_its_progress(tmp_path):
    job = JobFolder(tmp_path / "cells" / "0")
    assert job.status() == Status()
    assert job.status().state == "pending"
    job.set_status("running", phase="finetune", epoch=2, epochs=4, fraction=0.5)
    assert (job.status().state, job.status().epoch, job.status().fraction) == ("running", 2, 0.5)
    job.set_status("failed", "out of memory")
    status = job.status()
    assert (status.state, status.reason, status.epoch) == ("failed", "out of memory", None)
    assert status.updated > 0
    assert json.loads((job.path / "status.json").read_text())["schema"] == 1


def test_a_status_that_is_none_is_named(tmp_path):
    write_json(tmp_path / "status.json", {"state": "done"})
    with pytest.raises(RecordError, match=r"is not a status \(state: .*run again; only this job"):
        JobFolder(tmp_path).status()


@pytest.mark.parametrize(
    ("name", "read"), [("status.json", JobFolder.status), ("provenance.json", JobFolder.read_provenance)]
)
def test_files_of_a_later_version_are_refused(tmp_path, name, read):
    job = JobFolder(tmp_path)
    assert read(job) in (None, Status())
    write_json(tmp_path / name, {"state": "ok", "reason": None})
    assert read(job)
    write_json(tmp_path / name, {"schema": 2})
    with pytest.raises(RecordError, match=rf"{name} has schema 2"):
        read(job)


def test_a_plan_comes_back_as_written(make_run, tmp_path):
    plan = read_run(make_run({"scratch": {0: None}, "masked": {0: None}})).plan
    run = RunFolder(tmp_path)
    run.write_plan(plan)
    assert run.read_plan() == plan
