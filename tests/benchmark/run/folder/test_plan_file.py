"""The plan of a run folder."""

from __future__ import annotations

import pytest

from reports.records.run import read_run
from tests.benchmark.runs import inside

pytestmark = pytest.mark.slow


def test_another_selection_of_a_pool_needs_another_folder(own, tmp_path, refuse):
    path = own()
    common = ("run", "--suite", path, "--scale", "tiny", "--out", tmp_path / "run", "--data-dir", tmp_path)
    done = inside(*common, "--select", "dataset=a,strategy=masked", "--jobs", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    refuse(*common, "--select", "strategy=masked", fragments=["another cell a/egnn/masked/seed 0", "--out"])
    assert len(list((tmp_path / "run" / "cells").iterdir())) == 1
    assert len(read_run(tmp_path / "run").plan.cells) == 1
