"""Locks, declared dependencies and workflows agree."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.locked import skip_unless_locked
from tools.lock_parts import ENTRY, HEADS, part

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins(name: str) -> dict[str, str]:
    """Release of each package of a lock."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return {entry["name"]: entry["release"] for entry in ENTRY.finditer(text)}


def test_locks_are_sorted_whatever_the_language_of_who_writes_them():
    for name in ("requirements.lock", *HEADS):
        names = list(pins(name))
        assert names == sorted(names), name


def test_the_locks_of_the_image_are_the_parts_of_the_lock_that_running_and_building_need():
    skip_unless_locked()
    for name in HEADS:
        assert (ROOT / name).read_text(encoding="utf-8") == part(name)
    small, whole = pins("requirements-runtime.lock"), pins("requirements.lock")
    assert small.items() < whole.items()
    assert {"warp-lang", "typer", "ase"} <= small.keys()
    assert not {"pytest", "mypy", "playwright", "zensical"} & small.keys()
    assert {"setuptools", "setuptools-scm"} <= pins("requirements-build.lock").keys()


def test_all_but_torch_is_installed_by_its_hash():
    """pip wants a hash of each as soon as one has one; torch's builds differ in theirs."""
    for name in ("requirements.lock", *HEADS):
        text = (ROOT / name).read_text(encoding="utf-8")
        entries = list(ENTRY.finditer(text))
        assert re.findall(r"^[^#\n].*", ENTRY.sub("", text), re.MULTILINE) == []
        assert all(re.search(r"--hash=sha256:[0-9a-f]{64}$", entry[0]) for entry in entries)
        assert "torch" not in {entry["name"] for entry in entries}
    assert re.fullmatch(r"[\d.]+", pins("requirements-torch.lock")["torch"]), "the CPU build or any other"


def test_the_lock_is_within_the_ranges_of_the_project():
    both = pins("requirements.lock") | pins("requirements-torch.lock")
    locked = {canonicalize_name(package): release for package, release in both.items()}
    extras = [text for group in ("dev", "docs") for text in PROJECT["optional-dependencies"][group]]
    for requirement in map(Requirement, [*PROJECT["dependencies"], *extras]):
        release = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(release), f"{requirement} and {release}"


def test_what_is_imported_is_declared():
    """By the package that ships a module; what merely comes along may go away again."""
    extras = PROJECT["optional-dependencies"]
    texts = [*PROJECT["dependencies"], *extras["xtb"], *extras["cluster"], *extras["torch-sim"]]
    declared = {canonicalize_name(Requirement(text).name) for text in texts}
    # What is not installed for the tests cannot be looked up.
    owners = {"torch_sim": ["torch-sim-atomistic"], **metadata.packages_distributions()}
    imported = set()
    for path in (path for room in ("benchmark", "tasks", "reports") for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            imported |= {name.partition(".")[0] for name in names}
    outside = imported - {*sys.stdlib_module_names, "benchmark", "tasks", "reports"}
    missing = [
        name for name in outside if not {canonicalize_name(owner) for owner in owners.get(name, [name])} & declared
    ]
    assert not missing


def test_workflows_test_the_versions_that_the_project_names():
    content = yaml.safe_load((ROOT / ".github" / "workflows" / "platforms.yml").read_text(encoding="utf-8"))
    versions = content["jobs"]["newest"]["strategy"]["matrix"]["python"]
    assert PROJECT["requires-python"] == f">={versions[0]}"
    assert f"Python {versions[0]} to\n{versions[-1]}" in (ROOT / "README.md").read_text(encoding="utf-8")
