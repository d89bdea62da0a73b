"""What is made sure of before any training."""

from __future__ import annotations

import ase.io

from benchmark.cell.checking.checks import describe, needed_entries, warnings_of
from benchmark.cell.library import Library
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite
from tests.benchmark.own_suite import arms, entry, write_frames
from tests.benchmark.runs import inside, records


def test_only_what_the_chosen_cells_read_is_needed(own):
    suite = load_suite(str(own(strategies=arms(pretrain_on=["c"]))), "tiny")
    assert set(needed_entries(suite, make_plan(suite))) == {"a", "b", "c"}
    assert set(needed_entries(suite, make_plan(suite, select={"dataset": ["a"], "strategy": ["scratch"]}))) == {"a"}


def test_what_training_does_not_determine_is_refused_before_any_training(own, tmp_path, refuse):
    """A further test set of another composition, and a species that only a test frame has."""
    extra = tmp_path / "extra.xyz"
    write_frames(extra, 3, seed=8, symbols="CCHHHHHH")
    path = own(datasets={"a": entry(own.files["a"], split={"val": 0.2, "test": 0.2}, extra_tests={"e": entry(extra)})})
    refuse("run", "--suite", path, "--scale", "tiny", "--out", tmp_path / "run", "--data-dir", tmp_path,
           fragments=["further test set e has structures of C2H6,", "do not determine"])  # fmt: skip
    chlorine = write_frames(tmp_path / "cl.xyz", 1, seed=5, symbols="CCClHHHHHH")
    write_frames(own.files["a"], 19, seed=1, append=chlorine)
    path = own(datasets={"a": entry(own.files["a"], split={"train": 10, "val": 5})})
    suite = load_suite(str(path), "tiny")
    _, split, _ = Library(tmp_path).load_sets(suite.datasets["a"], 0)
    assert 0 not in split.train
    refuse("run", "--suite", path, "--scale", "tiny", "--out", tmp_path / "run", "--data-dir", tmp_path,
           fragments=["C2H6Cl", "do not determine"])  # fmt: skip
    assert not (tmp_path / "run" / "cells").exists()


def with_chlorine(path, index, frames=20):
    """Frames of which one, alone, has chlorine."""
    structures = write_frames(path, frames, seed=1)
    structures[index] = write_frames(path.with_name("cl.xyz"), 1, seed=5, symbols="CCClHHHHHH")[0]
    ase.io.write(path, structures, format="extxyz")


def test_what_no_set_has_need_not_be_determined(own, tmp_path):
    """A training frame whose labels are not used, of a species that no other has."""
    labelled = entry(own.files["a"], split={"val": 0.2, "test": 0.2}, labelled=0.5)
    path = own(datasets={"a": labelled})
    _, split, _ = Library(tmp_path).load_sets(load_suite(str(path), "tiny").datasets["a"], 0)
    unused = set(range(20)) - {int(frame) for frames in split.as_dict().values() for frame in frames}
    with_chlorine(own.files["a"], min(unused))
    done = inside("run", "--suite", path, "--scale", "tiny", "--select", "strategy=scratch", "--jobs", "1",
                  "--out", tmp_path / "run", "--data-dir", tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(records(tmp_path / "run")["status"]) == {"ok"}


def test_labels_that_pretraining_cannot_be_measured_by_are_refused_before_any_training(own, tmp_path, refuse):
    path = own(
        datasets={"b": entry(own.files["b"], split={"val": 0.2, "test": 0.2})},
        structures={"a": entry(own.files["a"], split={"val": 0.2, "test": 0})},
        strategies=arms(pretext={"kind": "labels"}, pretrain_on=["a"]),
    )
    _, split, _ = Library(tmp_path).load_sets(load_suite(str(path), "tiny").structures["a"], 0)
    with_chlorine(own.files["a"], split.val[0])
    refuse("run", "--suite", path, "--scale", "tiny", "--out", tmp_path / "run", "--data-dir", tmp_path,
           fragments=["validation structures", "C2H6Cl", "do not determine"])  # fmt: skip
    assert not (tmp_path / "run" / "cells").exists()


def test_units_that_look_wrong_are_told_in_the_run_and_by_what_the_report_reads(own, tmp_path):
    """Forces a thousand times too large: noted where the run can be followed, and kept beside the cell."""
    frames = write_frames(own.files["a"], 20, seed=1)
    for frame in frames:
        frame.arrays["F"] *= 1000
    ase.io.write(own.files["a"], frames, format="extxyz")
    data = Library(tmp_path).load(load_suite(str(own()), "tiny").datasets["a"])
    assert not data.warnings, "the file itself says nothing"
    (warning,) = describe(data)["warnings"]
    assert "force" in warning
    assert warnings_of({"a": data}) == [f"a: {warning}"]


def test_data_that_is_missing_is_named_before_anything_is_done(own, tmp_path, refuse):
    path = own(datasets={"a": entry(tmp_path / "none.xyz")})
    refuse("run", "--suite", path, "--scale", "tiny", "--out", tmp_path / "run", "--data-dir", tmp_path,
           fragments=["'a'", "none.xyz"])  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_a_species_that_a_model_cannot_embed_is_refused_before_any_training(refuse, smoke, data_dir, tmp_path):
    own, out = tmp_path / "own.yaml", tmp_path / "run"
    own.write_text(
        "extends: water\nname: own\ntitle: Own\ndescription: Few species\nscales: {smoke: {}}\n"
        "models: {forcenet: {options: {max_z: 8}}}\n",
        encoding="utf-8",
    )
    refuse("run", "--suite", own, "--scale", "smoke", "--out", out, "--data-dir", data_dir,
           fragments=["'forcenet'", "max_z = 8", "up to 8"])  # fmt: skip
    assert not (out / "cells").exists()
