"""Run folders of earlier versions are read as if this one had written them."""

from pathlib import Path

import pytest

from reports.analysis.results import Results
from reports.records.atomic import RecordError, write_json
from reports.records.folder import RunFolder
from reports.records.run import read_run
from reports.tables.every import report_tables

STORED = Path(__file__).parents[2] / "data" / "run-schema-1"


def test_a_stored_run_of_schema_1_is_read_with_its_numbers():
    tables = report_tables(Results(read_run(STORED)))
    ((heading, rows),) = tables["main-rmse"].groups
    assert heading == "EGNN on TIP3P water, flexible, 8 molecules, 300 K"
    # Forces against both baselines, the paper's value for another number of molecules, and energies.
    assert rows[2][:6] == ["masked", "1 of 1", "637.4", "−0.3‡", "+1.7‡", "39.3 ± 2.0 § (ratio 0.9)"]
    assert rows[2][6:] == ["11933.6", "−14.7‡", "+70.2‡", "241.9 ± 27.3 § (ratio 0.9)"]
    assert tables["errors"].groups[0][1][2][6] == "497.2"  # meV/atom
    assert tables["frames"].groups[0][1][0][1:] == ["train", "16", "384", "–", "–"]
    assert tables["audit"].groups[0][1][0][1:5] == ["4 of 4", "16 to 32", "16", "0"]
    assert tables["elements"].groups[0][1][2][:3] == ["masked", "555.1", "776.2"]
    assert tables["quantiles"].groups[0][1][2][:4] == ["masked", "8", "494.2", "512.2"]
    assert tables["reach"].groups[0][1][2][:5] == ["masked", "872.5", "1 of 1", "2.0 (2.0)", "4.0 (4.0)"]


def old_plan(**changes):
    """A plan as version 0.1.0 wrote it."""
    cell = {"model": "egnn", "seed": 0, "pretraining_key": None, "pretrain_epochs": 0, "finetune_epochs": 1}
    datasets = {
        "aspirin": {"kind": "rmd17", "options": {"molecule": "aspirin", "frames": "all"}, "label": None},
        "uracil": {"kind": "rmd17", "options": {"molecule": "uracil", "frames": "all"}, "label": "the base"},
        "ethanol": {"kind": "rmd17", "options": {"molecule": "ethanol", "frames": "official"}, "labelled": 0.5},
        "water": {"kind": "rpbe", "options": {}, "labelled": None},
    }
    strategies = {
        "scratch": {"pretext": None, "extended": False},
        "longer": {"pretext": None, "extended": True},
        "masked": {"pretext": {"kind": "masking", "options": {"ratio": 0.5}}},
    }
    plan = {
        "schema": 1,
        "suite": "s",
        "title": "t",
        "scale": "quick",
        "command": "c",
        "baselines": ["scratch"],
        "labels": {"datasets": {"aspirin": "rMD17 aspirin"}, "strategies": {"masked": "masked, 0.5"}},
        "data": {"water": "0123"},
        "sweep": None,
        "config": {"datasets": datasets, "models": {"egnn": {"kind": "egnn"}}, "strategies": strategies},
        "cells": [
            cell | {"key": f"{i:012x}", "dataset": dataset, "strategy": strategy}
            for i, (dataset, strategy) in enumerate((d, s) for d in datasets for s in strategies)
        ],
    }
    return plan | changes


def read(folder, plan):
    write_json(folder / "plan.json", plan)
    return RunFolder(folder).read_plan()


@pytest.mark.parametrize("version", [{}, {"schema": None}], ids=["schema 1", "no schema"])
def test_a_plan_of_schema_1_says_what_its_configuration_said(tmp_path, version):
    content = {name: value for name, value in (old_plan() | version).items() if value is not None}
    plan = read(tmp_path, content)
    assert plan.version == 3
    assert plan.pools == [["aspirin", "uracil"]]  # the frames of ethanol are others
    assert {name: dataset.member for name, dataset in plan.datasets.items()} == {
        "aspirin": "aspirin",
        "uracil": "uracil",
        "ethanol": "ethanol",
        "water": None,
    }
    assert [dataset.judged_by for dataset in plan.datasets.values()] == ["mae", "mae", "mae", "rmse"]
    assert plan.members(["aspirin", "uracil"]) == "molecule"
    assert [dataset.labelled for dataset in plan.datasets.values()] == [1, 1, 0.5, 1]
    assert (plan.datasets["aspirin"].label, plan.datasets["water"].label) == ("rMD17 aspirin", "water")
    assert plan.models["egnn"].kind == "egnn"
    assert [strategy.role for strategy in plan.strategies.values()] == ["masking", "scratch", "extended"]
    assert plan.strategies["masked"].options == {"ratio": 0.5}
    assert plan.data == {"water": "0123"}


def test_a_stand_in_is_known_by_its_name_or_its_provenance(tmp_path):
    assert not read(tmp_path, old_plan()).datasets["water"].stand_in
    labelled = old_plan(labels={"datasets": {"water": "RPBE-D3 water (HDNNP surrogate)"}})
    assert read(tmp_path, labelled).datasets["water"].stand_in
    key = next(cell["key"] for cell in old_plan()["cells"] if cell["dataset"] == "water")
    for structures, stands_in in ((7241, True), (3, True), (0, False)):
        job = RunFolder(tmp_path).cell(key)
        job.path.mkdir(parents=True, exist_ok=True)
        write_json(job.provenance, {"dataset": {"surrogate_structures": structures}})
        datasets = read(tmp_path, old_plan()).datasets
        assert [name for name, dataset in datasets.items() if dataset.stand_in] == ["water"] * stands_in


@pytest.mark.parametrize("config", [{}, {"datasets": []}, {"datasets": {"water": 1}}])
def test_an_old_plan_without_a_configuration_is_read_by_its_names(tmp_path, config):
    plan = read(tmp_path, old_plan(config=config, labels={"datasets": []}))
    assert (plan.datasets["water"].kind, plan.datasets["water"].label) == ("", "water")


@pytest.mark.parametrize("changes", [{"cells": None}, {"cells": {}}, {"cells": ["a"]}, {"cells": [{}]}, {"config": []}])
def test_an_old_plan_that_is_wrong_is_named(tmp_path, changes):
    with pytest.raises(RecordError, match=r"plan\.json is not a plan"):
        read(tmp_path, old_plan(**changes))
