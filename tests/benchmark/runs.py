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

import pandas as pd
import pytest
import torch
from rich.console import Console

from benchmark.cli.main import main
from benchmark.executors import local
from benchmark.run import execute as execution
from benchmark.run.execute import execute, prepare
from benchmark.run.progress import Display

ROOT = Path(__file__).parents[2]

ONE = ("--select", "model=egnn")
"""One network suffices where the engine is tested."""


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
    out, errors, threads = io.StringIO(), io.StringIO(), torch.get_num_threads()
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        patch.setattr(execution, "run_jobs", in_turn)
        patch.setattr(local, "start_server", lambda device, threads: None)
        patch.setattr(sys, "argv", ["nnp-bench", *map(str, arguments)])
        patch.setenv("PYTHONSAFEPATH", "1")
        with pytest.raises(SystemExit) as ended:
            main()
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)
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
    printed, threads = io.StringIO(), torch.get_num_threads()
    planned = prepare(suite, data_dir, out=out, jobs=1, device="cpu", **options)
    with pytest.MonkeyPatch.context() as patch, Display(Console(file=printed, width=1000)) as display:
        patch.setattr(execution, "run_jobs", in_turn)
        execute(planned, display)
    torch.set_num_threads(threads)
    return printed.getvalue()


def records(run: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted(run.glob("cells/*/record.parquet"))])


def contents(folder: Path) -> dict[str, float]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
