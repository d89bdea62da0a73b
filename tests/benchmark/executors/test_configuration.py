"""Parsl's configurations: those of the guide can be used, and what is wrong with one is said before anything runs."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from benchmark.executors.configuration import read_configuration
from tests.benchmark.runs import ROOT

HEAD = """
from parsl import Config
from parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from parsl.providers import LocalProvider
def htex(**more):
    more = {"address": "127.0.0.1", "provider": LocalProvider(), "max_workers_per_node": 1} | more
    return HighThroughputExecutor(**more)
"""
SLURM = "from parsl.providers import SlurmProvider\n"


@pytest.fixture
def written(tmp_path):
    """The path of a configuration with a few lines of its own."""

    def write(lines, head=HEAD):
        path = tmp_path / "there.py"
        path.write_text(head + lines, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("name", "slots", "threads", "device", "begin_epochs_s"),
    [("laptop.py", 2, 1, "cpu", None), ("gpus.py", 16, 4, "cuda", None), ("slurm.py", 16, 8, "cuda", 12_960)],
)
def test_the_configurations_of_the_guide(guide, name, slots, threads, device, begin_epochs_s, tmp_path):
    found = read_configuration(guide(name))
    assert (found.slots, found.threads, found.device("auto")) == (slots, threads, device)
    assert found.begin_epochs_s == begin_epochs_s
    assert found.device("cpu") == "cpu"
    assert found.retries > 0
    found.adapt(tmp_path)
    assert found.config.retries == 0, "it is not Parsl that hands over again"
    assert Path(found.config.run_dir) == tmp_path / "executor"
    assert found.executor.drain_period == begin_epochs_s
    assert found.provider.worker_init.startswith(f'export PATH="{Path(sys.executable).parent}:$PATH"\n')


def test_what_a_file_says_itself_is_kept(written, tmp_path):
    slurm = 'config = Config([htex(drain_period=90, provider=SlurmProvider(walltime="01:00:00"))], run_dir="elsewhere")'
    found = read_configuration(written(SLURM + slurm))
    found.adapt(tmp_path)
    assert (found.begin_epochs_s, found.executor.drain_period, found.config.run_dir) == (90, 90, "elsewhere")


@pytest.mark.parametrize(("walltime", "begins"), [("10:00:00", 32_400), ("00:20:00", 900), ("00:06:00", 180)])
def test_of_a_wall_time_enough_is_left_for_an_epoch(written, walltime, begins):
    lines = f"{SLURM}config = Config([htex(provider=SlurmProvider(walltime={walltime!r}))])"
    assert read_configuration(written(lines)).begin_epochs_s == begins


@pytest.mark.parametrize(
    ("lines", "fragments"),
    [
        ("", ["names no `config`", "Config(...)", "clusters.md"]),
        ("config = 3", ["names a `config` that is a int"]),
        ("config = (", ["line 8: SyntaxError"]),
        ("\n\nconfig = Config(executor=1)", ["line 10: TypeError", "executor"]),
        ("import nowhere", ["line 8: ModuleNotFoundError", "nowhere"]),
        ("raise SystemExit(3)", ["SystemExit: 3"]),
        ("config = Config()", ["ThreadPoolExecutor", "one HighThroughputExecutor"]),
        ('config = Config([htex(label="a"), htex(label="b")])', ["nodes of one kind"]),
        ('config = Config([htex()], strategy="none")', ["strategy 'none'", "htex_auto_scale"]),
        ("config = Config([htex(max_workers_per_node=None)])", ["how many jobs run on a node", "max_workers_per_node"]),
        ("config = Config([htex(provider=LocalProvider(max_blocks=0))])", ["no job would ever run", "max_blocks 0"]),
        (SLURM + 'config = Config([htex(provider=SlurmProvider(walltime="30 min"))])', ["'30 min'", "HH:MM:SS"]),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_words(refuse, written, lines, fragments):
    path = written(lines)
    refuse("run", "--suite", "water", "--executor", path, fragments=[str(path), *fragments])


def test_a_file_that_is_not_there_and_parsl_not_installed(refuse, written, monkeypatch):
    refuse("run", "--suite", "water", "--executor", "nowhere.py", fragments=["nowhere.py", "no such file"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refuse("run", "--suite", "water", "--executor", written(""), fragments=["pip install '.[cluster]'"])


def test_parsl_is_imported_with_the_option_alone():
    """One module loads it when it is loaded itself, and that one is loaded where there is a configuration."""
    for path in (path for room in ("benchmark", "tasks", "reports") for path in (ROOT / room).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
        found = {name for name in names if name.split(".")[0] == "parsl" or name == "benchmark.executors.cluster"}
        assert not found or path == ROOT / "benchmark" / "executors" / "cluster.py", path


def test_the_guide_says_what_the_program_does():
    page = (ROOT / "docs" / "guide" / "clusters.md").read_text(encoding="utf-8")
    assert re.search(r"without it, from a tenth of `walltime` before its end, at least 5 minutes", page)
