"""What a suite may declare before anything runs, and what is refused."""

from __future__ import annotations

import pytest

from benchmark.errors import BenchmarkError
from benchmark.planning.planner import make_plan
from benchmark.planning.primaries import UNDECLARED, declared, planned_primaries, without_cells

ENTRY = {"dataset": "tip3p", "model": "egnn", "strategy": "masked", "baselines": ["scratch", "scratch-extended"]}


def test_a_comparison_is_of_the_force_error_that_its_dataset_is_judged_by(load_own):
    suite = load_own(primary=[ENTRY, {**ENTRY, "metric": "energy_sd_mev"}])
    assert [entry.metric for entry in planned_primaries(suite)] == ["force_rmse_mev_per_A", "energy_sd_mev"]
    assert "primary" not in load_own(primary=[]).model_dump()


def test_the_spread_that_intervals_rest_on_is_declared_too(load_own):
    assert load_own(spread="own").model_dump()["spread"] == "own"
    # Run folders of before there was a choice have no word on it in their plans, and go on.
    assert "spread" not in load_own(spread="pooled").model_dump()
    with pytest.raises(BenchmarkError, match=r"spread.*'pooled' or 'own'"):
        load_own(spread="paired")


@pytest.mark.parametrize(
    ("primary", "message"),
    [
        ([{**ENTRY, "dataset": "ice"}], "primary.0: there is no dataset 'ice'"),
        ([{**ENTRY, "model": "schnet"}], "primary.0: there is no model 'schnet'"),
        ([{**ENTRY, "strategy": "maskd"}], "primary.0: there is no strategy 'maskd'"),
        ([{**ENTRY, "baselines": ["none"]}], "primary.0: there is no baseline 'none'"),
        ([{**ENTRY, "baselines": ["scratch", "masked"]}], "'masked' is compared with itself"),
        ([ENTRY, {**ENTRY, "baselines": ["scratch"]}], "primary.1: 'masked' against 'scratch' is declared twice"),
        ([{**ENTRY, "baselines": ["scratch"]}], "1 comparisons; declare 2 to 4"),
        ([{**ENTRY, "model": model} for model in ("egnn", "gns", "forcenet")], "6 comparisons; declare 2 to 4"),
        ([{**ENTRY, "baseline": "scratch"}], "unknown key.*baselines"),
        ([{**ENTRY, "metric": "energy_bias_mev"}], "unknown metric of a primary comparison 'energy_bias_mev'"),
        ([ENTRY, {**ENTRY, "metric": "force_rmse_mev_per_A"}], "declared twice, once by leaving out the metric"),
        ([{**ENTRY, "dataset": None}], "has to be exactly one; there are: none"),
    ],
)
def test_what_cannot_be_declared_is_refused(load_own, primary, message):
    with pytest.raises(BenchmarkError, match=message):
        planned_primaries(load_own(primary=primary))


def test_an_average_is_over_the_one_collection(load_own):
    average = {**ENTRY, "dataset": None}
    split = {"train": 8, "val": 4}
    molecules = {
        name: {"kind": "rmd17", "options": {"molecule": name}, "split": split} for name in ("ethanol", "uracil")
    }
    (found,) = planned_primaries(load_own(primary=[average], datasets=molecules))
    assert (found.dataset, found.metric) == (None, "force_mae_mev_per_A")
    shares = {name: {**entry, "labelled": [0.5, 1]} for name, entry in molecules.items()}
    with pytest.raises(BenchmarkError, match="there are: ethanol@50%, uracil@50%; ethanol@100%, uracil@100%"):
        planned_primaries(load_own(primary=[average], datasets=shares))


def test_what_a_run_is_for_is_said_in_a_sentence(load_own):
    assert declared(load_own(primary=[ENTRY])) == (
        "verdicts will be on: masked against scratch and scratch-extended in force_rmse_mev_per_A (egnn on tip3p)"
    )
    assert declared(load_own(primary=[])) == UNDECLARED


def test_what_a_selection_leaves_out_stays_declared_and_is_told(load_own):
    suite = load_own(primary=[ENTRY])
    assert without_cells(suite, make_plan(suite)) == []
    (note,) = without_cells(suite, make_plan(suite, select={"strategy": ["masked", "scratch"]}))
    assert note.startswith("no cells for the primary comparison of masked with scratch-extended (egnn on tip3p)")
    assert len(without_cells(suite, make_plan(suite, select={"model": ["gns"]}))) == 2
