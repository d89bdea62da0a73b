"""The same seed gives the same record: bit for bit here, and to a tolerance that of any machine.

Where the numbers are meant to change, delete `tests/data/determinism.json`: the test writes it anew, and fails once.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from reports.records.record import METRICS
from tests.benchmark.runs import records

pytestmark = pytest.mark.slow

EXPECTED = Path(__file__).parents[2] / "data" / "determinism.json"


def numbers(run):
    """Every error of every record, by arm, checkpoint and set."""
    rows = records(run).set_index(["strategy", "checkpoint", "split"]).sort_index()
    return {"/".join(place): [float(value) for value in row] for place, *row in rows[[*METRICS]].itertuples(name=None)}


def machine(run):
    """On what sums are taken in the same order; of virtual machines, names of processors tell too little."""
    found = json.loads(next(run.glob("cells/*/provenance.json")).read_text())
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    told = sorted({line for line in lines if line.split("\t")[0] in ("cpu family", "model", "stepping", "flags")})
    processor = f"{found['hardware']['processor']} {hashlib.sha256(''.join(told).encode()).hexdigest()[:12]}"
    return [processor, found["hardware"]["threads"], found["versions"]["torch"]]


def test_a_second_run_gives_the_same_bits(made, tmp_path):
    made.run(tmp_path / "again")
    timing = ["pretrain_seconds", "finetune_seconds", "peak_memory_mb"]
    first, second = (records(run).drop(columns=timing) for run in (made.folder, tmp_path / "again"))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_the_numbers_are_those_of_other_machines(made):
    found = numbers(made.folder)
    if not EXPECTED.exists():
        content = {"machine": machine(made.folder), "errors": found}
        EXPECTED.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        pytest.fail(f"{EXPECTED} was missing and is written from this run: look at it, and commit it")
    expected = json.loads(EXPECTED.read_text())
    assert found.keys() == expected["errors"].keys()
    for place, errors in expected["errors"].items():
        assert found[place] == pytest.approx(errors, rel=2e-3), place
    if machine(made.folder) == expected["machine"]:
        assert found == expected["errors"], "on the same kind of processor, bit for bit"
