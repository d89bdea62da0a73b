"""The configurations of the guide to clusters."""

from __future__ import annotations

import pytest

from tests.benchmark.runs import ROOT
from tests.own_package import FILE_BLOCK


@pytest.fixture
def guide(tmp_path):
    """Write a configuration of the guide, with lines added to it; returns the path."""
    page = (ROOT / "docs" / "guide" / "clusters.md").read_text(encoding="utf-8")
    files = {block["name"]: block["content"] for block in FILE_BLOCK.finditer(page)}

    def write(name, more=""):
        path = tmp_path / name
        path.write_text(files[name] + more, encoding="utf-8")
        return path

    return write
