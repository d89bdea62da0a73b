"""Runs that add seeds: how many, to which arms, when they stop, and that they go on where they were."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from benchmark.cli.options import parse_duration, parse_percent
from benchmark.errors import BenchmarkError
from benchmark.planning.reading import load_suite
from benchmark.run.execute import prepare
from benchmark.run.length import growth
from benchmark.run.length.growth import describe_widths
from reports.analysis.stopping import FEWEST_SEEDS
from reports.records.folder import RunFolder
from tests.benchmark.own_suite import arms, entry
from tests.benchmark.runs import contents, inside

PRIMARY = {"dataset": "a", "model": "egnn", "strategy": "longer", "baselines": ["scratch"]}
OTHER = {**PRIMARY, "dataset": "b"}


def grown(own, tmp_path, *more):
    path = own(primary=[PRIMARY, OTHER], strategies=arms())
    return inside("run", "--suite", path, "--scale", "tiny", "--out", tmp_path / "run", "--data-dir", tmp_path,
                   "--jobs", 2, *more)  # fmt: skip


def seeds_of(tmp_path):
    cells = json.loads((tmp_path / "run" / "plan.json").read_text())["cells"]
    return {
        (dataset, strategy): sum((cell["dataset"], cell["strategy"]) == (dataset, strategy) for cell in cells)
        for dataset, strategy in {(cell["dataset"], cell["strategy"]) for cell in cells}
    }


@pytest.mark.slow
def test_seeds_are_added_to_the_primaries_until_their_intervals_are_narrow(own, tmp_path):
    done = grown(own, tmp_path, "--select", "dataset=a", "--seeds", FEWEST_SEEDS - 1, "--until", "900%")
    assert done.returncode == 0, done.stdout + done.stderr
    expected = {("a", "scratch"): 6, ("a", "longer"): 6, ("a", "masked"): 5}
    assert seeds_of(tmp_path) == expected
    assert f"a/egnn/longer: {FEWEST_SEEDS} seeds from now on" in done.stdout
    assert "note: no cells for the primary comparison of longer with scratch (egnn on b)" in done.stdout
    assert "longer against scratch (egnn on a, force_rmse_mev_per_A): 6 seeds, 95 % interval ±" in done.stdout
    before = contents(tmp_path / "run" / "cells")
    (line, other) = describe_widths(tmp_path / "run")
    assert "6 seeds, 95 % interval ±" in line
    assert line.endswith("±900 % is asked for")
    assert "0 seeds, no interval yet" in other
    # The same command again finds all done, and that the added seeds are its own.
    again = grown(own, tmp_path, "--select", "dataset=a", "--seeds", FEWEST_SEEDS - 1, "--until", "900%")
    assert again.returncode == 0, again.stdout + again.stderr
    assert contents(tmp_path / "run" / "cells") == before
    assert seeds_of(tmp_path) == expected


def test_without_a_primary_comparison_there_is_nothing_to_wait_for(own, tmp_path):
    split = {"val": 0.2, "test": 0.2}
    none = load_suite(str(own()), "tiny")
    other = load_suite(
        str(own(primary=[PRIMARY, OTHER], datasets={n: entry(own.files[n], split=split) for n in "ab"})), "tiny"
    )
    for suite, select in ((none, {}), (other, {"strategy": ["scratch", "masked"]})):
        with pytest.raises(BenchmarkError, match="--until needs primary comparisons"):
            prepare(suite, tmp_path, until=10.0, select=select, device="cpu", jobs=1)


def test_a_percentage_and_a_time_are_read_or_refused():
    assert [parse_percent(text) for text in (None, "10%", "7.5", " 3 % ")] == [None, 10, 7.5, 3]
    times = ("8h", "30m", "1h30m", "90s", "1.5h", "1h 5s")
    assert [parse_duration(text) for text in times] == [28800, 1800, 5400, 90, 5400, 3605]
    assert parse_duration(None) is None
    for text in ("", "0%", "-3%", "ten"):
        with pytest.raises(BenchmarkError, match="--until"):
            parse_percent(text)
    for text in ("", "8", "0h", "1d", "m"):
        with pytest.raises(BenchmarkError, match="--budget"):
            parse_duration(text)


def test_a_damaged_plan_is_no_dead_end(smoke, data_dir, tmp_path):
    """The seeds that were added are those of the cells that ended."""
    out = tmp_path / "run"
    shutil.copytree(smoke[0], out, ignore=shutil.ignore_patterns(".run.lock"))
    (out / "plan.json").write_text("{", encoding="utf-8")
    planned = prepare(load_suite("water", "smoke"), data_dir, out=out, seeds=1, until=10.0, device="cpu", jobs=1)
    egnn = {cell.seed for cell in planned.cells if cell.arm.model == "egnn"}
    assert egnn == {cell.seed for cell in RunFolder(smoke[0]).read_plan().cells if cell.arm.model == "egnn"}


@pytest.mark.parametrize(("enough", "pairs", "more"), [(True, 3, True), (False, 3, False), (False, 2, True)])
def test_seeds_that_bring_no_pair_are_not_followed_by_others(smoke, monkeypatch, enough, pairs, more):
    """That an interval had been narrow before, and got no seeds, is no such case: others' seeds may widen it."""
    suite = load_suite("water", "smoke")
    comparison = {"dataset": "tip3p", "model": "egnn", "strategy": "masked", "baseline": "scratch"}
    now = pd.DataFrame([{**comparison, "n": 3, "needed": 9, "enough": False}])
    monkeypatch.setattr(growth, "primary_widths", lambda run, percent: now)
    before = pd.DataFrame([{**comparison, "n": pairs, "needed": 9, "enough": enough}])
    wanted, _ = growth.more_seeds(suite, smoke[0], 10.0, before)
    assert bool(wanted) == more
