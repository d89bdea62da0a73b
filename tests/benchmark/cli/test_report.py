"""The verbs `report` and `archive`."""

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


def test_an_archive_is_made_and_not_overwritten(smoke, tmp_path, refuse):
    done = inside("archive", smoke[0], "--to", tmp_path / "smoke.tar.xz")
    assert done.returncode == 0, done.stderr
    assert "4 finished cells of 4)" in done.stdout
    assert (tmp_path / "smoke.tar.xz").stat().st_size < 1_000_000
    refuse("archive", smoke[0], "--to", tmp_path / "smoke.tar.xz", fragments=["exists, and is left as it is"])
    refuse("archive", tmp_path, "--to", tmp_path / "new.tar.xz", fragments=["holds no run (no plan.json)"])
