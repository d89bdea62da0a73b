"""Settings for all arms alike, the suite that tries them, and the suite with the best."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import yaml

from benchmark.errors import BenchmarkError
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite
from benchmark.planning.tuning import FIRST_SEED, make_settings, rates, tuned_content, tuning_suite

ARMS = ["scratch", "scratch-extended", "masked", "denoised"]


def test_settings_are_spread_evenly_in_the_logarithm_and_the_first_is_the_suites_own():
    settings = make_settings(9, factor=4)
    assert settings[0] == (1, 1)
    for axis in np.array(settings[1:]).T:
        logs = np.sort(np.log(axis) / np.log(4))
        assert logs.min() >= -1
        assert logs.max() <= 1
        # One in each eighth: arms without pretraining are tried with as many rates as the others.
        assert (np.floor((logs + 1) / 2 * 8) == np.arange(8)).all()
    assert settings == make_settings(9, factor=4)
    assert settings != make_settings(9, factor=4, seed=1)
    for trials, factor in ((1, 4), (3, 1.0), (3, math.nan), (3, math.inf)):
        with pytest.raises(BenchmarkError, match="at least 2 trials"):
            make_settings(trials, factor)


def test_every_arm_is_tried_with_the_same_settings_on_seeds_of_their_own():
    suite, settings = load_suite("tip3p", "smoke"), make_settings(3, factor=4)
    tried = tuning_suite(suite, ["tip3p"], "egnn", ARMS, settings)
    cells = {
        cell.arm.strategy: cell for cell in make_plan(tried, seeds=1, select={"model": ["egnn"]}, first_seed=FIRST_SEED)
    }
    assert set(cells) == {f"{arm}~{number}" for arm, number in itertools.product(ARMS, range(3))}
    assert {cell.seed for cell in cells.values()} == {FIRST_SEED}
    for number, setting in enumerate(settings):
        for arm in ARMS:
            cell = cells[f"{arm}~{number}"]
            assert cell.phase.lr == pytest.approx(1e-3 * setting.finetune, rel=0.01)
            assert cell.phase.lr_min == pytest.approx(1e-5 * setting.finetune, rel=0.01)
            if cell.pretraining:
                assert cell.pretraining.phase.lr == pytest.approx(1e-3 * setting.pretrain, rel=0.01)
    # The suite's own setting is the suite's own work.
    own = {c.arm.strategy: c.key for c in make_plan(suite, 1, {"model": ["egnn"]}, first_seed=FIRST_SEED)}
    assert {arm: cells[f"{arm}~0"].key for arm in ARMS} == own


def test_arms_matched_by_name_are_matched_to_the_same_trial(load_own):
    suite = load_own(strategies={"scratch-extended": {"extended": "masked"}})
    tried = tuning_suite(suite, ["tip3p"], "egnn", ARMS, make_settings(2, 4))
    assert tried.strategies["scratch-extended~1"].extended == "masked~1"
    with pytest.raises(BenchmarkError, match="which --select leaves out"):
        tuning_suite(suite, ["tip3p"], "egnn", ["scratch-extended"], make_settings(2, 4))


def test_datasets_with_rates_of_their_own_are_tuned_one_by_one(load_own):
    more = {"kind": "tip3p", "options": {"molecules": 9}, "training": {"finetune": {"lr": 5e-4}}}
    smoke = load_suite("tip3p", "smoke").datasets["tip3p"].options
    suite = load_own(datasets={"more": {**more, "options": {**smoke, "molecules": 9}}})
    with pytest.raises(BenchmarkError, match="other learning rates on some of the datasets tip3p, more"):
        tuning_suite(suite, ["tip3p", "more"], "egnn", ARMS, make_settings(2, 4))


def test_the_written_suite_is_the_tuned_one_with_the_chosen_rates(tmp_path):
    suite, settings = load_suite("tip3p", "smoke"), make_settings(3, factor=4)
    chosen = {arm: rates(suite, "tip3p", "egnn", arm, settings[2]) for arm in ("scratch", "masked")}
    content = tuned_content("tip3p", suite, ["tip3p"], "egnn", chosen)
    path = tmp_path / "tuned.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    tuned = load_suite(str(path), "smoke")
    assert [*tuned.strategies] == ["scratch", "masked"]
    assert [*tuned.models] == ["egnn"]
    assert tuned.baselines == ["scratch"]
    tried = tuning_suite(suite, ["tip3p"], "egnn", ["scratch", "masked"], settings)
    keys = {c.arm.strategy: c.key for c in make_plan(tried, select={"model": ["egnn"]})}
    assert {c.arm.strategy: c.key for c in make_plan(tuned)} == {arm: keys[f"{arm}~2"] for arm in ("scratch", "masked")}


def test_a_suite_of_ones_own_is_written_whole(own, tmp_path):
    source = str(own())
    suite = load_suite(source, "tiny")
    arms = [*suite.strategies]
    chosen = {arm: rates(suite, "a", "egnn", arm, make_settings(2, 4)[1]) for arm in arms}
    path = tmp_path / "tuned.yaml"
    content = tuned_content(source, suite, ["a", "b"], "egnn", chosen)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    tuned = load_suite(str(path), "tiny")
    assert tuned.datasets == suite.datasets
    assert tuned.strategies["masked"].training == chosen["masked"]
