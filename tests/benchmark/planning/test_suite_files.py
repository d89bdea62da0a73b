"""Finding, reading and merging suite files."""

from __future__ import annotations

import pytest

from benchmark.errors import BenchmarkError
from benchmark.planning.config import load_suite
from benchmark.planning.planner import make_plan


def test_a_scale_lays_its_values_over_the_common_part(load):
    def drop(c):
        del c["primary"]  # of what is dropped
        c["scales"]["smoke"]["strategies"] = {
            "denoised": None,
            "masked": {"pretext": {"options": {"ratio": 0.75}}},
        }

    suite = load(drop)
    assert "denoised" not in suite.strategies
    assert suite.strategies["masked"].pretext.options["ratio"] == 0.75
    assert suite.strategies["masked"].label


def test_an_extending_suite_holds_what_differs(load_own):
    suite = load_own(models={"gns": None, "forcenet": {"options": {"layers": 1}}}, strategies={"denoised": None})
    water = load_suite("water", "smoke")
    assert suite.name == "own"
    assert [*suite.models] == ["egnn", "forcenet"]
    assert (suite.models["forcenet"].options["layers"], suite.models["forcenet"].options["hidden"]) == (1, 8)
    assert suite.training == water.training
    # It asks a question of its own.
    assert water.primary
    assert not suite.primary
    keys = {c.key for c in make_plan(suite)}
    assert len(keys & {c.key for c in make_plan(water)}) == 3, "EGNN's cells are the same work"


def test_what_extends_must_be_shipped_and_have_the_scale(load_own):
    with pytest.raises(BenchmarkError, match=r"'extends' 'watr'.*Did you mean 'water'"):
        load_own(extends="watr")
    with pytest.raises(BenchmarkError, match="'extends'"):
        load_own(extends=["water"])
    with pytest.raises(BenchmarkError, match="unknown scale 'smoke'; known are: huge"):
        load_own(scales={"huge": {}})


def test_taking_away_what_is_not_there_is_refused(load_own):
    with pytest.raises(BenchmarkError, match=r"models\.gnss"):
        load_own(models={"gnss": None})


def test_an_extending_suite_has_its_own_name(load_own, tmp_path):
    (tmp_path / "nameless.yaml").write_text("extends: water\nscales: {smoke: {}}\n", encoding="utf-8")
    with pytest.raises(BenchmarkError, match="name: missing"):
        load_suite(str(tmp_path / "nameless.yaml"), "smoke")


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
