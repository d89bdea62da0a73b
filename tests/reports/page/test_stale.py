"""What a report before has left is removed, and nothing that is not its own."""

from __future__ import annotations

import json

import pytest

from reports.page.stale import LIST, remove_stale
from reports.page.write import build_report


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_report_made_again_has_no_file_of_the_one_before(make_run, tmp_path):
    one, two = (make_run({"scratch": {seed: (1.0, 1.0)}, "masked": {seed: (2.0, 2.0)}}, str(seed)) for seed in (0, 1))
    out, alone = tmp_path / "out", tmp_path / "alone"
    build_report([one, two], out)
    mine = out / "tables" / "mine.csv"
    mine.write_text("a,b\n")
    assert (out / "tables" / "sources.csv").exists()
    build_report(one, out)
    build_report(one, alone)
    assert files(out) == files(alone) | {"tables/mine.csv"}
    assert {*json.loads((out / LIST).read_text())["files"]} == files(alone) - {LIST}


@pytest.mark.parametrize("content", ["{", "[]", '{"files": 5}', '{"files": ["../other", 7, "/tmp/x", "folder"]}'])
def test_a_list_that_was_changed_removes_nothing_else(tmp_path, content):
    out = tmp_path / "out"
    (out / "folder").mkdir(parents=True)
    (tmp_path / "other").write_text("mine")
    (out / LIST).write_text(content)
    (out / "index.html").write_text("new")
    remove_stale(out, [out / "index.html"])
    assert (tmp_path / "other").read_text() == "mine"
    assert json.loads((out / LIST).read_text())["files"] == ["index.html"]
    assert (out / "folder").is_dir()
