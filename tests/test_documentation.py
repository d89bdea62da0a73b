"""The documentation keeps to the code: its links, the files and tests that it names, the reference, and versions."""

from __future__ import annotations

import re
import tomllib

import jsonschema
import pytest
import yaml

from benchmark.planning.reading import load_suite
from benchmark.planning.suite_files import available_suites
from tasks.registry import DATASETS, LABELLERS, MODELS, PRETEXTS
from tests.benchmark.runs import ROOT
from tests.own_package import FILE_BLOCK
from tools.reference import files
from tools.suite_schema import suite_schema

GENERATED = ROOT / "docs" / "reference"
PAGES = [
    *ROOT.glob("*.md"),
    *(path for path in (ROOT / "docs").rglob("*.md") if not path.is_relative_to(GENERATED)),
]
LINK = re.compile(r"\]\((?!\w+:)(?P<path>[^)#]*)(#[^)]*)?\)")
NAMED_FILE = re.compile(r"`((?:benchmark|tasks|reports|tests|docs|tools)/[\w./-]*\.\w+|[\w.-]+\.(?:lock|cff))`")
NAMED_TEST = re.compile(r"`(test_\w+)`")


@pytest.fixture(scope="module")
def reference():
    return files()


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(suite_schema())
    return jsonschema.Draft202012Validator(suite_schema())


def guide_example():
    """The suite in the guide to suites."""
    page = (ROOT / "docs" / "guide" / "suites.md").read_text(encoding="utf-8")
    return re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_named_files_and_tests_exist(page, reference):
    text = page.read_text(encoding="utf-8")
    for link in LINK.finditer(text):
        target = (page.parent / link["path"]).resolve()
        assert target.name in reference if target.parent == GENERATED else target.exists(), link[0]
    for name in NAMED_FILE.findall(text):
        written = name.removeprefix("docs/reference/") in reference
        assert written or (ROOT / name).exists(), name
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for name in NAMED_TEST.findall(text):
        assert f"def {name}(" in tests, name


@pytest.mark.parametrize(
    ("page", "registry"),
    [("datasets.md", DATASETS), ("models.md", MODELS), ("pretexts.md", PRETEXTS), ("labellers.md", LABELLERS)],
)
def test_the_reference_has_every_option_of_every_kind(reference, page, registry):
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", reference[page], re.MULTILINE | re.DOTALL))
    assert list(sections) == registry.kinds()
    for kind, section in sections.items():
        rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
        assert [row[0].strip("`") for row in rows] == list(registry.get(kind).Config.model_fields)
        assert all(row[1] and row[2] and len(row[-1]) > 10 for row in rows), kind


def test_a_row_of_the_reference(reference):
    assert "| `ratio` | number > 0, ≤ 1 | `0.5` | Share of each structure's molecules" in reference["pretexts.md"]
    assert "| `sd_A` | number > 0 or list of number > 0 or mapping | `0.5` | Å | Standard" in reference["pretexts.md"]


@pytest.mark.parametrize("path", available_suites().values(), ids=lambda path: path.stem)
def test_the_schema_accepts_the_shipped_suites(validator, path):
    validator.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", ["own-structures", "own-model"])
def test_the_schema_accepts_the_suites_of_the_guide(validator, page):
    text = (ROOT / "docs" / "guide" / f"{page}.md").read_text(encoding="utf-8")
    suites = [block["content"] for block in FILE_BLOCK.finditer(text) if block["name"] == "own.yaml"]
    assert len(suites) == 1
    validator.validate(yaml.safe_load(suites[0]))


def test_the_example_of_the_guide_is_a_suite(validator, tmp_path):
    path = tmp_path / "wide.yaml"
    path.write_text(guide_example(), encoding="utf-8")
    validator.validate(yaml.safe_load(guide_example()))
    for scale, width in (("smoke", 16), ("quick", 96)):
        suite = load_suite(str(path), scale)
        assert set(suite.models) == {"egnn", "egnn-wide"}
        assert set(suite.strategies) == {"scratch", "scratch-extended", "masked"}
        assert suite.models["egnn-wide"].options["hidden"] == width


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"titel": "x"}, ""),
        ({"models": {"egnn": {"kind": "egnn", "options": {"hiden": 8}}}}, "models"),
        ({"models": {"egnn": {"kind": "egnn", "options": {"radial": "cubed"}}}}, "models"),
        ({"datasets": {"own": {"kind": "tip3p", "split": {"tset": 0.1}}}}, "datasets"),
        ({"strategies": {"m": {"label": "m", "pretext": {"kind": "masking", "options": {"ratio": 2}}}}}, "strategies"),
        ({"scales": {"smoke": {"training": {"finetune": {"epochs": 1.5}}}}}, "scales.smoke"),
        ({"scales": {}}, "scales"),
    ],
)
def test_the_schema_refuses_what_is_wrong(validator, change, place):
    suite = {"name": "own", "title": "Own", "description": "Own.", "scales": {"smoke": {}}}
    validator.validate(suite)
    assert [".".join(error.absolute_path) for error in validator.iter_errors(suite | change)] == [place]


def test_the_page_of_suites_has_all_with_their_scales():
    page = (ROOT / "docs" / "guide" / "suites.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[\w`, -]+) \| ([a-z, -]+) \|", page, flags=re.MULTILINE)
    told = {name: scales.split(", ") for names, scales in rows for name in re.findall(r"`([\w-]+)`", names)}
    assert told == {
        name: [*yaml.safe_load(path.read_text(encoding="utf-8"))["scales"]] for name, path in available_suites().items()
    }


def test_the_newest_version_of_the_changelog_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == project["version"]
    assert len(set(versions)) == len(versions)
