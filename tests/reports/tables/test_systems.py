"""Errors by element, quantile, member of a collection and on further test sets."""

import math
import statistics as closed_form

import pandas as pd

from reports.analysis.results import Results
from reports.records.record import write_records
from reports.records.run import read_run
from reports.records.samples import write_elements, write_predictions
from reports.tables.every import report_tables
from reports.tables.systems import member_tables
from reports.text.formatting import plus_minus
from tests.reports.made_up import KNOWN, molecules, results_of


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
        forces |= {"file": None, "file_frame": None, "atom": 0, "axis": "x"}
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


def test_members_of_a_kind_of_its_own_have_a_table(make_run):
    results = molecules(make_run, ["aspirin", "uracil"], (-0.02, 0.0, 0.03))
    (table,) = member_tables(results)
    assert table.caption.startswith("Test errors by molecule, best checkpoint")
    assert [column.full for column in table.columns] == [
        "molecule",
        "force, meV/Å: MAE: scratch",
        "force, meV/Å: MAE: masked",
        "energy, meV per structure: MAE: scratch",
        "energy, meV per structure: MAE: masked",
    ]
    ((model, rows),) = table.groups
    assert model == "EGNN"
    assert [row[0] for row in rows] == ["my aspirin", "my uracil"]
    # The MAE of forces is 0.75 of their RMSE, and masked halves it.
    halves = [0.75 * 20.0 * 0.5 * math.exp(log) for log in (-0.02, 0.0, 0.03)]
    assert rows[0][2].startswith(f"{plus_minus(closed_form.mean(halves), closed_form.stdev(halves))}; −49.8 % (")
    assert member_tables(results_of(make_run, KNOWN, name="alone")) == []


def test_members_that_are_judged_otherwise_have_a_table_of_their_own(make_run):
    ice = {"pool": "crystals", "pooled_over": "crystal", "member": "ice"}
    more = {("ice", "egnn", name): {0: (5.0, 5.0)} for name in ("scratch", "masked")}
    tables = member_tables(molecules(make_run, ["aspirin", "uracil"], more=more, datasets={"ice": ice}))
    assert [(table.name, table.columns[0].title) for table in tables] == [
        ("molecules", "molecule"),
        ("molecules-2", "crystal"),
    ]
    assert tables[1].columns[1].full == "force, meV/Å: RMSE: scratch"
