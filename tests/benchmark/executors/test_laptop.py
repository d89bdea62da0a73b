"""Parsl on this machine, for real: the guide's configuration for a laptop, of whose two workers one is killed."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from benchmark.executors.tickets import Tickets
from tests.benchmark.executors.conftest import assert_same

pytestmark = pytest.mark.slow

SOONER = """
config.strategy_period = 0.5
config.executors[0].heartbeat_period = 1  # at which it looks for workers that have died
"""


def test_a_run_survives_the_loss_of_a_worker_and_gives_the_numbers_of_one_that_nothing_happened_to(
    long, guide, tmp_path
):
    out, killed = tmp_path / "run", []

    def kill(running):
        """The worker of the first cell that has finished an epoch."""
        for job in running:
            if job.cells and not killed and job.folder.checkpoint("last").exists():
                (path,) = Tickets(out).folder.glob(f"{job.key}.*")
                killed.append(int(path.read_text().split('"pid": ')[1].split(",")[0]))
                os.kill(killed[0], signal.SIGKILL)

    told = long.run(out, guide("laptop.py", SOONER), kill)
    assert killed
    assert "was lost" in told
    assert "handed over again" in told
    sittings = sorted(len(path.read_text().split(" begins")) - 1 for path in out.glob("cells/*/log.txt"))
    assert sittings == [1, 2], "what was not lost is not repeated"
    assert_same(long.numbers(out), long.expected())
    assert not Tickets(out).folder.exists()
    left = [
        process for process in psutil.process_iter(["cmdline"]) if str(out) in " ".join(process.info["cmdline"] or [])
    ]
    _, alive = psutil.wait_procs(left, timeout=30)
    assert not alive, "nothing of Parsl's is left running"
