"""Changes against baselines: known records give known changes, intervals and verdicts."""

import pytest

from reports.tables.changes import (
    change_table,
    comparison_table,
    loss_table,
    pooled_table,
    primary_table,
    seeds_table,
)
from reports.tables.errors import main_tables
from reports.text.formatting import p_value, signed
from tests.reports.made_up import KNOWN, REFERENCES, SURE, blocked_by_hand, molecules, primary, results_of, seeds

ENERGY = "energy_rmse_mev"


def rows_of(table):
    return [row for _, rows in table.groups for row in rows]


def test_known_records_give_known_changes_and_intervals(make_run):
    results = results_of(make_run, KNOWN)
    rows, by_hand = rows_of(comparison_table(results)), blocked_by_hand()
    assert len(rows) == len(by_hand) == 4
    for (arm, quantity), (change, low, high, _) in by_hand.items():
        name = ("force RMSE", "energy RMSE")[quantity]
        (row,) = (row for row in rows if row[:2] == [f"{arm} vs scratch", name])
        if row[7] == "of all 3 arms":
            assert row[2:5] == ["3", signed(change), f"{signed(low)} to {signed(high)}"]
        assert row[3].value == pytest.approx(change)
    assert {row[7] for row in rows} & {"of all 3 arms"}
    assert primary_table(results).empty


def test_primary_comparisons_have_corrected_p_and_a_verdict(make_run):
    results = results_of(make_run, SURE, primary=[primary(), primary(metric=ENERGY)])
    force, energy = rows_of(primary_table(results))
    change = results.changes[results.primaries[0]]
    assert force[:2] == ["masked vs scratch", "force RMSE"]
    assert force[5:7] == [p_value(change.p), p_value(2 * change.p)]
    assert force[9] == "lower"
    # The energies do not change at all: without spread any change would have been seen.
    assert energy[9] == "no difference can be told (any change would have been seen)"
    assert "Holm's correction is over all 2" in primary_table(results).caption
    assert comparison_table(results).empty


def test_a_declared_spread_of_the_two_arms_is_said_and_not_marked(make_run):
    noisy = {
        "scratch": seeds(100, 101, 99, 100, 102, 98),
        "scratch-extended": seeds(95, 96, 94, 95, 97, 93),
        "masked": seeds(90, 91, 90, 88, 92, 89),
        "denoised": seeds(50, 200, 80, 300, 60, 150),
    }
    tables = [
        [primary_table(results), comparison_table(results), *main_tables(results)]
        for results in (
            results_of(make_run, noisy, name=rule, primary=[primary("denoised")], spread=rule)
            for rule in ("pooled", "own")
        )
    ]
    (pooled, *_), (own, *_) = tables
    assert rows_of(pooled)[0][8] == "of these two arms, which scatter more"
    assert rows_of(own)[0][8] == "of the two arms, as declared"
    assert any("ᵖ" in cell for row in rows_of(tables[0][2]) for cell in row)
    for table in tables[1]:
        text = str(table)
        assert "ᵖ" not in text
        assert "one model for all arms" not in text
        assert "paired t-test of the two arms" in text


def test_no_difference_is_never_said_without_what_could_not_be_seen(make_run):
    results = results_of(make_run, KNOWN, primary=[primary(), primary("denoised")])
    for row in rows_of(primary_table(results)):
        if row[9] != "lower":
            assert row[9].startswith("no difference can be told (a change between −")
            assert row[9].endswith("could not have been seen)")


def test_what_was_not_tested_is_one_line(make_run):
    one = {name: {0: cells[0]} for name, cells in KNOWN.items()}
    table = comparison_table(results_of(make_run, one))
    assert table.empty
    assert table.absent == "4 comparisons with one common seed are left out: an anecdote."
    assert change_table(results_of(make_run, one, name="again")).empty


def test_intervals_that_say_nothing_are_not_printed(make_run):
    wild = {"scratch": {0: (100.0, 1.0), 1: (100.0, 1.0)}, "masked": {0: (20.0, 1.0), 1: (600.0, 1.0)}}
    force, _ = rows_of(comparison_table(results_of(make_run, wild)))
    assert force[4] == "not determined"
    assert force[6] == "hardly any"


def test_a_verdict_is_shown_with_stuck_cells_counted(make_run):
    outcomes = {name: cells | {3: (130.0, 100.0)} for name, cells in SURE.items()}
    outcomes["masked"][3] = ("diverged", "nan")
    results = results_of(make_run, outcomes, primary=[primary()], references={"null": (800.0, 300.0)})
    ((row,),) = (rows for _, rows in loss_table(results).groups)
    assert row[2] == "1"
    assert row[3].startswith("−50.0*")
    assert row[5] == "changes from lower to none"
    counted = results.with_losses(results.primaries[0])
    assert counted.n == 4
    assert loss_table(results_of(make_run, SURE, name="none", references=REFERENCES)).empty


def test_seeds_needed_are_by_error_and_spread(make_run):
    rows = rows_of(seeds_table(results_of(make_run, KNOWN, primary=[primary()])))
    assert rows[0][0] == "force errors"
    for row in rows:
        counts = [cell.value for cell in row[3:]]
        assert counts == sorted(counts, reverse=True)


def test_members_of_a_collection_are_averaged(make_run):
    results = molecules(make_run, ["aspirin", "ethanol", "uracil"], (-0.02, 0.0, 0.03))
    table = pooled_table(results)
    assert table.caption.startswith("Changes averaged over molecules")
    force = table.groups[0][1][0]
    assert force[:4] == ["masked vs scratch", "force MAE", "3 of 3", "3"]
    assert force[-1] == "exploratory"


def test_an_average_is_of_the_same_family_as_its_members(make_run):
    declared = [
        primary(dataset=None, metric="force_mae_mev_per_A"),
        primary(dataset="aspirin", metric="force_mae_mev_per_A"),
    ]
    results = molecules(make_run, ["aspirin", "ethanol"], (-0.02, 0.0, 0.03), primary=declared)
    found = [results.changes[place] for place in results.primaries]
    assert [change.family for change in found] == [2, 2]
    assert found[0].p_holm == pytest.approx(max(2 * min(c.p for c in found), max(c.p for c in found)), rel=1e-3)


def test_members_of_one_seed_each_are_not_tested(make_run):
    table = pooled_table(molecules(make_run, ["aspirin", "ethanol", "uracil"]))
    assert table.empty
    assert "2 comparisons with one common seed are left out" in table.absent
