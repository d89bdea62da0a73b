"""The part of requirements.lock that running needs: what the project's own dependencies require, without its extras."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK, RUNTIME = ROOT / "requirements.lock", ROOT / "requirements-runtime.lock"
HEAD = """\
# The lines of requirements.lock that running needs, without the tools of development; the image installs them.
# Written by `make lock`; change versions there or in pyproject.toml, not here.
"""


def needed() -> set[str]:
    """Names of the packages that the project requires, and those that they require, as they are installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [Requirement(text) for text in project["dependencies"]]
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
            continue  # of torch's CUDA packages none is in the lock
        for requirement in map(Requirement, requires):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append(requirement)
    return {name for name, _ in seen}


def runtime_lock() -> str:
    """The content of requirements-runtime.lock."""
    names = needed()
    lines = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if re.match(r"\w", line)]
    kept = [line for line in lines if canonicalize_name(line.partition("==")[0]) in names]
    return HEAD + "\n".join(kept) + "\n"


if __name__ == "__main__":
    sys.stdout.write(runtime_lock())
