"""The code of docs/guide/use.md, block by block, with the potentials of a finished run."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from benchmark.run.export import export
from tests.benchmark.runs import ROOT
from tests.own_package import FILE_BLOCK

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "guide" / "use.md"
SMALLER = {
    "MOLECULES, SIDE_A = 16, 7.83": "MOLECULES, SIDE_A = 8, 6.22",
    "STEPS = 20_000": "STEPS = 3",
    "steps=50": "steps=2",
    "maxIterations=50": "maxIterations=1",
}
"""What a smoke run and a test have instead."""
SAID = {
    "start.py": r"eV; [\d.]+ eV/Å at most",
    "with_ase.py": r"\d+ K",
    "with_openmm.py": r"kJ/mol",
    "with_a_committee.py": r"± [\d.]+ eV",
}


def test_the_pages_code_runs(smoke, data_dir, tmp_path):
    folder, _ = smoke
    export(folder, tmp_path / "water.pt", data_dir, select={"strategy": ["masked"]})
    export(folder, tmp_path / "committee", data_dir)
    blocks = {block["name"]: block["content"] for block in FILE_BLOCK.finditer(PAGE.read_text(encoding="utf-8"))}
    assert list(blocks) == list(SAID)
    joined = "\n".join(blocks.values())
    for before, after in SMALLER.items():
        assert before in joined
        blocks = {name: content.replace(before, after) for name, content in blocks.items()}
    for name, content in blocks.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert re.search(SAID[name], done.stdout), f"{name}: {done.stdout}"
