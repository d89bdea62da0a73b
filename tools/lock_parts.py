"""The parts of requirements.lock that running needs (the dependencies without the extras), and building from source."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
HEADS = {
    "requirements-runtime.lock": "What of requirements.lock running needs, without the tools of development; the image "
    "installs it.",
    "requirements-build.lock": "What of requirements.lock builds TorchMD-Net, which is published as source, and the "
    "project; installed before them.",
}
"""By lock, what it says of itself."""
BUILDERS = ("setuptools", "setuptools-scm")
ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<release>\S+)(?: \\\n    --hash=\S+)*$", re.MULTILINE)
"""A pin and the hashes of its files."""


def needed(wanted_first: Iterable[str]) -> set[str]:
    """Names of the packages of requirements, and of those that they require, as they are installed here."""
    waiting = [Requirement(text) for text in wanted_first]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            if name in _locked():  # of torch's CUDA packages none is
                sys.exit(
                    f"{name} is in {LOCK.name} and not installed here, so that what it needs is not known. "
                    "Call `make env`, then `.venv/bin/python -m tools.lock_parts`"
                )
            continue
        for requirement in map(Requirement, requires):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append(requirement)
    return {name for name, _ in seen}


def _locked() -> set[str]:
    return {canonicalize_name(entry["name"]) for entry in ENTRY.finditer(LOCK.read_text(encoding="utf-8"))}


def part(name: str) -> str:
    """The content of one of the locks that are parts of requirements.lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = needed(project["dependencies"] if name == "requirements-runtime.lock" else BUILDERS)
    entries = ENTRY.finditer(LOCK.read_text(encoding="utf-8"))
    kept = [entry[0] for entry in entries if canonicalize_name(entry["name"]) in names]
    head = f"# {HEADS[name]}\n# Written by `make lock`; change versions there or in pyproject.toml, not here.\n"
    return head + "\n".join(kept) + "\n"


if __name__ == "__main__":
    for name in HEADS:
        (ROOT / name).write_text(part(name), encoding="utf-8")
