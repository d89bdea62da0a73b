"""What is wrong is told at once: before anything is imported that takes seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.benchmark.runs import ROOT

HEAVY = ("torch", "matplotlib", "seaborn", "MDAnalysis", "openmm", "lightning")
CODE = f"""
import sys
from benchmark.cli.main import main
try:
    main()
except SystemExit as end:
    print(end.code, [name for name in {HEAVY} if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (0, ["run", "--help"]),
        (2, ["run", "--suite", "watr"]),
        (2, ["run", "--suite", "water", "--select", "model=egn"]),
        (2, ["run", "--suite", "water", "--jobs", "0"]),
        (2, ["run", "--suite", "water", "--device", "tpu"]),
        (2, ["run", "--suite", "water", "--reuse", "nowhere"]),
        (2, ["data", "prepare", "--suite", "watr"]),
        (2, ["data", "prepare", "--suite", "water", "--select", "model=egn"]),
        (2, ["report", "nowhere"]),
        (2, ["status", "nowhere"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_nothing_heavy_is_imported_before_a_refusal(code, arguments):
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"{code} []", done.stderr
