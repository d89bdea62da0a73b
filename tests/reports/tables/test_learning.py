"""Escape from the plateau, and what pretraining hands over, with chosen curves and columns."""

import pytest

from reports.analysis.results import Results
from reports.records.record import write_curves, write_records
from reports.records.run import read_run
from reports.tables.every import report_tables
from reports.tables.learning import escape_table, handover_table, late_table
from reports.text.formatting import MINUS
from tests.reports.made_up import SURE, results_of


def test_shares_and_times_stand_with_their_tests(make_run, curve, key_of):
    folder = make_run(SURE, references={"null": (800.0, 300.0)})
    for strategy, curves in {
        "scratch": ([790.0, 700.0, 600.0, 500.0], [790.0, 700.0, 600.0, 500.0], [790.0, 700.0, 600.0, 300.0]),
        "masked": ([300.0] * 4, [700.0, 300.0, 200.0, 100.0], [300.0] * 4),
    }.items():
        for seed, values in enumerate(curves):
            write_curves(curve(strategy, seed, values), folder / "cells" / key_of(strategy, seed) / "curves.parquet")
    ((_, (scratch, masked)),) = escape_table(Results(read_run(folder))).groups
    assert scratch[:4] == ["scratch¶", "1 of 3", "half are stuck", "half are stuck"]
    assert masked[:4] == ["masked", "3 of 3", "1.0", "3.0"]
    # Fisher: 3 of 3 against 1 of 3; tables as extreme have 2 × C(4, 3) of C(6, 3) ways. Log-rank: 2 of 20 ways.
    assert masked[4].value == pytest.approx(2 * 4 / 20)
    assert masked[5].value == pytest.approx(0.1)
    assert scratch[4:6] == ["–", "–"]


def test_without_the_error_of_no_force_nothing_is_known(make_run):
    results = results_of(make_run, SURE)
    assert escape_table(results).empty
    assert handover_table(results) is None
    assert "handover" not in report_tables(results)


def test_what_is_handed_over_is_shown(make_run, record, key_of):
    columns = {"handover_force_rms": 1.67, "handover_cosine": -0.05, "handover_force_rmse_mev_per_A": 912.0}
    folder = make_run(SURE, columns=columns)
    # By medians: sizes may run away by orders of magnitude.
    path = folder / "cells" / key_of("masked", 2) / "record.parquet"
    write_records([record("masked", 2, **columns | {"handover_force_rms": 4.8e10})], path)
    ((_, rows),) = handover_table(Results(read_run(folder))).groups
    assert rows[1] == ["masked", "3", "1.67 (1.67 to 4.8 × 10¹⁰)", "−0.050 (−0.050)", "912.0 (912.0)"]
    assert rows[1][2].value == pytest.approx(1.67)


def test_training_frames_stand_beside_what_they_are_worth(make_run):
    columns = {"effective_train_frames_energy": 14.2, "effective_train_frames_structure": 22.9}
    rows = [
        row for _, rows in report_tables(results_of(make_run, SURE, columns=columns))["frames"].groups for row in rows
    ]
    assert [row[1:3] + row[4:] for row in rows] == [
        ["train", "100", "14", "23"],
        ["val", "100", "–", "–"],
        ["test", "100", "–", "–"],
    ]


def test_the_last_fifth_of_training_is_held_against_the_end_of_the_rest(make_run, curve, key_of):
    folder = make_run(SURE)
    ends = {"scratch": ((100.0, 90.0), (100.0, 80.0), (100.0, 102.0)), "masked": ((50.0, 50.0),) * 3}
    for strategy, pairs in ends.items():
        for seed, (early, last) in enumerate(pairs):
            # Epochs 8 and 10 of ten count; what lies before and between does not.
            values = [*[999.0] * 7, early, 1.0, last]
            write_curves(curve(strategy, seed, values), folder / "cells" / key_of(strategy, seed) / "curves.parquet")
    ((_, (scratch, masked)),) = late_table(Results(read_run(folder))).groups
    assert scratch == ["scratch", "2 of 3", f"{MINUS}9.3 ({MINUS}20.0 to +2.0)"]
    assert scratch[2].value == pytest.approx((-10 - 20 + 2) / 3)
    assert masked == ["masked", "0 of 3", "0.0 (0.0)"]


def test_training_of_one_epoch_has_no_last_fifth(make_run, curve, key_of):
    folder = make_run(SURE)
    for strategy in SURE:
        for seed in range(3):
            path = folder / "cells" / key_of(strategy, seed) / "curves.parquet"
            write_curves(curve(strategy, seed, [100.0]), path)
    assert late_table(Results(read_run(folder))).empty
