"""Workers that do one job after the other."""

from __future__ import annotations

import multiprocessing
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.executors import local
from benchmark.executors.local import run_jobs
from benchmark.executors.pulse import Pulse
from tests.benchmark.executors.jobs import Noting
from tests.benchmark.runs import ROOT

pytestmark = pytest.mark.slow


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


def test_a_worker_that_hangs_is_ended_by_force_and_recorded(tmp_path, run_all, monkeypatch):
    monkeypatch.setattr(local, "HUNG_AFTER_S", 2.0)
    monkeypatch.setattr(local, "GRACE_S", 0.2)
    stopped = Noting("a", tmp_path, signal=signal.SIGSTOP)
    ended, statuses = run_all([stopped, Noting("b", tmp_path)], 1)
    assert ended == ["a", "b"]
    assert [status.state for status in statuses] == ["failed", "ok"]
    assert "its process hung, and was ended" in statuses[0].reason


def test_a_killed_worker_is_recorded_with_the_likely_cause_and_what_to_do(tmp_path, run_all):
    _, (status,) = run_all([Noting("a", tmp_path, signal=signal.SIGKILL)], 1)
    assert re.search(r"exit code -9: .* memory, .* up to \d+ MB of this machine's \d+ MB. .*--jobs", status.reason)


def test_an_interrupt_ends_a_worker_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "GRACE_S", 0.2)
    job = Noting("a", tmp_path, signal=signal.SIGSTOP)
    seen = []

    def interrupt(running, ended):
        if running and job.folder.log.exists():
            seen.append(multiprocessing.active_children())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs([job], 1, interrupt)
    assert seen[0]
    assert not any(process.is_alive() for process in seen[0])


class Machine:
    """A clock, and the processor time of a process, that only the test moves."""

    def __init__(self, monkeypatch):
        self.now = self.cpu = 0.0
        monkeypatch.setattr(local.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(local.psutil, "Process", lambda pid: self)

    def cpu_times(self):
        return SimpleNamespace(user=self.cpu, system=0.0)

    def memory_info(self):
        return SimpleNamespace(rss=1e8)


def test_a_process_is_silent_if_it_neither_notes_progress_nor_computes(monkeypatch):
    machine = Machine(monkeypatch)
    pulse = Pulse(1)
    for sign, passes, cpu, silent in [
        (1, 0, 0.0, 0),
        (1, 100, 0.0, 100),
        (2, 100, 0.0, 0),  # progress
        (2, 100, 50.0, 0),  # it computes, as while it reads or evaluates
        (2, 100, 0.2, 100),  # what a sleeping process uses is nothing
        (2, 1000, 2.0, 1100),
    ]:
        machine.now += passes
        machine.cpu += cpu
        assert pulse.silent_s(sign) == silent
    assert pulse.peak_mb == 100


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="signals that are ignored are read from /proc")
def test_a_server_that_is_started_early_is_the_workers_and_ignores_interrupts():
    """In a process of its own: the server of this one may have been started before."""
    code = (
        "import multiprocessing.forkserver as f, signal, pathlib, os\n"
        "from benchmark.executors import local\n"
        "from benchmark.executors.local import process_context, start_server\n"
        "local.PRELOAD = []\n"  # torch is not needed here
        "start_server('cpu', 1)\n"
        "server = f._forkserver._forkserver_pid\n"
        "process = process_context('cpu').Process(target=os.system, args=('echo \"<$CUDA_VISIBLE_DEVICES>\"',))\n"
        "process.start(); process.join()\n"
        "ignored = int(pathlib.Path(f'/proc/{server}/status').read_text().split('SigIgn:')[1].split()[0], 16)\n"
        "print(process.exitcode, server == f._forkserver._forkserver_pid, ignored >> (signal.SIGINT - 1) & 1)\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    # A GPU that the server's libraries took hold of could not be used by what is forked from it: it sees none.
    assert done.stdout.split() == ["<>", "0", "True", "1", "True"], done.stderr


def test_what_may_not_be_started_is_left_undone(tmp_path):
    jobs = [Noting(key, tmp_path) for key in "abc"]
    run_jobs(jobs, 1, lambda running, job: None, lambda job, running: job.key != "b")
    assert [job.folder.status().state for job in jobs] == ["ok", "pending", "ok"]
