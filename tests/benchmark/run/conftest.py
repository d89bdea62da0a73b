"""Whole runs in this process: workers would cost seconds each to start."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from benchmark.planning.reading import read_suite
from tests.benchmark.own_suite import arms, entry, suite_writer
from tests.benchmark.runs import run_here


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of one tiny network on ten frames, from scratch and pretrained, and the function that ran it."""
    place = tmp_path_factory.mktemp("made")
    write = suite_writer(place)
    suite = write(
        datasets={"b": entry(write.files["b"], split={"val": 0.2, "test": 0.2})},
        strategies={name: arm for name, arm in arms().items() if name != "longer"},
        baselines=["scratch"],
    )

    def run(out, suite=suite, **options):
        """Run into a folder; returns what was printed."""
        return run_here(read_suite(str(suite), "tiny"), place, out, **options)

    run(place / "run")
    return SimpleNamespace(folder=place / "run", run=run, suite=suite, write=write)


@pytest.fixture
def copy(made, tmp_path):
    """A copy of the finished run."""
    shutil.copytree(made.folder, tmp_path / "run", ignore=shutil.ignore_patterns(".run.lock"))
    return tmp_path / "run"
