"""The tutorial: its notebook is made from its page, and runs from an empty folder to an answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmark.runs import ROOT
from tools.notebook import NOTEBOOK, PAGE, notebook


def code_cells():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_notebook_is_that_of_the_page():
    assert NOTEBOOK.read_text(encoding="utf-8") == notebook(PAGE.read_text(encoding="utf-8")), (
        "python -m tools.notebook"
    )


@pytest.mark.slow
def test_the_notebook_runs_at_the_smallest_scale(tmp_path, monkeypatch, capsys):
    """What Jupyter does with each cell, in a new folder; `smoke` in the place of `quick`."""
    monkeypatch.chdir(tmp_path)
    path = os.pathsep.join([os.fspath(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": os.fspath(ROOT), "NNP_BENCH_DATA": os.fspath(tmp_path)}
    names: dict = {"__name__": "__main__"}
    told = ""
    for code in code_cells():
        first, _, rest = code.replace("--scale quick", "--scale smoke").replace("-quick", "-smoke").partition("\n")
        if first.startswith("%%writefile "):
            Path(first.split()[1]).write_text(code.partition("\n")[2], encoding="utf-8")
        elif first.startswith("!"):
            assert not rest
            done = subprocess.run(
                first[1:], shell=True, capture_output=True, text=True, timeout=300, env=environment, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            told += done.stdout
        else:
            exec(f"{first}\n{rest}", names)
    printed = capsys.readouterr().out
    assert "nothing would stop the run" in told
    assert " note" not in told.partition("nothing would stop the run")[0]
    assert (tmp_path / "runs" / "tutorial-smoke" / "report" / "index.html").exists()
    assert "masked against scratch-extended:" in printed
    assert "labelled.extxyz, frame " in printed
