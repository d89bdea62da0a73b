"""Files are replaced whole, and JSON is read back with a word on what to do about a damaged one."""

import pytest

from reports.records.atomic import RecordError, read_json, replacing, write_json


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
