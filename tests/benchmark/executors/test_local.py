"""Workers that do one job after the other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmark.executors.local import run_jobs
from reports.records.folder import JobFolder
from tests.benchmark.runs import ROOT

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Where:
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Noting:
    """A job that leaves the number of its process, or ends it."""

    key: str
    path: Path
    dies: bool = False
    cells: int = 1
    needs: None = None
    settings: Where = Where()

    @property
    def name(self):
        return self.key

    @property
    def folder(self):
        return JobFolder(self.path / self.key)

    def run(self):
        print(f"this is {self.key}")
        if self.dies:
            os._exit(7)
        time.sleep(0.05)
        self.folder.set_status("ok", reason=str(os.getpid()))

    def give_up(self, reason, state="failed"):
        self.folder.set_status(state, reason)


@pytest.fixture
def run_all():
    def run(jobs, workers):
        ended = []
        run_jobs(jobs, workers, lambda running, job: ended.append(job.key) if job else None)
        return ended, [job.folder.status() for job in jobs]

    return run


def test_a_worker_does_several_jobs_and_each_has_its_own_log(tmp_path, run_all):
    jobs = [Noting(f"job{i}", tmp_path) for i in range(5)]
    ended, statuses = run_all(jobs, 1)
    assert ended == [job.key for job in jobs]
    assert {status.state for status in statuses} == {"ok"}
    assert len({status.reason for status in statuses}) == 1, "one process did them all"
    assert [job.folder.log.read_text().strip() for job in jobs] == [f"this is {job.key}" for job in jobs]


def test_a_worker_that_dies_fails_its_job_alone_and_another_takes_its_place(tmp_path, run_all):
    jobs = [Noting("a", tmp_path), Noting("b", tmp_path, dies=True), Noting("c", tmp_path), Noting("d", tmp_path)]
    ended, statuses = run_all(jobs, 2)
    assert sorted(ended) == ["a", "b", "c", "d"]
    assert [status.state for status in statuses] == ["ok", "failed", "ok", "ok"]
    assert "exit code 7" in statuses[1].reason
    assert "log.txt" in statuses[1].reason


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="signals that are ignored are read from /proc")
def test_a_server_that_is_started_early_is_the_workers_and_ignores_interrupts():
    """In a process of its own: the server of this one may have been started before."""
    code = (
        "import multiprocessing.forkserver as f, signal, pathlib, os\n"
        "from benchmark.executors import local\n"
        "from benchmark.executors.local import _context, start_server\n"
        "local.PRELOAD = []\n"  # torch is not needed here
        "start_server('cpu', 1)\n"
        "server = f._forkserver._forkserver_pid\n"
        "process = _context('cpu').Process(target=int)\n"
        "process.start(); process.join()\n"
        "ignored = int(pathlib.Path(f'/proc/{server}/status').read_text().split('SigIgn:')[1].split()[0], 16)\n"
        "print(process.exitcode, server == f._forkserver._forkserver_pid, ignored >> (signal.SIGINT - 1) & 1)\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["0", "True", "1", "True"], done.stderr
