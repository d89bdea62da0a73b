"""A Parsl configuration, as its users write it: a Python file with a `config`, which says where jobs run."""

from __future__ import annotations

import importlib.util
import math
import re
import runpy
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError
from benchmark.executors import interchange

if TYPE_CHECKING:  # an extra, which is needed with --executor alone
    from parsl import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers.base import ExecutionProvider

GUIDE = "docs/guide/clusters.md has complete ones for a laptop, a node with GPUs, and Slurm"
RESERVE, LEAST_RESERVE_S = 0.1, 300.0
"""Of a wall time, kept for the epochs that are under way when it comes to its end: this share, or so many seconds."""


@dataclass(frozen=True)
class Configuration:
    """Where jobs run.

    Attributes:
        path: the file.
        config: Parsl's.
        executor: its one executor.
        slots: jobs at a time, on all nodes together.
        begin_epochs_s: so long after a block's workers have started, they begin jobs and epochs; None for no limit.
        retries: how often a job is handed over again that was lost without having got on.
    """

    path: Path
    config: Config
    executor: HighThroughputExecutor
    slots: int
    begin_epochs_s: int | None
    retries: int

    @property
    def provider(self) -> ExecutionProvider:
        """What it asks for nodes."""
        assert self.executor.provider is not None  # of all executors only others may have none
        return self.executor.provider

    @property
    def threads(self) -> int:
        """CPU threads of a job."""
        return max(1, int(self.executor.cores_per_worker))

    def device(self, name: str) -> str:
        """What `--device` stands for on the nodes: `auto` for a GPU where the workers are given some."""
        if name != "auto":
            return name
        return "cuda" if self.executor.available_accelerators else "cpu"

    def adapt(self, run: Path) -> None:
        """Complete what the file leaves to us, for a run in a folder."""
        config, executor, provider = self.config, self.executor, self.provider
        config.retries, config.retry_handler = 0, None  # a job that is handed over again gets another ticket
        if config.run_dir == "runinfo":
            config.run_dir = str(run / "executor")
        if executor.interchange_launch_cmd == ["interchange.py"]:
            executor.interchange_launch_cmd = [sys.executable, "-P", interchange.__file__]
        executor.drain_period = self.begin_epochs_s
        # Parsl looks for its commands on the path, where they are if the environment is activated. What the file does
        # on a node comes after it, and wins.
        if hasattr(provider, "worker_init"):
            provider.worker_init = f'export PATH="{Path(sys.executable).parent}:$PATH"\n{provider.worker_init}'


def read_configuration(path: Path) -> Configuration:
    """Read and check a configuration; nothing is started.

    Raises:
        BenchmarkError: if Parsl is not installed, or the file cannot be used.
    """
    if importlib.util.find_spec("parsl") is None:
        raise BenchmarkError(
            "--executor needs Parsl, which is not installed: pip install '.[cluster]' in the project's folder"
        )
    from parsl import Config

    config = _run(path).get("config")
    if not isinstance(config, Config):
        given = "names no `config`" if config is None else f"names a `config` that is a {type(config).__name__}"
        raise BenchmarkError(f"--executor {path}: {given}; `config = Config(...)` of Parsl was expected. {GUIDE}")
    executor, slots = _check(path, config)
    return Configuration(path, config, executor, slots, _begin_epochs_s(path, executor), config.retries)


def _run(path: Path) -> dict[str, Any]:
    """What a Python file defines."""
    if not path.is_file():
        raise BenchmarkError(f"--executor {path}: there is no such file. Give a Parsl configuration; {GUIDE}")
    try:
        return runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        number = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        line = f"line {number}: " if number is not None else ""
        raise BenchmarkError(f"--executor {path}: {line}{type(error).__name__}: {error}") from error


def _check(path: Path, config: Config) -> tuple[HighThroughputExecutor, int]:
    """The executor of a configuration, and how many jobs it takes at a time."""
    from parsl.executors import HighThroughputExecutor

    kinds = [type(executor).__name__ for executor in config.executors]
    executor = config.executors[0]
    if len(kinds) > 1 or not isinstance(executor, HighThroughputExecutor) or executor.enable_mpi_mode:
        raise BenchmarkError(
            f"--executor {path}: its executors are {', '.join(kinds)}; one HighThroughputExecutor was expected, which "
            "is Parsl's for clusters: the cells of a table are to be computed on nodes of one kind"
        )
    if config.strategy in (None, "none"):
        raise BenchmarkError(
            f"--executor {path}: strategy {config.strategy!r} would not replace nodes that are lost or whose time is "
            "up. Leave it out (Parsl's default is 'simple'), or give 'htex_auto_scale'"
        )
    provider = executor.provider
    assert provider is not None
    told = (executor.max_workers_per_node != math.inf, getattr(provider, "cores_per_node", None) is not None)
    if not any(told) and not executor.available_accelerators:
        raise BenchmarkError(
            f"--executor {path}: it does not say how many jobs run on a node at a time. Give HighThroughputExecutor "
            "max_workers_per_node, or available_accelerators, which is one job for each"
        )
    slots = int(provider.max_blocks * provider.nodes_per_block * executor.workers_per_node)
    if slots < 1:
        raise BenchmarkError(
            f"--executor {path}: no job would ever run with max_blocks {provider.max_blocks}, nodes_per_block "
            f"{provider.nodes_per_block} and {executor.workers_per_node} workers on a node; 1 is the least of each"
        )
    return executor, slots


def _begin_epochs_s(path: Path, executor: HighThroughputExecutor) -> int | None:
    """When workers stop to begin epochs: what the file says, else some time before the wall time ends."""
    walltime = getattr(executor.provider, "walltime", None)
    if executor.drain_period is not None or not walltime:
        return executor.drain_period
    found = re.fullmatch(r"(\d+):(\d+):(\d+)", walltime)
    if found is None:
        raise BenchmarkError(f"--executor {path}: walltime {walltime!r} is no time; write HH:MM:SS")
    hours, minutes, seconds = map(int, found.groups())
    whole = 3600.0 * hours + 60 * minutes + seconds
    return int(max(whole - max(RESERVE * whole, LEAST_RESERVE_S), whole / 2))
