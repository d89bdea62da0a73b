"""Two runs side by side: changes paired by seed, and every setting in which they differ."""

import math

from reports.records.record import write_records
from reports.records.run import read_run
from reports.tables.comparison import compare
from reports.text.formatting import signed

A = {"scratch": {0: (100.0, 400.0), 1: (110.0, 500.0)}, "masked": {0: (50.0, 100.0)}}
B = {"scratch": {0: (50.0, 400.0), 1: (88.0, 500.0)}, "denoised": {0: (70.0, 300.0)}}


def runs(make_run, b=B, **plan):
    return read_run(make_run(A, name="first")), read_run(make_run(b, name="second", **plan))


def test_common_seeds_are_compared(make_run):
    errors = compare(*runs(make_run)).tables[0]
    ((_, rows),) = errors.groups
    found = {(row[0], row[1]): row for row in rows}
    assert len(found) == 6  # three arms, force and energy
    row = found["scratch", "force RMSE"]
    # Ratios 1/2 and 4/5, one degree of freedom: as in the tests of the statistics.
    m, error, t = math.log(0.4) / 2, math.log(1.6) / 2, math.tan(math.pi * 0.475)
    assert 100 * (math.exp(m + t * error) - 1) > 300  # so wide that it is not printed
    assert row[2:4] == ["105.0 ± 7.1 (2 seeds)", "69.0 ± 26.9 (2 seeds)"]
    assert row[4:7] == ["2", signed(100 * (math.sqrt(0.4) - 1)), "not determined"]
    assert row[7] == "hardly any"
    assert found["masked", "force RMSE"][3] == "–"
    assert found["denoised", "force RMSE"][2] == "–"


def test_seeds_with_other_splits_are_not_paired(make_run, record, key_of):
    a, b = runs(make_run)
    path = b.folder / "cells" / key_of("scratch", 1) / "record.parquet"
    write_records([record("scratch", 1, split_hash="another", force_rmse_mev_per_A=88.0)], path)
    rows = compare(a, read_run(b.folder)).tables[0].groups[0][1]
    row = next(row for row in rows if row[:2] == ["scratch", "force RMSE"])
    assert row[4:6] == ["1", signed(-50.0)]
    assert row[7] == "one seed: an anecdote"


def test_what_differs_is_listed(make_run):
    comparison = compare(*runs(make_run, scale="standard", config={"optimizer": {"lr": 0.001}}))
    rows = {row[0]: row[1:] for _, rows in comparison.tables[1].groups for row in rows}
    assert rows == {"scale": ["quick", "standard"], "config.optimizer.lr": ["0.003", "0.001"]}
    assert comparison.sentences[0] == "A is first, B is second."
    assert "The same seeds are compared in 1 arm" in comparison.sentences[1]
    assert "intervals and no verdicts" in comparison.sentences[1]


def test_a_run_beside_itself_differs_in_nothing(make_run):
    run = read_run(make_run(A))
    comparison = compare(run, run)
    assert comparison.tables[1].empty
    changes = [row[5] for row in comparison.tables[0].groups[0][1]]
    assert set(changes) == {"0.0"}


def test_nothing_in_common_is_said(make_run):
    comparison = compare(*runs(make_run, {"denoised": {0: (1.0, 1.0)}}))
    assert (
        comparison.sentences[1]
        == "No arm has finished with the same seed and split in both, so there is nothing to compare."
    )
