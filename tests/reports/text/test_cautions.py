"""What weakens a run is said before its findings."""

import json
from dataclasses import replace

import pytest

from reports.analysis.results import Results
from reports.records.record import write_records
from reports.records.run import read_run
from reports.text.cautions import cautions, data_warnings
from tests.reports.made_up import REFERENCES, SURE, results_of, seeds


def test_warnings_of_the_data_are_passed_on_once(make_run, key_of):
    folder = make_run(SURE)
    for strategy in SURE:
        for seed in range(3):
            path = folder / "cells" / key_of(strategy, seed) / "provenance.json"
            content = json.loads(path.read_text()) | {"dataset": {"warnings": ["a surrogate, not DFT"]}}
            path.write_text(json.dumps(content))
    results = Results(read_run(folder))
    assert data_warnings(results) == ["TIP3P water, flexible: a surrogate, not DFT"]
    assert data_warnings(results_of(make_run, SURE, name="none")) == []


def test_cautions_name_unequal_splits(make_run, record, key_of):
    folder = make_run(SURE)
    assert cautions(Results(read_run(folder))) == []
    path = folder / "cells" / key_of("masked", 0) / "record.parquet"
    write_records([record("masked", 0, split_hash="another")], path)
    assert any("leave this seed out" in caution for caution in cautions(Results(read_run(folder))))


@pytest.mark.parametrize(("gap", "near"), [(1, True), (10, True), (11, False), (None, False)])
def test_test_frames_near_to_training_frames_are_a_caution(make_run, record, key_of, gap, near):
    folder = make_run(SURE)
    for seed, frames in ((0, gap), (1, gap and gap + 5)):
        path = folder / "cells" / key_of("masked", seed) / "record.parquet"
        write_records([record("masked", seed, audit_nearest_frames=frames)], path)
    found = [caution for caution in cautions(Results(read_run(folder))) if "other trajectories" in caution]
    assert len(found) == near
    if near:
        assert f"only {gap} frame{'s' if gap > 1 else ''} of the simulation away" in found[0]


def test_cells_of_several_commits_in_one_folder_are_a_caution(make_run):
    """A run that was gone on with after a change of the code compares more than arms."""
    folder = make_run({"scratch": {0: (100.0, 50.0)}, "masked": {0: (80.0, 40.0)}})
    assert not any("commits" in caution for caution in cautions(Results(read_run(folder))))
    path = sorted(folder.glob("cells/*/provenance.json"))[0]
    path.write_text(json.dumps({**json.loads(path.read_text()), "git_commit": "1" * 40}))
    assert any("made at 2 commits" in caution for caution in cautions(Results(read_run(folder))))


def test_structures_that_pretraining_left_out_are_a_caution_where_an_arm_is_matched_to_it(make_run, key_of):
    def said(*arms):
        folder = make_run({arm: seeds(1, 2) for arm in arms}, "-".join(arms))
        for seed, left in ((0, 10), (1, 30)):
            path = folder / "cells" / key_of("masked", seed) / "provenance.json"
            frames = {"train": 50, "val": 20, "left_out": left}
            path.write_text(json.dumps(json.loads(path.read_text()) | {"pretraining_frames": frames}))
        plan = json.loads((folder / "plan.json").read_text())
        plan["strategies"] = {name: plan["strategies"][name] for name in arms}
        (folder / "plan.json").write_text(json.dumps(plan | {"baselines": ["scratch"]}))
        return [caution for caution in cautions(Results(read_run(folder))) if "left out" in caution]

    (caution,) = said("scratch", "scratch-extended", "masked")
    assert caution.startswith("masked: pretraining left out up to 30 % of the structures")
    assert "scratch-extended trained longer for all of them" in caution
    assert said("scratch", "masked") == []


def test_frames_that_resemble_each_other_are_a_caution(make_run):
    def said(energy, name):
        columns = {"effective_train_frames_energy": energy, "effective_train_frames_structure": 60.0}
        return cautions(results_of(make_run, SURE, name=name, columns=columns))

    (caution,) = said(14.2, "alike")
    assert "the 100 training frames follow each other so closely that they are worth about 14 independent" in caution
    assert said(80.0, "apart") == []


def test_stuck_cells_and_mixed_ways_of_computing_are_cautions(make_run):
    outcomes = SURE | {"masked": SURE["masked"] | {2: (790.0, 100.0)}}
    run = read_run(make_run(outcomes, references=REFERENCES))
    (stuck,) = cautions(Results(run))
    assert stuck.startswith("1 finished cell never left the plateau")
    ways = run.records["seed"].map({0: "eager", 1: "compiled", 2: "compiled"})
    _, mixed = cautions(Results(replace(run, records=run.records.assign(computed=ways))))
    assert "the cells were computed in different ways (4 compiled and 2 eager)" in mixed


def test_what_a_file_of_a_body_does_not_say_is_a_caution(make_run):
    run = read_run(make_run(SURE))
    masked = run.records["strategy"] == "masked"
    files = run.records["seed"].map("{:012x}".format).where(masked)
    told = run.records.assign(pretrained_file=files, audit_unknown=0)
    assert cautions(Results(replace(run, records=told))) == []
    (shared,) = cautions(Results(replace(run, records=told.assign(pretrained_file=files.where(~masked, "0" * 12)))))
    assert shared.startswith("masked: all seeds started from one pretrained body.")
    untold = told.assign(audit_unknown=1, pretrain_seconds=told["pretrain_seconds"].mask(masked))
    seen, cost = cautions(Results(replace(run, records=untold)))
    assert "masked: the file that cells started from does not say which structures" in seen
    assert "No comparison with it is at equal compute" in cost


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ((40.0, 900.0, 100.0), "100"),
        ((9e6, 2.0, 1.2345e5), "1.2 × 10⁵"),
        ((9.0, 11.6, 12.3), "12"),
        ((1.0, 900.0, 4.0), None),
    ],
)
def test_forces_that_begin_far_too_large_are_a_caution(make_run, record, key_of, sizes, told):
    """By the median over seeds: a single one that ran away is no property of the arm."""
    folder = make_run(SURE)
    for seed, size in enumerate(sizes):
        path = folder / "cells" / key_of("masked", seed) / "record.parquet"
        write_records([record("masked", seed, handover_force_rms=size)], path)
    found = [caution for caution in cautions(Results(read_run(folder))) if "times too large" in caution]
    assert len(found) == (told is not None)
    if told:
        assert found[0].startswith(f"masked: finetuning begins with forces {told} times too large.")


@pytest.mark.parametrize(
    ("extended", "told"),
    [
        ((80.0, 87.0, 97.0), True),
        ((50.0, 140.0, 84.0), False),  # lower in the mean, but it may be chance
        ((97.0, 106.6, 116.5), False),  # surely lower, by 3 %
        ((130.0, 143.0, 156.0), False),
    ],
)
def test_training_that_was_not_over_is_a_caution(make_run, extended, told):
    """Where training for longer is surely better; scratch has 4 epochs here, scratch-extended 6."""
    found = cautions(results_of(make_run, {"scratch": seeds(100, 110, 120), "scratch-extended": seeds(*extended)}))
    assert len(found) == told
    if told:
        assert found[0].startswith(
            "Training of scratch was not over: scratch-extended, 1.5 times as long, has a force error lower by 20 %."
        )


def test_where_training_was_not_over_is_named_if_it_was_elsewhere(make_run):
    outcomes = {
        ("tip3p", model, arm): seeds(*values)
        for model, arm, values in (
            ("egnn", "scratch", (100, 110, 120)),
            ("egnn", "scratch-extended", (80, 87, 97)),
            ("gns", "scratch", (100, 110, 120)),
            ("gns", "scratch-extended", (100, 111, 119)),
        )
    }
    models = {"egnn": {"label": "EGNN"}, "gns": {"label": "GNS"}}
    (found,) = cautions(results_of(make_run, outcomes, models=models))
    assert "lower by 20 % (EGNN on TIP3P water, flexible)" in found
