"""The verb `report`."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from tests.benchmark.runs import inside


def test_several_runs_make_one_report_and_two_are_compared(smoke, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(smoke[0], copy)
    done = inside("report", smoke[0], copy, "--out", tmp_path / "both")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "both" / "index.html").is_file()
    assert len(pd.read_parquet(tmp_path / "both" / "records.parquet")) == 4 * 6
    done = inside("report", "--compare", smoke[0], copy)
    assert done.returncode == 0, done.stderr
    assert (copy / "comparison" / "index.html").is_file()


@pytest.mark.parametrize("arguments", [(), ("a", "--compare", "a", "b")])
def test_a_report_is_of_runs_or_a_comparison(refuse, arguments):
    refuse("report", *arguments, fragments=["report takes run folders, or --compare"])
