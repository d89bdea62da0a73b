"""The configurations of the guide to clusters, and a suite that takes long enough for things to happen to it."""

from __future__ import annotations

import io
import os
from functools import cache
from types import SimpleNamespace

import pandas as pd
import pytest
from rich.console import Console

from benchmark.executors import cluster
from benchmark.executors.configuration import read_configuration
from benchmark.planning.reading import read_suite
from benchmark.run import execute as execution
from benchmark.run.execute import execute, prepare
from benchmark.run.watching.progress import Display
from tests.benchmark.own_suite import TRAINING, arms, entry, suite_writer
from tests.benchmark.runs import ROOT, in_turn, records
from tests.own_package import FILE_BLOCK

TIMING = ["pretrain_seconds", "finetune_seconds", "peak_memory_mb"]


@pytest.fixture
def guide(tmp_path):
    """Write a configuration of the guide, with lines added to it; returns the path."""
    page = (ROOT / "docs" / "guide" / "clusters.md").read_text(encoding="utf-8")
    files = {block["name"]: block["content"] for block in FILE_BLOCK.finditer(page)}

    def write(name, more=""):
        path = tmp_path / name
        path.write_text(files[name] + more, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def long(tmp_path_factory):
    """What runs a tiny network, here or elsewhere, and the numbers that it gives if nothing happens to it."""
    place = tmp_path_factory.mktemp("long")
    write = suite_writer(place)

    def run(out, executor=None, on_change=None, epochs=60, printed=None):
        """Run into a folder; `on_change` is called ten times a second. Returns what was printed."""
        printed = printed or io.StringIO()
        suite = write(
            datasets={"b": entry(write.files["b"], split={"val": 0.2, "test": 0.2})},
            strategies={name: arm for name, arm in arms().items() if name != "longer"},
            baselines=["scratch"],
            training={**TRAINING, "finetune": {**TRAINING["finetune"], "epochs": epochs}},
        )
        where = None if executor is None else read_configuration(executor)
        planned = prepare(
            read_suite(str(suite), "tiny"),
            place,
            out=out,
            jobs=os.cpu_count(),
            device="cpu",
            executor=where,
            compile_steps="never",
        )
        with pytest.MonkeyPatch.context() as patch, Display(Console(file=printed, width=1000)) as display:
            if where is None:
                patch.setattr(execution, "run_jobs", in_turn)
            else:
                patch.setattr(display, "update", _both(display.update, on_change))
                patch.setattr(cluster, "POLL_SECONDS", 0.1)
            execute(planned, display)
        return printed.getvalue()

    @cache
    def expected():
        run(place / "whole")
        return _numbers(place / "whole")

    return SimpleNamespace(run=run, expected=expected, numbers=_numbers)


def _numbers(run):
    return records(run).drop(columns=TIMING).sort_values(["strategy", "checkpoint", "split"]).reset_index(drop=True)


def _both(update, on_change):
    def call(running, ended):
        update(running, ended)
        if on_change is not None:
            on_change(running)

    return call


def assert_same(numbers, expected):
    """Bit for bit."""
    pd.testing.assert_frame_equal(numbers, expected, check_exact=True)
