"""Suites are strict, plans are hashed: equal content equal key, anything that matters another key."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest
import yaml

from benchmark.errors import BenchmarkError
from benchmark.planning.config import load_suite
from benchmark.planning.plan import make_plan
from benchmark.planning.suite_files import available_suites, read_suite_file
from tasks.datasets.base import DatasetError


@pytest.fixture(scope="module")
def content():
    return read_suite_file("tip3p")


@pytest.fixture
def load(tmp_path, content):
    """Write a changed suite to a file and load a scale of it."""

    def loader(change=lambda c: None, scale="smoke"):
        changed = deepcopy(content)
        change(changed)
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")
        return load_suite(str(path), scale)

    return loader


@pytest.mark.parametrize("name", sorted(available_suites()))
def test_every_scale_of_every_shipped_suite_validates_and_plans(name):
    for scale in read_suite_file(name)["scales"]:
        suite = load_suite(name, scale)
        cells = make_plan(suite)
        assert len(cells) == suite.seeds * len(suite.datasets) * len(suite.models) * len(suite.strategies)
        assert len({c.key for c in cells}) == len(cells)
        assert suite.seeds >= 2 or scale == "smoke"


def test_paper_scale_follows_the_paper():
    suite = load_suite("water", "paper")
    tip3p = suite.datasets["tip3p"].options
    assert (tip3p["molecules"], tip3p["box_A"], tip3p["cutoff_A"]) == (258, 20, 10)
    assert tip3p["trajectories"] * tip3p["frames_per_trajectory"] == 10_000
    training = suite.training
    assert (training.batch_size, training.pretrain.epochs, training.finetune.epochs) == (10, 25, 50)
    assert (training.finetune.lr, training.finetune.lr_min, training.finetune.weight_decay) == (
        1e-4,
        1e-7,
        1e-4,
    )
    assert training.finetune.loss == "l1_loss"
    assert training.finetune.force_weight / training.finetune.energy_weight == 500
    assert suite.seeds == 4
    # TIP3P is as in the paper for EGNN and for the other networks, RPBE-D3 for EGNN; all have all.
    arms = ("masked", "masked-0.5", "masked-0.25")
    assert [suite.strategies[arm].pretext.options["ratio"] for arm in arms] == [0.9, 0.5, 0.25]
    rpbe = suite.training_of("rpbe", "egnn")
    assert (rpbe.batch_size, rpbe.pretrain.epochs, rpbe.finetune.epochs) == (16, 100, 300)
    assert suite.strategies["denoised"].pretext.options["sd_A"] == 0.5


def test_paper_scale_of_rmd17_follows_the_paper():
    suite = load_suite("rmd17", "paper")
    assert len(suite.datasets) == 10
    for entry in suite.datasets.values():
        assert (entry.split.train, entry.split.val, entry.options["frames"]) == (50_000, 1000, "all")
    training = suite.training
    assert (training.batch_size, training.pretrain.epochs, training.finetune.epochs) == (32, 15, 200)
    assert (training.finetune.lr, training.finetune.lr_min, training.finetune.weight_decay) == (1e-4, 5e-5, 0)
    assert (training.finetune.force_weight, training.finetune.energy_weight) == (40, 15)
    masked = suite.strategies["masked"]
    assert (masked.pretrain_on, masked.pretext.options["ratio"], masked.pretext.options["target"]) == (
        "pooled", 0.5, "farthest",
    )  # fmt: skip


def test_careful_scales_of_rmd17_use_the_official_splits():
    for scale in ("quick", "standard"):
        for entry in load_suite("rmd17", scale).datasets.values():
            assert entry.split.official
            assert entry.options["frames"] == "official"


def test_arms_of_one_seed_share_everything_but_the_strategy(load):
    cells = {c.arm.strategy: c for c in make_plan(load())}
    scratch, extended, masked = cells["scratch"], cells["scratch-extended"], cells["masked"]
    assert scratch.pretraining is None
    assert extended.phase.epochs == scratch.phase.epochs + masked.pretraining.phase.epochs
    assert masked.phase == scratch.phase
    for cell in cells.values():
        assert (cell.dataset, cell.model, cell.seed, cell.batch_size) == (
            scratch.dataset, scratch.model, scratch.seed, scratch.batch_size,
        )  # fmt: skip


def test_key_ignores_labels_and_follows_everything_else(load):
    def keys(change=lambda c: None):
        return {c.arm.strategy: c.key for c in make_plan(load(change))}

    before = keys()

    def relabel(c):
        c["strategies"]["scratch"]["label"] = "another name"

    def more_pretraining(c):
        c["scales"]["smoke"]["training"]["pretrain"]["epochs"] = 7

    def other_ratio(c):
        c["strategies"]["masked"]["pretext"]["options"]["ratio"] = 0.25

    def other_split(c):
        c["scales"]["smoke"]["datasets"]["tip3p"]["split"]["val"] = 0.3

    assert keys(relabel) == before
    assert [s for s, key in keys(more_pretraining).items() if key != before[s]] == [
        "scratch-extended", "masked", "denoised",
    ]  # fmt: skip
    assert [s for s, key in keys(other_ratio).items() if key != before[s]] == ["masked"]
    assert not set(keys(other_split).values()) & set(before.values())


def test_defaults_are_written_out_so_that_keys_do_not_hang_on_them(load):
    def explicit(c):
        c["models"]["egnn"]["options"] = {"radial": "squared"}
        c["strategies"]["masked"]["pretext"]["options"]["loss"] = "mean"

    assert [c.key for c in make_plan(load(explicit))] == [c.key for c in make_plan(load())]
    cell = make_plan(load())[0]
    assert cell.model.options["radial"] == "squared"
    assert cell.dataset.options["steps_between_frames"] == 50


def test_selection_and_seeds(load):
    suite = load()
    cells = make_plan(suite, seeds=3, select={"strategy": ["masked", "scratch"]})
    assert {(c.arm.strategy, c.seed) for c in cells} == {(s, n) for s in ("masked", "scratch") for n in range(3)}
    with pytest.raises(BenchmarkError, match=r"unknown strategy 'maskd'.*Did you mean 'masked'"):
        make_plan(suite, select={"strategy": ["maskd"]})
    with pytest.raises(BenchmarkError, match=r"field of --select 'molecule'.*Options of the datasets.*rigid"):
        make_plan(suite, select={"molecule": ["x"]})
    assert len(make_plan(suite, select={"rigid": ["False"]})) == len(make_plan(suite))
    with pytest.raises(BenchmarkError, match="unknown rigid 'True'; known are: False"):
        make_plan(suite, select={"rigid": ["True"]})
    with pytest.raises(BenchmarkError, match="at least 1"):
        make_plan(suite, seeds=0)


def test_a_scale_lays_its_values_over_the_common_part(load):
    def drop(c):
        c["scales"]["smoke"]["strategies"] = {
            "denoised": None,
            "masked": {"pretext": {"options": {"ratio": 0.75}}},
        }

    suite = load(drop)
    assert "denoised" not in suite.strategies
    assert suite.strategies["masked"].pretext.options["ratio"] == 0.75
    assert suite.strategies["masked"].label


@pytest.fixture
def load_own(tmp_path):
    """Load a suite that extends `water`, written as given."""

    def loader(**content):
        texts = {"extends": "water", "name": "own", "title": "Own", "description": "Own", "scales": {"smoke": {}}}
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump({**texts, **content}), encoding="utf-8")
        return load_suite(str(path), "smoke")

    return loader


def test_an_extending_suite_holds_what_differs(load_own):
    suite = load_own(models={"gns": None, "forcenet": {"options": {"layers": 1}}}, strategies={"denoised": None})
    water = load_suite("water", "smoke")
    assert suite.name == "own"
    assert [*suite.models] == ["egnn", "forcenet"]
    assert (suite.models["forcenet"].options["layers"], suite.models["forcenet"].options["hidden"]) == (1, 8)
    assert suite.training == water.training
    keys = {c.key for c in make_plan(suite)}
    assert len(keys & {c.key for c in make_plan(water)}) == 3, "EGNN's cells are the same work"


def test_what_extends_must_be_shipped_and_have_the_scale(load_own):
    with pytest.raises(BenchmarkError, match=r"'extends' 'watr'.*Did you mean 'water'"):
        load_own(extends="watr")
    with pytest.raises(BenchmarkError, match="'extends'"):
        load_own(extends=["water"])
    with pytest.raises(BenchmarkError, match="unknown scale 'smoke'; known are: huge"):
        load_own(scales={"huge": {}})


def test_shares_of_labels_become_datasets_that_share_their_pretraining(load_own):
    suite = load_own(datasets={"tip3p": {"labelled": [0.25, 1]}}, models={"gns": None, "forcenet": None})
    assert {name: entry.labelled for name, entry in suite.datasets.items()} == {"tip3p@25%": 0.25, "tip3p@100%": None}
    cells = {(c.arm.dataset, c.arm.strategy): c for c in make_plan(suite)}
    few, all_ = cells["tip3p@25%", "masked"], cells["tip3p@100%", "masked"]
    assert few.key != all_.key
    assert few.pretraining.key == all_.pretraining.key
    # All labels: the same work as where the share is not varied at all.
    assert all_.key in {c.key for c in make_plan(load_suite("water", "smoke"))}


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


def test_taking_away_what_is_not_there_is_refused(load_own):
    with pytest.raises(BenchmarkError, match=r"models\.gnss"):
        load_own(models={"gnss": None})


def test_an_extending_suite_has_its_own_name(load_own, tmp_path):
    (tmp_path / "nameless.yaml").write_text("extends: water\nscales: {smoke: {}}\n", encoding="utf-8")
    with pytest.raises(BenchmarkError, match="name: missing"):
        load_suite(str(tmp_path / "nameless.yaml"), "smoke")


def test_labels_say_what_the_options_are():
    """A merged entry must not keep the label of another value."""
    for name in available_suites():
        for scale in read_suite_file(name)["scales"]:
            for arm in load_suite(name, scale).strategies.values():
                for key, value in arm.pretext.options.items() if arm.pretext else ():
                    shown = {"ratio": r"ratio ([\d.]+)", "sd_A": r"sd ([\d.]+)"}.get(key)
                    found = re.search(shown, arm.label) if shown else None
                    assert found is None or float(found[1]) == value, (name, scale, arm.label)


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
        ("strategies/masked/pretext/options/ratios", 0.5, r"ratios: unknown key; allowed here: head, loss, ratio"),
        ("strategies/masked/pretext/kind", "maskin", r"unknown pretext kind 'maskin'; known are denoising, masking"),
        ("scales/smoke/datasets/tip3p/options/cutoff_A", 30, "cutoff_A"),
        ("scales/smoke/models/egnn/options/cutoff_A", 6.0, r"6.0 Å is over half the box.*at most 3"),
        ("baselines", ["scrath"], "baselines"),
        ("extra", 1, r"extra: unknown key"),
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


def test_unknown_names_and_unreadable_files(tmp_path):
    with pytest.raises(BenchmarkError, match=r"unknown suite 'wather'.*Did you mean 'water'"):
        load_suite("wather", "quick")
    with pytest.raises(BenchmarkError, match=r"unknown scale 'quik'.*Did you mean 'quick'"):
        load_suite("water", "quik")
    with pytest.raises(BenchmarkError, match="cannot be read"):
        load_suite(str(tmp_path / "none.yaml"), "quick")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1", encoding="utf-8")
    with pytest.raises(BenchmarkError, match="not valid YAML"):
        load_suite(str(broken), "quick")
    broken.write_text("- 1", encoding="utf-8")
    with pytest.raises(BenchmarkError, match="scales"):
        load_suite(str(broken), "quick")
