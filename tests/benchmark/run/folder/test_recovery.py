"""A lost or damaged plan.json costs no finished work."""

from __future__ import annotations

import json

import pytest

from benchmark.errors import BenchmarkError
from reports.records.atomic import RecordError
from reports.records.folder import RunFolder
from reports.records.run import read_run
from tests.benchmark.runs import contents

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("content", [None, "", '{"schema": 2, "cells": "none"}'])
def test_the_plan_is_written_anew_from_suite_and_cells(made, copy, content):
    before, files = RunFolder(copy).read_plan(), contents(copy / "cells")
    (copy / "plan.json").unlink()
    if content is not None:
        (copy / "plan.json").write_text(content, encoding="utf-8")
    with pytest.raises(RecordError, match=r"plan\.json.* restore this one file, or repeat the run's command"):
        read_run(copy)
    printed = made.run(copy, select={"strategy": ["scratch"]})
    assert "it is written anew from the suite and 2 cells" in printed
    assert ("set aside as plan.json.damaged" in printed) == (content is not None)
    after = RunFolder(copy).read_plan()
    assert after == before, "also the cell that was not selected"
    assert contents(copy / "cells") == files


def test_cells_of_another_suite_are_not_taken_for_those_of_this_one(made, copy, own):
    other = own(name="other", training={**json.loads((copy / "plan.json").read_text())["config"]["training"],
                                               "batch_size": 3})  # fmt: skip
    (copy / "plan.json").write_text("", encoding="utf-8")
    before = contents(copy)
    with pytest.raises(BenchmarkError, match=r"2 cells that ended in its folder 2 are not of suite 'other'.*--out"):
        made.run(copy, suite=other)
    assert contents(copy) == before


def test_a_plan_of_a_later_version_is_not_replaced(made, copy):
    (copy / "plan.json").write_text('{"schema": 99}', encoding="utf-8")
    with pytest.raises(RecordError, match="use the version that wrote it"):
        made.run(copy)
    assert (copy / "plan.json").read_text() == '{"schema": 99}'


def test_other_data_is_refused_without_a_plan_too(made, copy, tmp_path):
    for path in copy.glob("cells/*/provenance.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"contents": ["other", *content["contents"][1:]]}), encoding="utf-8")
    (copy / "plan.json").unlink()
    with pytest.raises(BenchmarkError, match=r"dataset 'b' is not the one that run folder .* was begun with"):
        made.run(copy)
