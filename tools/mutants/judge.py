"""One fault, judged: in a process of its own, which has the fault in the place of the file, the tests are run."""

from __future__ import annotations

import ast
import importlib
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tools.mutants.faults import Fault
from tools.mutants.faulty import put

ROOT = Path(__file__).parents[2]
HEAVY = (
    "torch",
    "torch._dynamo",
    "torch_geometric.data",
    "torch_geometric.nn",
    "torch_geometric.utils",
    "lightning.pytorch",
    "torchmdnet.module",
    "torchmdnet.models.model",
    "e3nn.o3",
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "statsmodels.api",
    "sklearn",
    "matplotlib.pyplot",
    "ase.io",
    "pydantic",
    "pytest",
    "hypothesis",
    "xdist.plugin",
)
"""Libraries imported once, before the processes are forked: all but a second of what a test run takes to start."""

ARGUMENTS = ("-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "no:warnings", "--durations=0", "--no-header",
             "--hypothesis-profile=mutants")  # fmt: skip
UNTOUCHED_S = 20.0
"""Processor time that a run may take in addition to ten times what it takes without a fault."""
WALL_FACTOR = 100
"""Wall time for processor time: a run that waits for ever is ended, one on a busy machine is not."""


@dataclass(frozen=True)
class Verdict:
    """What the tests said: `noticed`, `survived`, `late` (ended at the limit) or `unfit` (there was nothing to run)."""

    state: str
    seconds: float


def prepare() -> None:
    """Import the libraries, on one thread: a process with more cannot be forked safely."""
    if any(name.partition(".")[0] in ("benchmark", "tasks", "reports") for name in sys.modules):
        raise RuntimeError("the project's own modules must be imported in each process anew")
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    for name in HEAVY:
        with suppress(ImportError):
            importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)


def judge_all(
    cases: Sequence[tuple[Fault | None, ast.Module]], tests: Sequence[str], jobs: int, limit_s: float
) -> Iterator[tuple[Fault | None, Verdict]]:
    """Verdicts on faults as they come, so many at a time; None stands for the file as it is.

    Args:
        cases: faults with the tree that they are places of.
        tests: what pytest is asked to run.
        limit_s: processor time of one run.
    """
    waiting = list(reversed(cases))
    running: dict[int, tuple[Fault | None, float]] = {}
    notes = tempfile.TemporaryDirectory()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                fault, tree = waiting.pop()
                running[_start(fault, tree, tests, limit_s, Path(notes.name))] = (fault, time.monotonic())
            for pid, (fault, began) in list(running.items()):
                ended, status, usage = os.wait4(pid, os.WNOHANG)
                if not ended and time.monotonic() - began > WALL_FACTOR * limit_s:
                    os.killpg(pid, signal.SIGKILL)
                elif ended:
                    del running[pid]
                    yield fault, Verdict(_state(status), round(usage.ru_utime + usage.ru_stime, 2))
            time.sleep(0.02)
    finally:
        for pid in running:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        notes.cleanup()


def _state(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "late" if os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXCPU) else "noticed"
    # pytest: 0 passed, 1 failed, 2 and 3 broken (by the fault: a file that cannot be imported), 4 and 5 nothing to run.
    return {0: "survived", 4: "unfit", 5: "unfit"}.get(os.WEXITSTATUS(status), "noticed")


def _start(fault: Fault | None, tree: ast.Module, tests: Sequence[str], limit_s: float, notes: Path) -> int:
    """Fork a process that runs the tests; its exit code is pytest's. It leaves a note in a folder for its children."""
    pid = os.fork()
    if pid:
        return pid
    code = 3
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s) + 1, int(limit_s) + 5))
        log = Path(os.environ.get("NNP_MUTANTS_LOG", os.devnull))
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        if fault is not None:
            path = ROOT / fault.file
            fault.put()
            faulty = compile(ast.fix_missing_locations(tree), str(path), "exec")
            put(fault.file.removesuffix(".py").replace("/", "."), path, faulty, notes / str(os.getpid()))
        import pytest
        from hypothesis import Phase, settings

        # One example that fails will do: none is looked for that is shorter.
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", settings.get_profile("ci"), phases=phases, database=None)
        code = int(pytest.main([*ARGUMENTS, *tests]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)
