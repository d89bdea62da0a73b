"""What a suite may say, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmark.errors import BenchmarkError
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite
from benchmark.planning.suite_files import read_suite_file
from tasks.datasets.base import DatasetError
from tests.benchmark.own_suite import arms, cells_of, entry


@pytest.mark.parametrize("shares", [[0], [1.5], ["half"], [], [True], [None], [0.5, 0.5], 2, "half"])
def test_impossible_shares_are_refused(load_own, shares):
    with pytest.raises(BenchmarkError, match="datasets"):
        load_own(datasets={"tip3p": {"labelled": shares}})


def test_entries_that_are_the_same_work_are_refused(load_own):
    """Two names for one cell would have two workers train in one folder."""
    with pytest.raises(BenchmarkError, match="models 'egnn' and 'again' are the same"):
        load_own(models={"again": {"kind": "egnn", "options": {"cutoff_A": 3.1, "hidden": 8, "layers": 2}}})
    same = read_suite_file("tip3p")["scales"]["smoke"]["datasets"]["tip3p"]
    options = {**same["options"], "temperature_K": 300, "seed": 0}
    with pytest.raises(BenchmarkError, match="datasets 'tip3p' and 'more' are the same"):
        load_own(datasets={"more": {"kind": "tip3p", **same, "options": options, "labelled": 1}})


def test_a_model_may_be_trained_with_other_values_in_all_its_arms(load_own):
    suite = load_own(models={"gns": {"training": {"finetune": {"lr": 5e-4}, "pretrain": {"epochs": 3}}}})
    cells = {(c.arm.model, c.arm.strategy): c for c in make_plan(suite)}
    for arm in suite.strategies:
        assert (cells["gns", arm].phase.lr, cells["egnn", arm].phase.lr) == (5e-4, 1e-3)
    assert cells["gns", "masked"].pretraining.phase.epochs == 3
    assert cells["gns", "scratch-extended"].phase.epochs == cells["gns", "scratch"].phase.epochs + 3
    with pytest.raises(BenchmarkError, match=r"model 'gns' on dataset 'tip3p': finetune.lrr: unknown key.*lr, lr_min"):
        load_own(models={"gns": {"training": {"finetune": {"lrr": 5e-4}}}})


def test_a_dataset_may_be_trained_with_other_values_and_the_models_come_after(load_own):
    suite = load_own(
        datasets={"tip3p": {"training": {"batch_size": 2, "finetune": {"lr": 5e-4}, "pretrain": {"epochs": 4}}}},
        models={"gns": {"training": {"finetune": {"lr": 2e-4}}}},
    )
    cells = {(c.arm.model, c.arm.strategy): c for c in make_plan(suite)}
    assert (cells["egnn", "scratch"].phase.lr, cells["gns", "scratch"].phase.lr) == (5e-4, 2e-4)
    assert cells["egnn", "masked"].pretraining.batch_size == 2
    assert cells["gns", "scratch-extended"].phase.epochs == 3 + 4
    with pytest.raises(BenchmarkError, match="dataset 'tip3p': batch_size"):
        load_own(datasets={"tip3p": {"training": {"batch_size": 0}}})


def test_the_axis_of_a_figure_names_what_is_there(load_own):
    axis = {"over": "strategy", "label": "x", "values": {"masked": 1, "denoised": 2}}
    assert load_own(sweep=axis).sweep.values == {"masked": 1, "denoised": 2}
    with pytest.raises(BenchmarkError, match="no \\['maskd'\\]"):
        load_own(sweep={**axis, "values": {"maskd": 1}})
    with pytest.raises(BenchmarkError, match="logarithmic"):
        load_own(sweep={**axis, "log": True, "values": {"masked": 0}})


def _set(path, value):
    def change(c):
        *parents, last = path.split("/")
        for part in parents:
            c = c[part]
        c[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("scales/smoke/training/batchsize", 4, r"training.batchsize: unknown key; allowed here: batch_size.*mean"),
        ("scales/smoke/training/finetune/lrr", 1, r"training.finetune.lrr: unknown key.*lr, lr_min"),
        ("scales/smoke/training/finetune/lr", -1, r"training.finetune.lr: .*greater than 0 \(given: -1\)"),
        ("strategies/masked/pretext/options/ratio", 1.5, r"pretext 'masking'.*ratio.*1.5"),
        ("strategies/masked/pretext/options/ratios", 0.5, r"ratios: unknown key; allowed here: directions, head,"),
        (
            "strategies/masked/pretext/kind",
            "maskin",
            r"unknown pretext kind 'maskin'; known are denoising, distance-denoising, file, labels,",
        ),
        ("scales/smoke/datasets/tip3p/options/cutoff_A", 30, "cutoff_A"),
        ("scales/smoke/models/egnn/options/cutoff_A", 6.0, r"6.0 Å is over half the box.*at most 3"),
        ("baselines", ["scrath"], "baselines"),
        ("extra", 1, r"extra: unknown key"),
        ("scales/smoke/datasets/tip3p/split", 5, r"datasets\.tip3p\.split: write keys and their values \(given: 5\)"),
        ("strategies/masked/training", {"pretrain": 5}, r"strategy 'masked': pretrain: Input should be a valid dict"),
        ("datasets/tip3p/split", {"train": 5, "val": 2, "test": 3},
         r"datasets\.tip3p\.split\.test: unknown key; allowed here: train, val\n"),
        ("datasets/tip3p/split", {"val": 0.2, "tset": 0.1},
         r"datasets\.tip3p\.split\.tset: unknown key; allowed here: test, val; did you mean 'test'"),
        ("datasets/tip3p/split", {"train": 0.5, "val": 2}, r"datasets\.tip3p\.split\.train: .*given: 0.5"),
        ("datasets/tip3p/extra_tests", {"more": {"kind": "tip3p", "optoins": {}}},
         r"datasets\.tip3p\.extra_tests\.more\.optoins: unknown key; allowed here: kind, options; did"),
        ("strategies/masked/pretext", {"kind": "masking", "ratio": 0.5},
         r"strategies\.masked\.pretext\.ratio: unknown key; allowed here: kind, options\n"),
        ("strategies/again", {"label": "twice"}, "the same"),
        ("scales/smoke/seeds", 0, "seeds"),
        ("scales/smoke", 5, r"scale 'smoke' is 5; a mapping"),
        ("scales/smoke/training/finetune/lr", float("inf"), "training.finetune.lr"),
        ("scales/smoke/training/finetune/lr_min", 1, "lr_min 1 is above lr 0.001"),
    ],
)  # fmt: skip
def test_bad_values_are_refused_with_place_and_remedy(load, path, value, message):
    with pytest.raises((BenchmarkError, DatasetError), match=message):
        load(_set(path, value))


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


def test_a_suite_is_read_with_its_options_checked_before_torch_is_imported():
    """What a user mistypes is told in a second."""
    code = (
        "import sys\nfrom benchmark.planning.reading import read_suite\nimport benchmark.cli.main\n"
        "for suite in ('water', 'rmd17', 'torchmd-net', 'ablation-noise'): read_suite(suite, 'smoke')\n"
        "print([m for m in ('torch', 'warp', 'sklearn', 'lightning', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
