"""Files are replaced whole, and JSON is read back with a word on what to do about a damaged one."""

import os
from types import SimpleNamespace

import pytest

from reports.records import atomic
from reports.records.atomic import RecordError, read_json, replacing, set_aside, sweep, write_json


def test_json_comes_back_and_no_file_is_none(tmp_path):
    content = {"schema": 1, "values": {"0.5": [1, None, "Å"]}}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json", "") == content
    assert read_json(tmp_path / "b.json", "") is None
    assert read_json(tmp_path / "a.json" / "below.json", "") is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_crash_leaves_the_older_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def crash():
        with replacing(path) as temporary:
            temporary.write_text("half a fi")
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        crash()
    assert read_json(path, "") == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path):
    kept = ["a.json", ".hidden", ".a.json.tmp", "a.json.tmp", f".run.{'0' * 31}.tmp"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    with replacing(tmp_path / "last.ckpt") as temporary:
        temporary.write_text("whole")
    temporary.write_text("half")  # as a writer leaves it that is killed
    sweep(tmp_path)
    sweep(tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "last.ckpt"])


def test_a_full_disk_is_named_whatever_the_library_said(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(OSError, match="No space left on device") as caught, replacing(tmp_path / "a.pt"):
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")
    assert caught.value.filename == str(tmp_path / "a.pt")


def test_what_is_set_aside_replaces_nothing(tmp_path):
    for content in "abc":
        (tmp_path / "x.json").write_text(content)
        set_aside(tmp_path / "x.json")
    names = ["x.json.damaged", "x.json.damaged-2", "x.json.damaged-3"]
    assert [(tmp_path / name).read_text() for name in names] == ["a", "b", "c"]


def test_a_durable_file_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    """File, rename, folder: in any other order a power cut may leave an empty file under the name."""
    done = []
    monkeypatch.setattr(atomic, "sync", lambda path: done.append(path.name))
    replace = os.replace
    monkeypatch.setattr(atomic.os, "replace", lambda *paths: (done.append("replaced"), replace(*paths)))
    write_json(tmp_path / "a.json", {}, durable=True)
    assert (done[0].startswith(".a.json."), done[1:]) == (True, ["replaced", tmp_path.name])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1', "cannot be read"),
        ("[1]", "holds a list, a JSON object was expected"),
        ('{"a": {"b": 1, "b": 2}}', "the name 'b' is listed twice"),
        ('{"schema": "new"}', "has the schema 'new'; a whole number"),
        ('{"schema": 0}', "has the schema 0; a whole number"),
    ],
)
def test_a_damaged_file_is_named_with_the_remedy(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=message) as caught:
        read_json(path, "delete it")
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(": delete it")


def test_a_later_schema_is_refused_with_the_version_that_reads_it(tmp_path):
    write_json(tmp_path / "a.json", {"schema": 2})
    assert read_json(tmp_path / "a.json", "", newest=2) == {"schema": 2}
    with pytest.raises(RecordError, match=r"a\.json has schema 2, .* up to 1: use the version that wrote it"):
        read_json(tmp_path / "a.json", "")
