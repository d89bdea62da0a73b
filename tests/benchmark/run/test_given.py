"""Arms that start from a body which another run has pretrained: from `export --pretraining` to record and report."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import yaml

from benchmark.cell.cell import CellJob
from benchmark.cell.checking.inspection import inspect_data
from benchmark.cell.job import Settings
from benchmark.errors import BenchmarkError
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import read_suite
from benchmark.run.execute import prepare
from benchmark.run.export import export
from benchmark.run.length.estimate import estimate
from reports.page.write import build_report
from reports.records.folder import RunFolder
from tasks.leakage.audit import LeakError
from tasks.simulation.bodies import read_body
from tasks.simulation.card import PotentialError
from tasks.simulation.file import read_content, write_potential
from tests.benchmark.runs import records, run_here

ARM = {"label": "pretrained before", "pretext": {"kind": "file", "options": {"path": "bodies/{seed}.pt"}}}
OTHERS = ("scratch-extended", "masked", "denoised")


@pytest.fixture(scope="module")
def given(smoke, data_dir, tmp_path_factory):
    """The masked body of the finished run, in a folder beside suites that start from it."""
    place = tmp_path_factory.mktemp("given")
    path = place / "bodies" / "0.pt"
    assert export(smoke[0], path, data_dir, select={"strategy": ["masked"]}, pretraining=True) == [path]

    def suite(folder=place, strategies=None, **changes):
        """A suite in a folder, of scratch and the arm that starts from the file."""
        arms = {"scratch": {"label": "from scratch"}, "given": ARM, **dict.fromkeys(OTHERS), **(strategies or {})}
        content = {
            "extends": "water",
            "name": "own",
            "baselines": ["scratch"],
            "models": {"gns": None, "forcenet": None},
        }
        written = folder / "own.yaml"
        written.write_text(yaml.safe_dump({**content, "strategies": arms, "scales": {"smoke": {}}, **changes}))
        return read_suite(str(written), "smoke")

    return SimpleNamespace(place=place, path=path, suite=suite, body=read_body(path))


@pytest.fixture(scope="module")
def run(given, data_dir):
    """A finished run of the suite."""
    run_here(given.suite(), data_dir, given.place / "run")
    return RunFolder(given.place / "run")


def cell_of(suite, strategy="given"):
    return next(cell for cell in make_plan(suite) if cell.arm.strategy == strategy)


def row_of(folder, strategy):
    return records(folder).drop_duplicates("cell_key").set_index("strategy").loc[strategy]


def copied(given, folder, change=None):
    """The file in another folder, its card or what else it holds changed; and its suite."""
    path = folder / "bodies" / "0.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    card, weights, content = read_content(given.path)
    more = {"structures": content["structures"]}
    if change is not None:
        card = change(card, more) or card
    write_potential(path, card, weights, **more)
    return given.suite(folder)


def older(card, more):
    """What `export` wrote before files said what a pretraining saw and cost."""
    more.clear()
    pretraining = {name: value for name, value in card.provenance["pretraining"].items() if name != "spent"}
    return card.model_copy(update={"provenance": {**card.provenance, "pretraining": pretraining}})


def test_the_record_says_what_the_pretraining_has_cost_and_what_it_saw(smoke, given, run):
    row, before = row_of(run.path, "given"), row_of(smoke[0], "masked")
    assert row["status"] == "ok"
    assert row["pretrained_file"] == given.body.content_hash
    for name in ("pretrain_epochs", "pretrain_steps", "pretrain_seconds", "audit_seen_frames", "audit_checked_frames"):
        assert row[name] == before[name] > 0, name
    assert (row["audit_unknown"], row["audit_duplicates"]) == (0, 0)
    assert pd.isna(row["pretraining_key"])
    assert pd.isna(row_of(run.path, "scratch")["pretrained_file"])
    plan = run.read_plan()
    assert plan.files == {str(given.path): given.body.content_hash}
    assert plan.strategies["given"].from_file
    (key,) = (cell.key for cell in plan.cells if cell.strategy == "given")
    told = json.loads(run.cell(key).provenance.read_text())["pretrained_file"]
    assert (told["pretext"]["kind"], told["structures"], told["spent"]["epochs"]) == ("masking", 16 + 8, 2)


def test_cells_start_from_the_weights_of_the_arm_that_was_pretrained_in_place(smoke, given, run, data_dir):
    found = {}
    for name, suite, folder in (("given", given.suite(), run.path), ("masked", read_suite("water", "smoke"), smoke[0])):
        job = CellJob(cell_of(suite, name), Settings(folder, data_dir, "cpu", 1))
        job.add_provenance = lambda **more: None
        found[name] = job._start({}, []).state_dict()
    assert found["given"].keys() == found["masked"].keys()
    assert all(torch.equal(tensor, found["masked"][name]) for name, tensor in found["given"].items())
    # The same start, data and order: the same end.
    errors = [
        row_of(folder, name)["force_rmse_mev_per_A"] for folder, name in ((run.path, "given"), (smoke[0], "masked"))
    ]
    assert errors[0] == pytest.approx(errors[1], rel=1e-4)


def test_the_report_tells_of_the_file(given, run):
    text = build_report(run.path, given.place / "report").markdown.read_text(encoding="utf-8")
    assert "A pretraining that came in a file costs what the file says" in text
    assert "at equal compute" not in text


def test_the_key_is_of_the_content_and_not_of_the_place(given, tmp_path):
    key = cell_of(given.suite()).key
    assert cell_of(copied(given, tmp_path)).key == key
    assert cell_of(copied(given, tmp_path, older)).key != key
    assert cell_of(given.suite(), "scratch").key == cell_of(read_suite("water", "smoke"), "scratch").key


def test_a_changed_file_is_refused_in_the_run_that_began_with_another(given, run, data_dir, tmp_path):
    shutil.copytree(run.path, tmp_path / "run", ignore=shutil.ignore_patterns(".run.lock"))
    moved = copied(given, tmp_path)
    run_here(moved, data_dir, tmp_path / "run")  # the same content at another place goes on
    assert RunFolder(tmp_path / "run").read_plan().files.keys() == {str(given.path), str(tmp_path / "bodies" / "0.pt")}
    with pytest.raises(BenchmarkError, match=r"is not the file that run folder .* was begun with"):
        run_here(copied(given, tmp_path, older), data_dir, tmp_path / "run")


def test_what_an_older_file_does_not_say_is_said_to_be_unknown(given, data_dir, tmp_path):
    suite = copied(given, tmp_path, older)
    found = inspect_data(suite, {}, None, data_dir, {})
    assert found.count("stop") == 0
    (section,) = (section for section in found.sections if section.title.startswith("given"))
    levels = {finding.topic: (finding.level, finding.text) for finding in section.findings}
    assert levels["leaks"][0] == "note"
    assert "does not say which structures" in levels["leaks"][1]
    assert "what that cost it does not say" in levels["file"][1]
    run_here(suite, data_dir, tmp_path / "run", select={"strategy": ["given"]})
    row = row_of(tmp_path / "run", "given")
    assert (row["audit_unknown"], row["pretrain_steps"], row["pretrain_epochs"]) == (1, 0, 0)
    assert pd.isna(row["pretrain_seconds"])
    text = build_report(tmp_path / "run", tmp_path / "report").markdown.read_text(encoding="utf-8")
    assert "given: the file that cells started from does not say which structures it was pretrained on." in text
    assert "given: the file that cells started from does not say what its pretraining has cost." in text
    assert "not known" in text


def test_frames_that_the_body_saw_are_found_among_those_that_are_tested_on(given, data_dir, tmp_path):
    """Another share for testing takes other trajectories: some of these the body was pretrained on."""
    datasets = {"tip3p": {"split": {"val": 0.25, "test": 0.5}}}
    suite = given.suite(scales={"smoke": {"datasets": datasets}})
    with pytest.raises(
        LeakError, match=r"frame \d+ of the (test|validation) set of tip3p has the geometry of structure"
    ):
        run_here(suite, data_dir, tmp_path / "run")
    assert not (tmp_path / "run" / "cells").exists()
    found = inspect_data(suite, {}, None, data_dir, {})
    assert found.count("stop") == 1


def test_an_extended_arm_sees_as_many_frames_as_the_file_says(given, data_dir, tmp_path):
    longer = {"longer": {"label": "l", "extended": "given"}}
    suite = given.suite(strategies=longer)
    # 16 frames of the same trajectories, twice: as many epochs as the pretraining had.
    assert cell_of(suite, "longer").phase.epochs == 3 + 2
    copied(given, tmp_path, older)
    with pytest.raises(BenchmarkError, match=r"does not say what its pretraining has cost"):
        make_plan(given.suite(tmp_path, strategies=longer))


def test_work_is_taken_over_and_the_time_is_told(given, run, data_dir, tmp_path):
    planned = prepare(given.suite(), data_dir, out=tmp_path / "new", jobs=1, device="cpu")
    assert estimate(planned).fits == 2
    run_here(given.suite(), data_dir, tmp_path / "new", reuse=[run.path])
    files = [
        folder / "cells" / cell_of(given.suite()).key / "provenance.json" for folder in (tmp_path / "new", run.path)
    ]
    new, before = (json.loads(path.read_text()) for path in files)
    assert new["taken_over_from"] == str(run.path)
    assert new["pretrained_file"] == before["pretrained_file"]


def other_network(card, more):
    options = {**card.network.options, "radial_scale": 3.0}
    return card.model_copy(update={"network": card.network.model_copy(update={"options": options})})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_network, r"another network than model 'egnn': radial_scale is 3.0 in the file, 1.0 here"),
        (lambda card, more: card.model_copy(update={"scale_eV": 1.0}), "finetuned potential, not a pretrained body"),
        (lambda card, more: more.update(structures={"train": []}), "damaged .*traces of train and val"),
        (lambda card, more: more["structures"]["train"][0].update(precision_A=-1.0), "damaged .*precision_A"),
        (lambda card, more: card.model_copy(update={"species": (8,)}), "has H, which the body .* never saw .* on O"),
    ],
)
def test_a_file_that_does_not_fit_ends_the_run_before_any_training(given, data_dir, tmp_path, change, message):
    suite = copied(given, tmp_path, change)
    with pytest.raises((BenchmarkError, PotentialError), match=message):
        run_here(suite, data_dir, tmp_path / "run")
    assert not (tmp_path / "run" / "cells").exists()


def test_the_command_line_refuses_with_one_message(given, data_dir, tmp_path, refuse):
    suite = copied(given, tmp_path)
    path, place = tmp_path / "bodies" / "0.pt", tmp_path / "own.yaml"
    arguments = ("--suite", place, "--scale", "smoke", "--data-dir", data_dir)
    content = torch.load(path, weights_only=True)
    torch.save({**content, "version": 2}, path)
    refuse(
        "run", *arguments, "--out", tmp_path / "run", fragments=["strategy 'given'", "format version 2", "use a later"]
    )
    path.unlink()
    refuse(
        "tune", *arguments, "--select", "model=egnn", "--out", tmp_path / "run", fragments=["1000.pt", "no such file"]
    )
    assert not (tmp_path / "run").exists()
    assert suite.strategies["given"].pretext.options["path"] == str(tmp_path / "bodies" / "{seed}.pt")


def test_an_exported_body_is_not_exported_again(run, data_dir, tmp_path):
    with pytest.raises(BenchmarkError, match="none of the chosen cells was pretrained in this run"):
        export(run.path, tmp_path / "again.pt", data_dir, pretraining=True)
