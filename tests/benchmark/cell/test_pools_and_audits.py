"""Pretraining on other structures, matched in compute, and the audit of all of it, through plan and command line."""

from __future__ import annotations

import json
from dataclasses import replace

import ase.io
import numpy as np
import pandas as pd
import pytest
import yaml
from ase import Atoms

from benchmark.cell.audits import clean_audit
from benchmark.cell.checks import describe, needed_entries, warnings_of
from benchmark.cell.library import Library, pool_structures
from benchmark.errors import BenchmarkError
from benchmark.planning.config import load_suite
from benchmark.planning.plan import make_plan
from reports.records.run import read_run
from tasks.audit import Auditor, LeakError
from tasks.datasets.base import DatasetError, Outline
from tasks.pretexts.base import PretextError
from tasks.pretexts.masking import Masking, MaskingConfig
from tests.benchmark.runs import command, records

TRAINING = {
    "batch_size": 4,
    "pretrain": {"epochs": 2, "lr": 1e-3, "lr_min": 1e-5},
    "finetune": {"epochs": 3, "lr": 1e-3, "lr_min": 1e-5, "force_weight": 1, "energy_weight": 0.1},
}


def write_frames(path, frames, seed=0, symbols="CCOHHHHHH", move=0.05, append=()):
    """Ethanol-like frames with the labels of springs to fixed places."""
    rng = np.random.default_rng(seed)
    home = np.arange(len(Atoms(symbols)))[:, None] * np.array([0.8, 0.5, -0.3]) + rng.uniform(0, 0.2, 3)
    structures = list(append)
    for _ in range(frames):
        shift = rng.normal(scale=move, size=home.shape)
        atoms = Atoms(symbols, home + shift)
        atoms.info["E"], atoms.arrays["F"] = 100.0 + 5.0 * float((shift**2).sum()), -10.0 * shift
        structures.append(atoms)
    ase.io.write(path, structures, format="extxyz")
    return structures


def entry(path, **more):
    return {"kind": "extxyz", "options": {"path": str(path), "energy_key": "E", "forces_key": "F"}, **more}


@pytest.fixture
def own(tmp_path):
    """Write a suite of two small labelled sets and a larger unlabelled one; changes are laid over it."""
    files = {name: tmp_path / f"{name}.xyz" for name in ("a", "b", "c")}
    write_frames(files["a"], 20, seed=1)
    write_frames(files["b"], 10, seed=2, symbols="CHHHH")
    write_frames(files["c"], 50, seed=3)

    def write(**changes):
        content = {
            "name": "own",
            "title": "Own",
            "description": "Own",
            "baselines": ["scratch", "longer"],
            "datasets": {
                "a": entry(files["a"], split={"val": 0.2, "test": 0.2}),
                "b": entry(files["b"], split={"val": 0.2, "test": 0.2}),
            },
            "structures": {"c": entry(files["c"])},
            "models": {"egnn": {"kind": "egnn", "options": {"hidden": 4, "layers": 1}}},
            "strategies": {
                "scratch": {"label": "s"},
                "longer": {"label": "l", "extended": True},
                "masked": {
                    "label": "m",
                    "pretext": {"kind": "masking", "options": {"target": "bonded"}},
                    "pretrain_on": "pooled",
                },
            },
            "training": TRAINING,
            "scales": {"tiny": {"seeds": 1}},
        }
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump({**content, **changes}), encoding="utf-8")
        return path

    write.files = files
    return write


def arms(**masked):
    """The three arms, the pretrained one changed."""
    return {
        "scratch": {"label": "s"},
        "longer": {"label": "l", "extended": True},
        "masked": {
            "label": "m",
            "pretext": {"kind": "masking", "options": {"target": "bonded"}},
            **masked,
        },
    }


def cells_of(suite, select=None):
    return {(c.arm.dataset, c.arm.strategy): c for c in make_plan(load_suite(str(suite), "tiny"), select=select)}


def test_a_pool_is_one_pretraining_for_all_chosen_datasets(own):
    cells = cells_of(own())
    shared = cells["a", "masked"].pretraining
    assert shared == cells["b", "masked"].pretraining
    assert [part.options["path"] for part in shared.parts] == [str(own.files["a"]), str(own.files["b"])]
    alone = cells_of(own(), {"path": [str(own.files["a"])]})
    assert set(alone) == {("a", arm) for arm in ("scratch", "longer", "masked")}
    assert len(alone["a", "masked"].pretraining.parts) == 1
    assert alone["a", "scratch"].key == cells["a", "scratch"].key


def test_the_extended_baseline_sees_as_many_frames(own):
    """a has 12 training frames, b 6, c 45; pretraining has 2 epochs, finetuning 3."""
    pooled = cells_of(own())
    assert pooled["a", "longer"].phase.epochs == 3 + 2  # 2 x 18 / 2 sharers / 12 = 1.5
    assert pooled["b", "longer"].phase.epochs == 3 + 3
    own_frames = cells_of(own(strategies=arms()))
    assert own_frames["a", "longer"].phase.epochs == own_frames["b", "longer"].phase.epochs == 3 + 2
    others = cells_of(own(strategies=arms(pretrain_on=["c"])))
    assert others["a", "longer"].phase.epochs == 3 + 8  # 2 x 45 / 12 = 7.5
    assert others["b", "longer"].phase.epochs == 3 + 15
    both = cells_of(own(strategies=arms(pretrain_on=["c", "b", "c"])))
    assert both["b", "longer"].phase.epochs == 3 + 17
    assert len(both["a", "masked"].pretraining.parts) == 2


def test_arms_that_pretrain_on_different_structures_need_a_match_by_name(own):
    strategies = {**arms(pretrain_on=["c"]), "own": arms()["masked"]}
    with pytest.raises(BenchmarkError, match=r"arms pretrain on different structures.*'longer'.*masked"):
        cells_of(own(strategies=strategies))
    strategies["longer"]["extended"] = "own"
    assert cells_of(own(strategies=strategies))["a", "longer"].phase.epochs == 5
    strategies["longer"]["extended"] = "maskd"
    with pytest.raises(BenchmarkError, match="'maskd'"):
        cells_of(own(strategies=strategies))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategies": arms(pretrain_on=["d"])}, r"pretrains on \['d'\].*structures \['c'\]"),
        ({"strategies": arms(pretrain_on="other")}, "pretrain_on"),
        ({"strategies": arms(pretrain_on=[])}, "pretrain_on"),
        ({"strategies": {"scratch": {"label": "s", "pretrain_on": "pooled"}}, "baselines": ["scratch"]}, "no pretext"),
        ({"structures": {"a": {"kind": "extxyz"}}}, "names of datasets and of structures"),
        ({"structures": {"c": entry("x", split={"val": 0.1, "test": 0.1})}}, "test nothing"),
        ({"datasets": {"a": entry("x", split={"val": 0.1, "test": 0})}}, "needs test frames"),
        ({"datasets": {"a": entry("x", split={"official": True, "test": 0.1})}}, "test"),
        ({"datasets": {"a": entry("x", extra_tests={"more": {"kind": "extxzy"}})}}, "extxzy"),
        (
            {"datasets": {"a": {"kind": "trajectory", "options": {"topology": "t.pdb", "trajectory": "t.dcd"}}}},
            "no energies and forces; name it under `structures`",
        ),
    ],
)
def test_what_cannot_be_is_refused_when_the_suite_is_read(own, changes, message):
    with pytest.raises(BenchmarkError, match=message):
        load_suite(str(own(**changes)), "tiny")


def test_only_what_the_chosen_cells_read_is_needed(own):
    suite = load_suite(str(own(strategies=arms(pretrain_on=["c"]))), "tiny")
    assert set(needed_entries(suite, make_plan(suite))) == {"a", "b", "c"}
    assert set(needed_entries(suite, make_plan(suite, select={"dataset": ["a"], "strategy": ["scratch"]}))) == {"a"}


def test_what_a_pretext_cannot_be_applied_to_is_left_out_of_pretraining(own, tmp_path):
    """Frames without hydrogen stay in the dataset, and pretraining has the others."""
    bare = write_frames(tmp_path / "bare.xyz", 6, seed=9, symbols="CCO")
    write_frames(own.files["c"], 14, seed=4, append=bare)
    cell = cells_of(own(strategies=arms(pretrain_on=["c"])))["a", "masked"]
    pretext, library = Masking(MaskingConfig(target="bonded")), Library(tmp_path)
    pool = pool_structures(cell.pretraining.parts, pretext, 0, library)
    assert pool.left_out == 6
    assert len(pool.samples) == 14 == len(pool.split.train) + len(pool.split.val)
    assert not any("y" in sample or "neg_dy" in sample for sample in pool.samples)
    write_frames(own.files["c"], 8, seed=4, symbols="CCO")
    cell = cells_of(own(strategies=arms(pretrain_on=["c"])))["a", "masked"]
    with pytest.raises(PretextError, match=r"atom masking needs .* none of the training structures"):
        pool_structures(cell.pretraining.parts, pretext, 0, Library(tmp_path))


def test_the_whole_chain_on_a_pool_with_a_further_test_set(own, tmp_path):
    """One pretraining, records with the audit and the further test set; other data in the same folder is refused."""
    extra = tmp_path / "extra.xyz"
    write_frames(extra, 7, seed=8)
    path = own(
        datasets={
            "a": entry(own.files["a"], split={"val": 0.2, "test": 0.2}, extra_tests={"wide": entry(extra)}),
            "b": entry(own.files["b"], split={"val": 0.2, "test": 0.2}),
        }
    )
    arguments = ("run", "--suite", path, "--scale", "tiny", "--select", "strategy=scratch,masked", "--jobs", 2,
                 "--out", tmp_path / "run", "--data-dir", tmp_path)  # fmt: skip
    done = command(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = records(tmp_path / "run")
    assert set(rows["status"]) == {"ok"}
    assert len(list((tmp_path / "run" / "pretrainings").iterdir())) == 1
    masked = rows[(rows["dataset"] == "a") & (rows["strategy"] == "masked")].set_index(["split", "checkpoint"])
    assert set(masked["audit_duplicates"]) == {0}
    cost = json.loads(next((tmp_path / "run").glob("pretrainings/*/result.json")).read_text())
    assert set(masked["pretrain_steps"]) == {cost["pretrain_steps"] / 2}
    assert set(masked["pretrain_seconds"]) == {cost["pretrain_seconds"] / 2}
    assert set(masked["audit_seen_frames"]) == {12 + 12 + 6}
    assert set(masked["audit_checked_frames"]) == {4 + 4 + 7}
    assert (masked.loc[("extra", "best"), "extra"], masked.loc[("extra", "best"), "n_frames"]) == ("wide", 7)
    assert pd.isna(masked.loc[("test", "best"), "extra"])
    assert set(rows.loc[rows["dataset"] == "b", "split"]) == {"train", "val", "test"}
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert set(plan["data"]) == {"a", "b", "a/wide"}
    write_frames(own.files["b"], 10, seed=7, symbols="CHHHH")
    again = command(*arguments)
    assert again.returncode == 2
    assert "dataset 'b' is not the one that run folder" in again.stderr


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
    assert library.contents(cell.pretraining.reads) == [
        library.load(part).content_hash for part in cell.pretraining.parts
    ]
    assert library.contents(cell.reads) == [library.load(cell.dataset).content_hash, *audit.contents[1:]]


def test_another_trajectory_makes_another_content_of_the_cells_that_pretrain_on_it(own, tmp_path):
    cells = cells_of(own(strategies=arms(pretrain_on=["c"])))
    before = {arm: Library(tmp_path).contents(cells["a", arm].reads) for arm in ("scratch", "masked")}
    write_frames(own.files["c"], 50, seed=33)
    after = {arm: Library(tmp_path).contents(cells["a", arm].reads) for arm in ("scratch", "masked")}
    assert before["scratch"] == after["scratch"]
    assert before["masked"] != after["masked"]


def test_other_groups_or_molecules_are_other_data(own, tmp_path):
    """Frames that are the same but split otherwise, or masked otherwise, give other results."""
    data = Library(tmp_path).load(load_suite(str(own()), "tiny").datasets["a"])
    copies = [sample.clone() for sample in data.samples]
    other = [sample.clone() for sample in data.samples]
    other[3].site = other[3].site.flip(0)
    grouped = Outline(np.arange(20) // 4)
    hashes = {
        replace(data, samples=copies).content_hash,
        replace(data, outline=grouped).content_hash,
        replace(data, outline=Outline(data.outline.groups, ((np.arange(3), np.arange(3, 6)),))).content_hash,
        replace(data, samples=other).content_hash,
    }
    assert data.content_hash in hashes
    assert len(hashes) == 4


def test_shares_of_labels_are_one_part_of_a_pool(own):
    """Three shares of one dataset: pretraining sees its frames once, and the baseline is charged for all of them."""
    datasets = {"a": entry(own.files["a"], split={"val": 0.2, "test": 0.2}, labelled=[0.25, 0.5, 1])}
    cells = cells_of(own(datasets=datasets))
    pretraining = cells["a@25%", "masked"].pretraining
    assert len(pretraining.parts) == pretraining.sharers == 1
    assert cells["a@25%", "longer"].phase.epochs == 3 + 2


def test_another_selection_of_a_pool_needs_another_folder(own, tmp_path, refuse):
    path = own()
    common = ("run", "--suite", path, "--scale", "tiny", "--out", tmp_path / "run", "--data-dir", tmp_path)
    done = command(*common, "--select", "dataset=a,strategy=masked", "--jobs", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    refuse(*common, "--select", "strategy=masked", fragments=["another cell a/egnn/masked/seed 0", "--out"])
    assert len(list((tmp_path / "run" / "cells").iterdir())) == 1
    assert len(read_run(tmp_path / "run").plan.cells) == 1


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


def test_periodic_and_isolated_structures_make_no_pool(own, tmp_path):
    atoms = write_frames(own.files["c"], 20, seed=5)
    for frame in atoms:
        frame.cell, frame.pbc = [12, 12, 12], True
    ase.io.write(own.files["c"], atoms, format="extxyz")
    cell = cells_of(own(strategies=arms(pretrain_on=["a", "c"])))["a", "masked"]
    with pytest.raises(DatasetError, match="periodic and on isolated"):
        pool_structures(cell.pretraining.parts, Masking(MaskingConfig(target="bonded")), 0, Library(tmp_path))
