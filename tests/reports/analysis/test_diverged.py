"""Cells whose forces ran away although every number is finite: diverged, in whatever is made of the run."""

import pandas as pd
import pytest

from reports.analysis.diverged import FAR, with_diverged
from reports.analysis.results import Results
from reports.analysis.stopping import primary_widths
from reports.records.plan import Arm
from reports.records.record import write_records
from reports.records.run import read_run
from reports.tables.every import report_tables
from reports.text.cautions import cautions
from tests.reports.made_up import REFERENCES, SURE, primary, seeds

NULL = REFERENCES["null"][0]


@pytest.fixture
def folder(make_run, record, key_of):
    """Three arms of three seeds; `write(force)` sets the errors of seed 2 of masked on all frames."""
    outcomes = SURE | {"denoised": seeds(80, 89, 95)}
    plan = {"references": REFERENCES, "primary": [primary(), primary("denoised")]}
    made = make_run(outcomes, **plan)

    def write(validation, test):
        errors = {"val": validation, "test": test}
        rows = [
            record("masked", 2, split=split, checkpoint=checkpoint, force_rmse_mev_per_A=force)
            for checkpoint in ("best", "last")
            for split, force in errors.items()
        ]
        write_records(rows, made / "cells" / key_of("masked", 2) / "record.parquet")
        return read_run(made)

    return write


def test_a_cell_far_above_the_null_is_one_row_that_says_why(folder, key_of):
    run = folder(4e13, 3e13)
    found = with_diverged(run)
    (state,) = [state for state in found.states if state.state == "diverged"]
    assert state.cell.key == key_of("masked", 2)
    assert state.note == "its validation force error is 5e+10 times that of no force at all"
    (row,) = found.records[found.records["status"] == "diverged"].to_dict("records")
    assert all(pd.isna(row[name]) for name in ("split", "checkpoint", "force_rmse_mev_per_A", "energy_mae_mev"))
    assert row["finetune_seconds"] > 0
    others = run.records[run.records["cell_key"] != state.cell.key]
    pd.testing.assert_frame_equal(found.records.iloc[: len(others)], others.reset_index(drop=True))


@pytest.mark.parametrize(("times", "gone"), [(1.1, False), (FAR - 0.01, False), (FAR + 0.01, True)])
def test_validation_frames_decide_and_having_learned_nothing_is_not_divergence(folder, times, gone):
    assert with_diverged(folder(times * NULL, 1.0)).count("diverged") == gone
    assert with_diverged(folder(100.0, 100 * NULL)).count("diverged") == 0


def test_without_the_nulls_error_nothing_is_taken_away(make_run):
    run = read_run(make_run(SURE | {"masked": seeds(50, 55, 4e13)}))
    assert with_diverged(run) is run


def test_one_such_cell_does_not_widen_the_intervals_of_other_arms(folder):
    """With it among the errors nothing could be told of any arm; it counts as lost, and verdicts are made again."""
    run = folder(4e13, 4e13)
    results = Results(run)
    arm = Arm("tip3p", "egnn", "masked")
    assert results.states(arm) == {"ok": 2, "diverged": 1}
    assert results.mean(arm, "force_rmse_mev_per_A").n == 2
    other = results.change(Arm("tip3p", "egnn", "denoised"), "scratch", "force_rmse_mev_per_A")
    assert -25 < other.low < other.high < -10
    lost = results.with_losses(results.primaries[0])
    assert (lost.n, lost.verdict) == (3, "")
    assert any("1 cell diverged or failed" in note for note in cautions(results))
    ((_, rows),) = report_tables(results)["unfinished"].groups
    assert "5e+10 times that of no force at all" in " ".join(rows[0])
    assert primary_widths(run, 20.0)["half_width"].max() < 20
