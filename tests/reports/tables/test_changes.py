"""Changes against baselines: known records give known changes, intervals and corrected p-values."""

import math

import pytest

from reports.tables.changes import comparison_table, pooled_table
from reports.text.formatting import p_value, signed
from tests.reports.made_up import KNOWN, LOGS, SURE, comparisons_by_hand, molecules, results_of


def test_known_records_give_known_changes_intervals_and_holm_values(make_run):
    results = results_of(make_run, KNOWN)
    assert results.family_size == 4
    ((_, rows),) = comparison_table(results).groups
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


def test_a_difference_that_can_be_told_has_a_verdict(make_run):
    results = results_of(make_run, SURE)
    verdicts = [row[8] for row in comparison_table(results).groups[0][1]]
    assert verdicts == ["lower", "no difference can be told"]


def test_members_of_a_collection_are_averaged(make_run):
    table = pooled_table(molecules(make_run, ["aspirin", "ethanol", "uracil"], (-0.02, 0.0, 0.03)))
    assert table.caption.startswith("Changes averaged over molecules")
    assert "over 2 rows of this table" in table.caption
    assert [column.title for column in table.columns[2:5]] == ["molecules", "common seeds", "lower in"]
    assert table.groups[0][1][0][:5] == ["masked vs scratch", "force MAE", "3", "3", "3 of 3"]


def test_members_of_one_seed_each_are_not_tested(make_run):
    table = pooled_table(molecules(make_run, ["aspirin", "ethanol", "uracil"]))
    assert "over 0 rows of this table" in table.caption
    assert [row[6:] for row in table.groups[0][1]] == [["–", "–", "–", "one seed each: not tested"]] * 2
