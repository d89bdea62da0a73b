"""Test errors: means, changes and published values, and what was lost."""

import statistics as closed_form

import pytest

from reports.records.plan import Arm
from reports.tables.errors import anchor_table, main_tables, summary_frame
from reports.tables.every import report_tables
from reports.tables.table import sort_value
from reports.text.formatting import number, plus_minus, signed
from tests.reports.made_up import KNOWN, REFERENCES, SURE, blocked_by_hand, primary, results_of


def test_the_main_table_has_means_changes_and_published_values(make_run):
    (table,) = main_tables(results_of(make_run, KNOWN))
    assert table.name == "main-rmse"
    assert [column.full for column in table.columns] == [
        "arm",
        "seeds",
        "force, meV/Å: RMSE",
        "force, meV/Å: RMSE vs scratch, %",
        "force, meV/Å: RMSE vs scratch-extended, %",
        "force, meV/Å: paper",
        "energy, meV per structure: RMSE",
        "energy, meV per structure: RMSE vs scratch, %",
        "energy, meV per structure: RMSE vs scratch-extended, %",
        "energy, meV per structure: paper",
    ]
    ((heading, rows),) = table.groups
    assert heading == "EGNN on TIP3P water, flexible"
    arms = {row[0]: row for row in rows}
    for i, first in ((0, 2), (1, 6)):
        for name, outcomes in KNOWN.items():
            values = [pair[i] for pair in outcomes.values()]
            mean, sd = closed_form.mean(values), closed_form.stdev(values)
            assert arms[name][first] == plus_minus(mean, sd)
            assert sort_value(arms[name][first]) == pytest.approx(mean)
    change, *_ = blocked_by_hand()["masked", 0]
    assert arms["masked"][3].startswith(signed(change))
    assert sort_value(arms["masked"][3]) == pytest.approx(change)
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
    assert not any("paper" in column.title for column in table.columns)


def test_a_published_value_stands_beside_the_arm_of_its_ratio(make_run):
    ratios = {f"masked-{ratio}": {"pretext": "masking", "options": {"ratio": ratio}} for ratio in (0.25, 0.9)}
    results = results_of(make_run, dict.fromkeys(ratios, KNOWN["masked"]), strategies=ratios)
    ((_, rows),) = main_tables(results)[0].groups
    published = [column.title for column in main_tables(results)[0].columns].index("paper")
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
    assert rows[0][2:4] == ["6.6 meV/Å (MAE)", "2.2 meV/structure (MAE)"]


def test_lost_cells_are_counted_beside_the_mean(make_run):
    outcomes = KNOWN | {"masked": {0: (50.0, 100.0), 1: ("diverged", "nan"), 2: ("failed", "disk")}}
    (table,) = main_tables(results_of(make_run, outcomes))
    masked = next(row for row in table.groups[0][1] if row[0] == "masked")
    assert masked[1:3] == ["1 of 3 (1 diverged, 1 failed)", "50.0"]
    assert masked[3].endswith("‡")  # one common seed: no interval


def test_primary_comparisons_are_marked_and_others_are_not(make_run):
    declared = [primary(), primary(metric="energy_rmse_mev")]
    table = report_tables(results_of(make_run, SURE, primary=declared))["main-rmse"]
    masked = table.groups[0][1][1]
    assert masked[3].startswith("−50.0*")
    assert masked[7].startswith("0.0◦")
    assert any("* primary comparison in which a difference can be told" in note for note in table.notes)
    plain = report_tables(results_of(make_run, SURE, name="plain"))["main-rmse"]
    assert not any("*" in cell or "◦" in cell for _, rows in plain.groups for row in rows for cell in row)
    assert any("Changes without * or ◦ are exploratory" in note for note in plain.notes)


def test_references_are_rows_and_arms_that_do_not_beat_them_are_marked(make_run):
    results = results_of(make_run, SURE, references={"null": (800.0, 90.0), "one molecule": (80.0, 90.0)})
    table = report_tables(results)["main-rmse"]
    ((_, rows),) = table.groups
    assert [row[0] for row in rows] == [
        "reference: no force, mean energy",
        "reference: one molecule at a time",
        "scratch",
        "masked",
    ]
    assert [row[2] for row in rows[:2]] == ["800.0 ± 0.0", "80.0 ± 0.0"]
    assert rows[0][3:5] == ["–", "–"]
    assert rows[2][2].endswith("°")  # 110 meV/Å, and each molecule alone has 80
    assert not rows[3][2].endswith("°")
    assert all(row[6].endswith("°") for row in rows[2:])
    assert any("° does not beat the references" in note for note in table.notes)


def test_cells_that_never_left_the_plateau_are_flagged(make_run):
    outcomes = SURE | {"masked": SURE["masked"] | {2: (790.0, 100.0)}}
    tables = report_tables(results_of(make_run, outcomes, references=REFERENCES))
    masked = tables["main-rmse"].groups[0][1][3]
    assert masked[:2] == ["masked¶", "3 of 3 (1 stuck)"]
    for name in ("errors", "errors-last", "comparisons", "changes", "costs", "reach", "speedup", "arms", "escape"):
        heads = [row[0] for _, rows in tables[name].groups for row in rows]
        assert any("masked¶" in head for head in heads), name
        assert any("never left the plateau" in note for note in tables[name].notes), name


def test_energies_are_split_into_constant_and_the_rest(make_run):
    columns = {"energy_sd_mev": 40.0, "energy_bias_mev": -30.0, "molecule_torque_rmse_mev": 7.0}
    tables = report_tables(results_of(make_run, SURE, columns=columns))
    titles = [column.title for column in tables["main-rmse"].columns]
    assert tables["main-rmse"].groups[0][1][1][titles.index("sd (constant)")] == "40.0 ± 0.0 (−30.0 ± 0.0)"
    assert [column.title for column in tables["errors"].columns[-3:]] == ["sd", "constant", "torque RMSE (meV)"]
    assert tables["errors"].groups[0][1][1][-3:] == ["40.0 ± 0.0", "−30.0 ± 0.0", "7.00 ± 0.00"]
    # The constant has a sign and so no ratio; the other two are compared.
    assert [column.title.split(" (")[0] for column in tables["changes"].columns[-2:]] == [
        "energy sd without its constant",
        "RMSE of the torque on molecules",
    ]


def test_summary_for_the_terminal_has_intervals(make_run):
    results = results_of(make_run, KNOWN)
    table = summary_frame(results)
    masked = table[table["arm"] == "masked"].iloc[0]
    change = results.change(Arm("tip3p", "egnn", "masked"), "scratch", "force_rmse_mev_per_A")
    assert masked["force vs scratch"] == f"{signed(change.percent)} % ({signed(change.low)} to {signed(change.high)})"
    assert {type(value) for value in masked} == {str}
    sure = summary_frame(results_of(make_run, SURE, name="sure", primary=[primary()]))
    assert sure[sure["arm"] == "masked"].iloc[0]["force vs scratch"].startswith("−50.0 %* (")
