"""Tables: known records give known means, intervals and corrected p-values, and what is missing is said."""

import math
import statistics as closed_form

import pandas as pd
import pytest

from reports.analysis.results import Results
from reports.records.record import write_curves, write_records
from reports.records.run import read_run
from reports.records.samples import write_elements, write_predictions
from reports.tables.errors import main_tables, summary_frame
from reports.tables.every import report_tables
from reports.tables.provenance import audit_table
from reports.tables.speed import cost_table, speedup_table
from reports.tables.table import Number, sort_value
from reports.text.formatting import number, p_value, plus_minus, signed

CONFIG = {
    "datasets": {"tip3p": {"kind": "tip3p", "options": {"molecules": 258}}},
    "models": {"egnn": {"kind": "egnn"}},
    "strategies": {
        "scratch": {"pretext": None},
        "scratch-extended": {"pretext": None, "extended": True},
        "masked": {"pretext": {"kind": "masking"}},
        "denoised": {"pretext": {"kind": "denoising"}},
    },
}
BASE = {0: (100.0, 400.0), 1: (110.0, 500.0), 2: (130.0, 450.0)}
LOGS = {"masked": ((-0.5, -0.2), (-0.2, 0.3), (-0.2, -0.4)), "denoised": ((-0.1, -0.3), (-0.1, -0.1), (-0.4, -0.2))}
"""Logarithms of the ratios to `scratch` of (force, energy) by seed."""
KNOWN = {"scratch": BASE} | {
    name: {seed: tuple(base * math.exp(log) for base, log in zip(BASE[seed], logs[seed], strict=True)) for seed in BASE}
    for name, logs in LOGS.items()
}


def results_of(make_run, outcomes, **plan):
    return Results(read_run(make_run(outcomes, **{"config": CONFIG} | plan)))


def expected(logs):
    """(change, low, high, p) of three log ratios: Student's t with two degrees of freedom has a closed form."""
    mean, error = closed_form.mean(logs), closed_form.stdev(logs) / math.sqrt(3)
    factor = 0.95 * math.sqrt(2 / (1 - 0.95**2))
    t = abs(mean) / error
    ends = [100 * (math.exp(x) - 1) for x in (mean, mean - factor * error, mean + factor * error)]
    return (*ends, 1 - t / math.sqrt(2 + t * t))


def comparisons_by_hand():
    """{(arm, quantity): (change, low, high, p, corrected p)} of `KNOWN`."""
    found = {(arm, i): expected([pair[i] for pair in logs]) for arm, logs in LOGS.items() for i in (0, 1)}
    corrected, highest = {}, 0.0
    for rank, (place, numbers) in enumerate(sorted(found.items(), key=lambda item: item[1][3])):
        highest = max(highest, min(1.0, (len(found) - rank) * numbers[3]))
        corrected[place] = highest
    return {place: (*numbers, corrected[place]) for place, numbers in found.items()}


def test_known_records_give_known_changes_intervals_and_holm_values(make_run):
    results = results_of(make_run, KNOWN)
    assert results.family_size == 4
    ((_, rows),) = report_tables(results)["comparisons"].groups
    by_hand = comparisons_by_hand()
    assert len(rows) == len(by_hand)
    for (arm, quantity), (change, low, high, p, corrected) in by_hand.items():
        name = ("force RMSE", "energy RMSE")[quantity]
        (row,) = (row for row in rows if row[:2] == [f"{arm} vs scratch", name])
        assert row[2:5] == ["3", signed(change), f"{signed(low)} to {signed(high)}"]
        assert row[6:8] == [p_value(p), p_value(corrected)]
        assert [cell.value for cell in (row[3], row[6], row[7])] == pytest.approx([change, p, corrected])
        assert row[8] == "no difference can be told"
        log = sorted(pair[quantity] for pair in LOGS[arm])
        assert row[5] == " to ".join(signed(100 * (math.exp(x) - 1)) for x in (log[0], log[-1]))


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
    config = CONFIG | {"datasets": {"tip3p": {"kind": "tip3p", "options": {"molecules": 16}}}}
    (table,) = main_tables(results_of(make_run, KNOWN, config=config))
    assert table.groups[0][1][1][5] == "39.3 ± 2.0 § (ratio 0.9)"
    assert any(note.startswith("§ published for other data") for note in table.notes)


def test_without_published_values_there_is_no_column(make_run):
    (table,) = main_tables(results_of(make_run, KNOWN, config={}))
    assert not any("published" in column.title for column in table.columns)


def test_rmd17_is_judged_by_mae_beside_water_by_rmse(make_run):
    datasets = {"aspirin": {"kind": "rmd17", "options": {"molecule": "aspirin"}}, **CONFIG["datasets"]}
    outcomes = {(name, "egnn", arm): seeds for name in datasets for arm, seeds in KNOWN.items()}
    results = results_of(make_run, outcomes, config=CONFIG | {"datasets": datasets})
    mae, rmse = main_tables(results)
    assert (mae.name, rmse.name) == ("main-mae", "main-rmse")
    masked = next(row for row in mae.groups[0][1] if row[0] == "masked")
    assert masked[2].startswith(number(closed_form.mean(0.75 * pair[0] for pair in KNOWN["masked"].values())))
    assert masked[5] == "29.5 § (ratio 0.5)"  # the paper's frames are others than those of the official splits
    tables = report_tables(results)
    methods = [row[0] for _, rows in tables["anchors"].groups for row in rows]
    assert methods == ["MACE", "NequIP", "TensorNet", "PaiNN"]
    assert tables["anchors"].groups[0][1][0][2:4] == ["6.6 meV/Å (MAE)", "2.2 meV/cell (MAE)"]
    ((_, lines),) = tables["molecules"].groups
    assert [line[0] for line in lines] == ["aspirin"]


def test_lost_cells_are_counted_beside_the_mean(make_run):
    outcomes = KNOWN | {"masked": {0: (50.0, 100.0), 1: ("diverged", "nan"), 2: ("failed", "disk")}}
    (table,) = main_tables(results_of(make_run, outcomes))
    masked = next(row for row in table.groups[0][1] if row[0] == "masked")
    assert masked[1:3] == ["1 of 3; 1 diverged; 1 failed", "50.0"]
    assert masked[3] == "−50.0‡"


def test_a_difference_that_can_be_told_is_starred(make_run):
    outcomes = {
        "scratch": {s: (100.0 + s, 100.0) for s in range(4)},
        "masked": {s: (50.0 + s, 99.0 + s) for s in range(4)},
    }
    results = results_of(make_run, outcomes)
    (table,) = main_tables(results)
    force, energy = table.groups[0][1][1][3], table.groups[0][1][1][7]
    assert "*" in force
    assert any("the comparisons under Statistics" in note and "are not tested" in note for note in table.notes)
    assert "*" not in energy
    verdicts = [row[8] for row in report_tables(results)["comparisons"].groups[0][1]]
    assert verdicts == ["lower", "no difference can be told"]


def test_speedups_and_seeds_that_never_got_there(make_run, curve, key_of):
    folder = make_run({"scratch": {0: (1.0, 1.0), 1: (1.0, 1.0)}, "masked": {0: (1.0, 1.0), 1: (1.0, 1.0)}})
    for strategy, seed, values in (
        ("scratch", 0, [40.0, 30.0, 20.0, 10.0]),
        ("scratch", 1, [40.0, 30.0, 20.0, 10.0]),
        ("masked", 0, [9.0, 9.0, 9.0, 9.0]),
        ("masked", 1, [11.0, 11.0, 11.0, 11.0]),
    ):
        write_curves(curve(strategy, seed, values), folder / "cells" / key_of(strategy, seed) / "curves.parquet")
    results = Results(read_run(folder))
    ((_, (scratch, masked)),) = speedup_table(results).groups
    assert scratch[2:4] == ["2 of 2", "1.00× (1.00)"]
    # At epoch 1 of finetuning after 2 of pretraining, where scratch took 4; seed 1 never.
    assert masked[2:5] == ["1 of 2", "4.00×† (4.00)", "1.33×† (1.33)"]
    for seed in (0, 1):
        write_curves(curve("masked", seed, [99.0] * 4), folder / "cells" / key_of("masked", seed) / "curves.parquet")
    ((_, (_, masked)),) = speedup_table(Results(read_run(folder))).groups
    assert masked[2:] == ["0 of 2", *["not reached"] * 6]


def test_costs_have_throughput_and_share(make_run):
    table = cost_table(results_of(make_run, KNOWN))
    assert "the whole divided by their number" in table.notes[0]
    ((_, rows),) = table.groups
    masked = next(row for row in rows if row[0] == "masked")
    # 2 epochs of 3.25 s before 4 of 4.5 s over 100 frames.
    assert masked[2:7] == ["6.5", "18.0", "24.5", "27", "22.2"]
    config = CONFIG | {"datasets": {"tip3p": {"kind": "tip3p", "options": {}, "labelled": 0.5}}}
    ((_, rows),) = cost_table(results_of(make_run, KNOWN, name="half", config=config)).groups
    # Half labelled: an epoch goes over as many frames as the whole has, 200.
    assert rows[0][6] == number(200 * 4 / 18, 1)


def test_details_by_element_and_quantile(make_run, key_of):
    folder = make_run(KNOWN)
    tables = report_tables(Results(read_run(folder)))
    for name in ("elements", "quantiles"):
        assert tables[name].empty
        assert tables[name].absent.startswith("Not recorded")
    for seed in range(3):
        key = key_of("masked", seed)
        columns = {"cell_key": key, "split": "test", "checkpoint": "best", "extra": None, "n_atoms": 10}
        errors = {"force_rmse_mev_per_A": [10.0 + seed, 30.0], "force_mae_mev_per_A": [5.0, 7.0]}
        frame = pd.DataFrame({**columns, "element": [1, 8], **errors})
        write_elements(frame, folder / "cells" / key / "elements.parquet")
        forces = {"cell_key": key, "quantity": "force", "frame": 0, "element": 8, "reference": 0.0}
        sample = pd.DataFrame({**forces, "predicted": [float(seed + i) for i in range(11)]})
        write_predictions(sample, folder / "cells" / key / "predictions.parquet")
    tables = report_tables(Results(read_run(folder)))
    ((_, (row,)),) = tables["elements"].groups
    assert [column.full for column in tables["elements"].columns[1:3]] == [
        "force RMSE, meV/Å: H",
        "force RMSE, meV/Å: O",
    ]
    assert row == ["masked", "11.0 ± 1.0", "30.0 ± 0.0", "5.00 ± 0.00", "7.00 ± 0.00"]
    ((_, (row,)),) = tables["quantiles"].groups
    assert row[:2] == ["masked", "–"]
    assert row[6:8] == ["11", "6.00 ± 1.00"]  # medians 5, 6 and 7


def test_further_test_sets_stand_apart(make_run, record, key_of):
    folder = make_run(KNOWN)
    for seed, force in enumerate((10.0, 20.0)):
        rows = [record("masked", seed), record("masked", seed, split="extra", extra="ice", force_rmse_mev_per_A=force)]
        write_records(rows, folder / "cells" / key_of("masked", seed) / "record.parquet")
    tables = report_tables(Results(read_run(folder)))
    ((_, (row,)),) = tables["further"].groups
    assert row[:3] == ["masked on ice", "2 of 3", plus_minus(15.0, closed_form.stdev([10.0, 20.0]))]
    assert "further" not in report_tables(results_of(make_run, KNOWN, name="without"))


def test_the_audit_is_shown_or_said_to_be_missing(make_run, record, key_of):
    folder = make_run(KNOWN)
    ((_, (row,)),) = audit_table(Results(read_run(folder))).groups
    assert row[1:] == ["0 of 9", *["not recorded"] * 4]
    audit = {"audit_seen_frames": 200, "audit_checked_frames": 50, "audit_duplicates": 0, "audit_nearest_frames": 7}
    for seed in range(3):
        path = folder / "cells" / key_of("masked", seed) / "record.parquet"
        write_records([record("masked", seed, **audit)], path)
    ((_, (row,)),) = audit_table(Results(read_run(folder))).groups
    assert row[1:] == ["3 of 9", "200", "50", "0", "7"]


def test_summary_for_the_terminal_has_intervals(make_run):
    table = summary_frame(results_of(make_run, KNOWN))
    masked = table[table["arm"] == "masked"].iloc[0]
    change, low, high, *_ = comparisons_by_hand()["masked", 0]
    assert masked["force vs scratch"] == f"{signed(change)} % ({signed(low)} to {signed(high)})"
    assert {type(value) for value in masked} == {str}


def test_every_table_of_any_run_has_a_name_and_rows_as_wide_as_its_header(make_run):
    for at, outcomes in enumerate(
        ({}, KNOWN, {"scratch": {0: None}}, {"masked": {0: (0.0, 0.0)}, "scratch": {0: ("failed", "why")}})
    ):
        for name, table in report_tables(results_of(make_run, outcomes, name=f"run-{at}")).items():
            assert table.name == name
            assert table.caption.endswith((".", "?"))
            assert all(len(row) == len(table.columns) for _, rows in table.groups for row in rows)
            assert not any("nan" in cell for _, rows in table.groups for row in rows for cell in row)


def test_a_number_keeps_its_value_and_is_text():
    cell = Number("1.2", 1.2345)
    assert cell == "1.2"
    assert sort_value(cell) == 1.2345
    assert sort_value("1.2") is None
    assert sort_value(Number("–", float("nan"))) is None
