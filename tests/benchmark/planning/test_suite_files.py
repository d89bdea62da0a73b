"""Finding, reading and merging suite files."""

from __future__ import annotations

import pytest
import yaml

from benchmark.errors import BenchmarkError
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite
from benchmark.planning.suite_files import content_at_scale


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


def test_what_is_inherited_is_inherited(tmp_path):
    """Title, description and scales of the suite below, and through any number of files of one's own."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "first.yaml").write_text("extends: rmd17\nname: first\nstrategies: {denoised: null}\n", "utf-8")
    (tmp_path / "mine" / "second.yaml").write_text(
        "extends: ../first.yaml\nname: second\ntitle: Mine\nscales: {smoke: {seeds: 2}}\n", "utf-8"
    )
    below, first = load_suite("rmd17", "smoke"), load_suite(str(tmp_path / "first.yaml"), "smoke")
    assert (first.title, first.description, first.training) == (below.title, below.description, below.training)
    second = load_suite(str(tmp_path / "mine" / "second.yaml"), "smoke")
    assert (second.name, second.title, second.description, second.seeds) == ("second", "Mine", below.description, 2)
    assert [*second.strategies] == [*first.strategies] == [name for name in below.strategies if name != "denoised"]
    assert load_suite(str(tmp_path / "first.yaml"), "quick").seeds == 3
    with pytest.raises(BenchmarkError, match="unknown scale 'quick'; known are: smoke"):
        load_suite(str(tmp_path / "mine" / "second.yaml"), "quick")


def test_suites_that_extend_each_other_are_refused(tmp_path):
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{one}.yaml").write_text(f"extends: {other}.yaml\nname: {one}\n", "utf-8")
    with pytest.raises(BenchmarkError, match=r"in a circle: .*a\.yaml -> .*b\.yaml -> .*a\.yaml"):
        load_suite(str(tmp_path / "a.yaml"), "smoke")


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


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/b", "", ".hidden", "-x", "a b", "a\nb", "x" * 101])
def test_names_are_names_and_no_paths(load_own, name):
    with pytest.raises(BenchmarkError, match=r"name: Value error, a name has up to 100 letters"):
        load_own(name=name)
    with pytest.raises(BenchmarkError, match=r"(?s)models\..*a name has up to 100 letters"):
        load_own(models={name: {"kind": "egnn", "options": {"hidden": 7}}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"batch_size": 10**12}}, "batch_size: Input should be less than or equal to 1000000"),
        ({"training": {"finetune": {"epochs": 10**20}}}, "epochs: Input should be less than or equal to 1000000"),
        ({"models": {"egnn": {"options": {"hidden": 10**9}}}}, "hidden: Input should be less than or equal to 4096"),
        ({"seeds": 10**6}, r"these are \d+ cells; a run folder holds at most 100000.*--seeds"),
    ],
)
def test_numbers_beyond_any_use_are_refused_at_once(load_own, changes, message):
    with pytest.raises(BenchmarkError, match=message):
        make_plan(load_own(**changes))


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: " + "[" * 3000, "d: 2020-99-99", "\ud800"])
def test_hostile_files_are_refused_by_name(tmp_path, text):
    path = tmp_path / "hostile.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(BenchmarkError, match=r"hostile\.yaml is not valid YAML"):
        load_suite(str(path), "quick")


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("bodies/{seed}.pt", "~/suites/bodies/{seed}.pt"),
        ("../body.pt", "~/body.pt"),
        ("~/body.pt", "~/body.pt"),
        ("/data/body.pt", "/data/body.pt"),
    ],
)
def test_files_of_pretexts_are_seen_from_the_suite_file_and_name_no_user(tmp_path, monkeypatch, path, seen):
    """Also where another file extends it, and where a scale says so."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "suites").mkdir()
    arm = {"given": {"label": "g", "pretext": {"kind": "file", "options": {"path": path}}}}
    base = {"extends": "water", "name": "base", "scales": {"smoke": {"strategies": arm}}}
    (tmp_path / "suites" / "base.yaml").write_text(yaml.safe_dump(base))
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"extends": "suites/base.yaml", "name": "own"}))
    found = content_at_scale(str(tmp_path / "own.yaml"), "smoke")
    assert found["strategies"]["given"]["pretext"]["options"]["path"] == seen
