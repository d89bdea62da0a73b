"""Tests of files that were made with the locked versions: with others they say nothing."""

from __future__ import annotations

from importlib import metadata

import pytest

from tools.lock_parts import ENTRY, LOCK


def skip_unless_locked(*names: str) -> None:
    """Skip where an installed package has another version than the lock; without names, where any has."""
    for entry in ENTRY.finditer(LOCK.read_text(encoding="utf-8")):
        if names and entry["name"] not in names:
            continue
        try:
            installed = metadata.version(entry["name"])
        except metadata.PackageNotFoundError:
            installed = "none"
        if installed != entry["release"]:
            pytest.skip(f"{entry['name']} is {installed} here and {entry['release']} in the lock")
