"""Whatever stands in the JSON files of a run folder, it is read or refused in words, never with another traceback."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.run.watching.status import describe_status, read_statuses
from reports.records.atomic import RecordError
from reports.records.folder import RunFolder
from reports.records.run import read_run

STORED = Path(__file__).parents[2] / "data" / "run-schema-1"
ODD = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        7,
        1e400,
        float("nan"),
        10**30,
        "",
        "text",
        "\ud800",
        [],
        [1],
        [[]],
        {},
        {"a": 1},
        {"": None},
        2.5,
    ]
)


def places(content, path=()):
    """Where values stand in a JSON content."""
    yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def replaced(content, path, value):
    if not path:
        return value
    changed = copy.deepcopy(content)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed") / "run"
    shutil.copytree(STORED, folder)
    return folder


def read_plan(folder):
    plan = RunFolder(folder).read_plan()
    assert [plan.epochs(arm) for arm in plan.arms]


def read_statuses_of(folder):
    for _, status in read_statuses(folder):
        describe_status(status)


@pytest.mark.parametrize(
    ("name", "read"), [("plan.json", read_plan), ("status.json", read_statuses_of), ("provenance.json", read_run)]
)
@settings(max_examples=50)
@given(data=st.data())
def test_any_value_in_any_place_is_read_or_refused(run, name, read, data):
    path = run / name if name == "plan.json" else sorted(run.glob(f"cells/*/{name}"))[0]
    original = path.read_text(encoding="utf-8")
    content = json.loads(original)
    if name == "status.json":
        content = {"schema": 1, "state": "running", "phase": "finetune", "epoch": 1, "epochs": 2, "updated": 1.0,
                   "seconds_left": 3.0, "loss": 1.0, "force_rmse_mev_per_A": 1.0}  # fmt: skip
    place = data.draw(st.sampled_from(list(places(content))))
    path.write_text(json.dumps(replaced(content, place, data.draw(ODD))), encoding="utf-8")
    message = ""
    try:
        read(run)
    except RecordError as error:
        message = str(error)
    finally:
        path.write_text(original, encoding="utf-8")
    assert not message or str(path) in message


def test_damaged_provenance_is_no_fault_of_the_plan(run):
    path = sorted(run.glob("cells/*/provenance.json"))[0]
    original = path.read_text(encoding="utf-8")
    path.write_text("", encoding="utf-8")
    assert RunFolder(run).read_plan()
    path.write_text(original, encoding="utf-8")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"schema": 2, "cells": ' + "9" * 5000 + "}", '{"a": "\x00"', "\xff"])
def test_text_that_breaks_readers_of_json_is_refused_by_name(run, text):
    path = run / "plan.json"
    original = path.read_text(encoding="utf-8")
    path.write_bytes(text.encode("latin-1"))
    try:
        with pytest.raises(RecordError, match=r"plan\.json"):
            read_run(run)
    finally:
        path.write_text(original, encoding="utf-8")
