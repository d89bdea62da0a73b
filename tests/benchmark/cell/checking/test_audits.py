"""The leakage audit of cells."""

from __future__ import annotations

import ase.io
import pytest

from benchmark.cell.checking.audits import clean_audit
from benchmark.cell.library import Library
from benchmark.planning.reading import load_suite
from tasks.leakage.audit import Auditor, LeakError
from tests.benchmark.own_suite import arms, cells_of, entry, write_frames


def test_a_test_frame_in_the_pretraining_trajectory_ends_the_run_before_any_training(own, tmp_path, refuse):
    """The snapshots that were labelled are part of the trajectory that they were taken from."""
    labelled = write_frames(own.files["a"], 20, seed=1)
    for frame in (labelled[k] for k in range(20)):
        frame.rotate(40, "z")
    write_frames(own.files["c"], 30, seed=5, append=labelled)
    path = own(strategies=arms(pretrain_on=["c"]))
    refuse("run", "--suite", path, "--scale", "tiny", "--select", "dataset=a", "--out", tmp_path / "run",
           "--data-dir", tmp_path, fragments=["leakage: frame", "pretraining set 1 (extxyz)"])  # fmt: skip
    assert not (tmp_path / "run" / "cells").exists()


def test_cells_of_clean_data_pass_the_audit_and_know_their_contents(own, tmp_path):
    library = Library(tmp_path)
    cell = cells_of(own())["b", "masked"]
    audit = clean_audit(cell, library, Auditor())
    assert (audit.seen_frames, audit.checked_frames) == (6 + 12 + 6, 4)
    assert audit.contents[1:] == [library.load(part).content_hash for part in cell.pretraining.parts]
    assert library.contents(cell.reads) == [library.load(cell.dataset).content_hash, *audit.contents[1:]]


def test_test_frames_are_not_to_choose_the_checkpoint_either(own, tmp_path):
    suite = load_suite(str(own()), "tiny")
    library = Library(tmp_path)
    _, split, _ = library.load_sets(suite.datasets["a"], 0)
    frames = ase.io.read(own.files["a"], ":")
    ase.io.write(tmp_path / "copies.xyz", [frames[k] for k in split.val], format="extxyz")
    extra = {"copies": entry(tmp_path / "copies.xyz")}
    path = own(datasets={"a": entry(own.files["a"], split={"val": 0.2, "test": 0.2}, extra_tests=extra)})
    with pytest.raises(LeakError, match=r"further test set copies has the geometry of .* the validation set of a"):
        clean_audit(cells_of(path)["a", "scratch"], Library(tmp_path), Auditor())
