"""What provenance says of the source tree, in a real repository."""

from __future__ import annotations

import subprocess

import pytest

from benchmark.cell import provenance


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one committed file where the package's source would be."""

    def git(*arguments):
        name = ("-c", "user.name=t", "-c", "user.email=t@t")
        subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "benchmark" / "cell").mkdir(parents=True)
    source = tmp_path / "benchmark" / "cell" / "provenance.py"
    source.write_text("a", encoding="utf-8")
    monkeypatch.setattr(provenance, "__file__", str(source))
    monkeypatch.delenv(provenance.COMMIT_VARIABLE, raising=False)
    assert provenance.git_commit() is None, "no repository yet"
    monkeypatch.setenv(provenance.COMMIT_VARIABLE, "0123456789ab")
    assert provenance.git_commit() == "0123456789ab", "as an image says"
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    return source


def test_commit_tells_a_clean_tree_from_changed_ones(repository):
    clean = provenance.git_commit()
    assert clean is not None
    assert len(clean) == 12
    names = {clean}
    for content in ("b", "c"):
        repository.write_text(content, encoding="utf-8")
        changed = provenance.git_commit()
        assert changed.startswith(f"{clean}-dirty-")
        names.add(changed)
    assert len(names) == 3
    repository.write_text("a", encoding="utf-8")
    assert provenance.git_commit() == clean
