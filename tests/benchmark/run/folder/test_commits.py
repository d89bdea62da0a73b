"""A folder is filled by one code."""

from __future__ import annotations

import json

import pytest

from benchmark.cell import provenance
from benchmark.errors import BenchmarkError
from benchmark.run.folder import commits

pytestmark = pytest.mark.slow


def by_other_code(run, **changes):
    for path in run.glob("*/*/provenance.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")


def unfinish(run):
    """Something is left to do."""
    cell = next(run.glob("cells/*"))
    (cell / "status.json").write_text('{"state": "failed", "reason": "r"}', encoding="utf-8")
    return cell


def test_other_code_goes_on_only_when_asked(made, copy):
    by_other_code(copy, code="other", git_commit="0123456789ab")
    assert "2 of 2 cells" in made.run(copy), "nothing is left to mix"
    unfinish(copy)
    with pytest.raises(BenchmarkError, match=r"3 by commit 0123456789ab, code other; this is .*--out.*--mix-commits"):
        made.run(copy)
    assert "1 of 2 cells" in made.run(copy, mix_commits=True)


def test_a_failure_of_other_code_is_no_number(made, copy):
    """Fixing what failed is why code changes."""
    for path in copy.glob("*/*"):
        (path / "last.ckpt").unlink()
        (path / "status.json").write_text('{"state": "failed", "reason": "r"}', encoding="utf-8")
    by_other_code(copy, code="other")
    assert "finished before" not in made.run(copy)


def test_what_counts_as_the_same_code(monkeypatch):
    now = {"code": "c", "git_commit": "a", "versions": {"nnp-pretrain-bench": "1"}}
    assert commits.same_code(now | {"git_commit": "docs only"}, now)
    assert not commits.same_code(now | {"code": "d"}, now)
    old = {name: value for name, value in now.items() if name != "code"}
    assert commits.same_code(old, now), "versions that did not note it are told apart by commit and version"
    assert not commits.same_code(old | {"git_commit": "b"}, now)
    assert not commits.same_code(old | {"versions": {"nnp-pretrain-bench": "0"}}, now)
    assert commits.same_code({"git_commit": None, "versions": {}}, {**now, "git_commit": None, "versions": {}})


def test_the_hash_of_the_code_is_that_of_what_makes_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "benchmark" / "cell" / "provenance.py"))

    def hashed(name, content):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
        provenance.code_hash.cache_clear()
        return provenance.code_hash()

    first = hashed("benchmark/a.py", "1")
    assert hashed("docs/a.md", "1") == hashed("reports/tables/a.py", "1") == hashed("tests/a.py", "1") == first
    hashes = {first, hashed("benchmark/a.py", "2"), hashed("tasks/a.py", "1"), hashed("reports/records/a.py", "1")}
    assert len(hashes) == 4
    monkeypatch.undo()
    provenance.code_hash.cache_clear()
