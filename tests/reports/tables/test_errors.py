"""Test errors: means, changes and published values, and what was lost."""

import statistics as closed_form

import pytest

from reports.tables.errors import anchor_table, main_tables, summary_frame
from reports.tables.table import sort_value
from reports.text.formatting import number, plus_minus, signed
from tests.reports.made_up import KNOWN, SURE, comparisons_by_hand, results_of


def test_the_main_table_has_means_changes_published_values_and_meV_per_atom(make_run):
    (table,) = main_tables(results_of(make_run, KNOWN))
    assert table.name == "main-rmse"
    assert [column.full for column in table.columns] == [
        "arm",
        "seeds",
        "force, meV/Å: RMSE",
        "force, meV/Å: RMSE vs scratch, %",
        "force, meV/Å: RMSE vs scratch-extended, %",
        "force, meV/Å: published (unit inferred)",
        "energy, meV per cell: RMSE",
        "energy, meV per cell: RMSE vs scratch, %",
        "energy, meV per cell: RMSE vs scratch-extended, %",
        "energy, meV per cell: published (unit inferred)",
        "energy, meV/atom: RMSE",
    ]
    ((heading, rows),) = table.groups
    assert heading == "EGNN on TIP3P water, flexible"
    arms = {row[0]: row for row in rows}
    for i, first, per in ((0, 2, 1), (1, 6, 1), (1, 10, 48)):
        for name, outcomes in KNOWN.items():
            values = [pair[i] / per for pair in outcomes.values()]
            mean, sd = closed_form.mean(values), closed_form.stdev(values)
            assert arms[name][first] == plus_minus(mean, sd)
            assert sort_value(arms[name][first]) == pytest.approx(mean)
    change, low, high, *_ = comparisons_by_hand()["masked", 0]
    assert arms["masked"][3] == f"{signed(change)} ({signed(low)} to {signed(high)})"
    assert arms["masked"][4] == "–"
    assert (arms["masked"][5], arms["masked"][9]) == ("39.3 ± 2.0 (ratio 0.9)", "241.9 ± 27.3 (ratio 0.9)")
    assert (arms["scratch"][5], arms["denoised"][9]) == ("61.5 ± 4.0", "2442.75")
    assert any("inferred" in note for note in table.notes)
    assert not any("§" in note for note in table.notes)


def test_published_values_for_other_data_are_marked(make_run):
    (table,) = main_tables(results_of(make_run, KNOWN, datasets={"tip3p": {"options": {"molecules": 16}}}))
    assert table.groups[0][1][1][5] == "39.3 ± 2.0 § (ratio 0.9)"
    assert any(note.startswith("§ published for other data") for note in table.notes)


def test_without_published_values_there_is_no_column(make_run):
    (table,) = main_tables(results_of(make_run, KNOWN, datasets={"tip3p": {"kind": "my-own"}}))
    assert not any("published" in column.title for column in table.columns)


def test_a_published_value_stands_beside_the_arm_of_its_ratio(make_run):
    ratios = {f"masked-{ratio}": {"pretext": "masking", "options": {"ratio": ratio}} for ratio in (0.25, 0.9)}
    results = results_of(make_run, dict.fromkeys(ratios, KNOWN["masked"]), strategies=ratios)
    ((_, rows),) = main_tables(results)[0].groups
    published = [column.title for column in main_tables(results)[0].columns].index("published (unit inferred)")
    assert [row[published] for row in rows] == ["–", "39.3 ± 2.0 (ratio 0.9)"]


def test_data_judged_by_mae_stand_beside_data_judged_by_rmse(make_run):
    aspirin = {"kind": "rmd17", "options": {"molecule": "aspirin"}, "judged_by": "mae", "member": "aspirin"}
    outcomes = {(name, "egnn", arm): seeds for name in ("aspirin", "tip3p") for arm, seeds in KNOWN.items()}
    results = results_of(make_run, outcomes, datasets={"aspirin": aspirin})
    mae, rmse = main_tables(results)
    assert (mae.name, rmse.name) == ("main-mae", "main-rmse")
    masked = next(row for row in mae.groups[0][1] if row[0] == "masked")
    assert masked[2].startswith(number(closed_form.mean(0.75 * pair[0] for pair in KNOWN["masked"].values())))
    assert masked[5] == "29.5 § (ratio 0.5)"  # the paper's frames are others than those of the official splits
    ((_, rows),) = anchor_table(results).groups
    assert [row[0] for row in rows] == ["MACE", "NequIP", "TensorNet", "PaiNN"]
    assert rows[0][2:4] == ["6.6 meV/Å (MAE)", "2.2 meV/cell (MAE)"]


def test_lost_cells_are_counted_beside_the_mean(make_run):
    outcomes = KNOWN | {"masked": {0: (50.0, 100.0), 1: ("diverged", "nan"), 2: ("failed", "disk")}}
    (table,) = main_tables(results_of(make_run, outcomes))
    masked = next(row for row in table.groups[0][1] if row[0] == "masked")
    assert masked[1:3] == ["1 of 3; 1 diverged; 1 failed", "50.0"]
    assert masked[3] == "−50.0‡"


def test_a_difference_that_can_be_told_is_starred(make_run):
    (table,) = main_tables(results_of(make_run, SURE))
    force, energy = table.groups[0][1][1][3], table.groups[0][1][1][7]
    assert "*" in force
    assert any("the comparisons under Statistics" in note and "are not tested" in note for note in table.notes)
    assert "*" not in energy


def test_summary_for_the_terminal_has_intervals(make_run):
    table = summary_frame(results_of(make_run, KNOWN))
    masked = table[table["arm"] == "masked"].iloc[0]
    change, low, high, *_ = comparisons_by_hand()["masked", 0]
    assert masked["force vs scratch"] == f"{signed(change)} % ({signed(low)} to {signed(high)})"
    assert {type(value) for value in masked} == {str}
