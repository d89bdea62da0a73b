"""The smoke scale of a shipped suite, changed."""

from __future__ import annotations

from copy import deepcopy

import pytest
import yaml

from benchmark.planning.reading import load_suite
from benchmark.planning.suite_files import read_suite_file


@pytest.fixture(scope="module")
def content():
    return read_suite_file("tip3p")


@pytest.fixture
def load(tmp_path, content):
    """Write a changed suite to a file and load a scale of it."""

    def loader(change=lambda c: None, scale="smoke"):
        changed = deepcopy(content)
        change(changed)
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")
        return load_suite(str(path), scale)

    return loader


@pytest.fixture
def load_own(tmp_path):
    """Load a suite that extends `water`, written as given."""

    def loader(**content):
        texts = {"extends": "water", "name": "own", "title": "Own", "description": "Own", "scales": {"smoke": {}}}
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump({**texts, **content}), encoding="utf-8")
        return load_suite(str(path), "smoke")

    return loader
