"""The real command line, and what a run leaves, for tests."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from benchmark.cli.main import main
from benchmark.executors import local
from benchmark.run import execute as execution
from benchmark.run.execute import execute, prepare
from benchmark.run.watching.progress import Display
from reports.records.record import METRICS

ROOT = Path(__file__).parents[2]

ONE = ("--select", "model=egnn")
"""One network suffices where the engine is tested."""


TOLERANCE = 1e-3
"""Relative, on errors after a few steps: sums of float32 are taken in another order, and AdamW amplifies the last
bit where a gradient almost vanishes."""


def command(*arguments, cwd=ROOT, **environment):
    """What the command line did; further keywords are variables of its environment."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "benchmark", *map(str, arguments)],  # -P: as the installed command does
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
        check=False,
    )


def inside(*arguments):
    """The same in this process, jobs in turn: where no test depends on processes, which take seconds to start."""
    out, errors = io.StringIO(), io.StringIO()
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        patch.setattr(execution, "run_jobs", in_turn)
        patch.setattr(local, "start_server", lambda device, threads: None)
        patch.setattr(sys, "argv", ["nnp-bench", *map(str, arguments)])
        patch.setenv("PYTHONSAFEPATH", "1")
        with pytest.raises(SystemExit) as ended:
            main()
    signal.signal(signal.SIGTERM, handler)
    return CompletedProcess(arguments, ended.value.code, out.getvalue(), errors.getvalue())


def start(*arguments):
    """The same without waiting for its end."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmark", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def in_turn(jobs, workers, on_change, may_start=None):
    """In place of ``run_jobs``: in this process, as workers would cost seconds each to start."""
    for job in jobs:
        if may_start is None or may_start(job, []):
            job.run()
            on_change([], job)


def run_here(suite, data_dir: Path, out: Path, **options) -> str:
    """Run a suite in this process; returns what was printed."""
    printed = io.StringIO()
    planned = prepare(suite, data_dir, out=out, jobs=1, device="cpu", **options)
    shown = Display(Console(file=printed, width=1000))
    with pytest.MonkeyPatch.context() as patch, shown as display:
        patch.setattr(execution, "run_jobs", in_turn)
        execute(planned, display)
    return printed.getvalue()


def records(run: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted(run.glob("cells/*/record.parquet"))])


def compare(folder, made):
    """Records, curves and checkpoints are those of one process, but for rounding, times and memory."""
    place = ["cell_key", "split", "checkpoint"]
    rows = records(folder).set_index(place)
    expected = records(made).set_index(place).loc[rows.index]
    assert set(rows["status"]) == {"ok"}
    for name in (*METRICS, "handover_force_rms"):
        np.testing.assert_allclose(rows[name], expected[name], rtol=TOLERANCE, err_msg=name)
    for name in ("finetune_steps", "pretrain_steps", "best_epoch", "n_frames", "n_atoms", "split_hash"):
        assert list(rows[name]) == list(expected[name]), name
    for path in folder.glob("*/*/curves.parquet"):
        curves, before = pd.read_parquet(path), pd.read_parquet(made / path.relative_to(folder))
        place = ["phase", "epoch", "step", "split", "metric"]
        assert curves[place].equals(before[place])
        np.testing.assert_allclose(curves["value"], before["value"], rtol=TOLERANCE, atol=1e-6)
    for path in folder.glob("*/*/*.ckpt"):
        saved, before = (torch.load(p, weights_only=True) for p in (path, made / path.relative_to(folder)))
        assert (saved["epoch"], saved["global_step"]) == (before["epoch"], before["global_step"])
        assert saved["state_dict"].keys() == before["state_dict"].keys()
        for name, weight in before["state_dict"].items():
            torch.testing.assert_close(saved["state_dict"][name], weight, rtol=TOLERANCE, atol=1e-4)
    return rows


def contents(folder: Path) -> dict[str, float]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
