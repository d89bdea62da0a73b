"""Whole runs in this process: workers would cost seconds each to start."""

from __future__ import annotations

import io
import shutil
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from benchmark.planning.reading import read_suite
from benchmark.run import execute as execution
from benchmark.run.execute import execute, prepare
from benchmark.run.progress import Display
from tests.benchmark.own_suite import arms, entry, suite_writer
from tests.benchmark.runs import in_turn


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of one tiny network on ten frames, from scratch and pretrained, and the function that ran it."""
    place = tmp_path_factory.mktemp("made")
    write = suite_writer(place)
    suite = write(
        datasets={"b": entry(write.files["b"], split={"val": 0.2, "test": 0.2})},
        strategies={name: arm for name, arm in arms().items() if name != "longer"},
        baselines=["scratch"],
    )
    threads = torch.get_num_threads()

    def run(out, suite=suite, **options):
        """Run into a folder; returns what was printed."""
        printed = io.StringIO()
        planned = prepare(read_suite(str(suite), "tiny"), place, out=out, jobs=1, device="cpu", **options)
        with pytest.MonkeyPatch.context() as patch, Display(Console(file=printed, width=1000)) as display:
            patch.setattr(execution, "run_jobs", in_turn)
            execute(planned, display)
        torch.set_num_threads(threads)
        return printed.getvalue()

    run(place / "run")
    return SimpleNamespace(folder=place / "run", run=run, suite=suite, write=write)


@pytest.fixture
def copy(made, tmp_path):
    """A copy of the finished run."""
    shutil.copytree(made.folder, tmp_path / "run", ignore=shutil.ignore_patterns(".run.lock"))
    return tmp_path / "run"
