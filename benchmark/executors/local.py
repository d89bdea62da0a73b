"""Jobs in parallel processes on this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, TypeAlias

import psutil

from reports.records.status import Unfinished

if TYPE_CHECKING:  # the command starts the workers' server before it imports all that a job needs
    from benchmark.cell.job import Job

POLL_SECONDS = 0.5
MEGABYTE = 1e6
HUNG_AFTER_S = 1800.0
"""A process that for so long notes no progress and does not compute is ended, and its job recorded as failed."""
IDLE_SHARE = 0.01
"""Of a core: a process that uses less does not compute."""
GRACE_S = 5.0
"""For a process to end when it is asked to, before it is killed."""
PRELOAD = ["benchmark.run.jobs"]
"""What the server imports before it forks a worker: all that a job needs."""

OnChange: TypeAlias = "Callable[[Sequence[Job], Job | None], None]"
"""Called about twice a second with the running jobs, and once for each job that just ended."""


MayStart: TypeAlias = "Callable[[Job, Sequence[Job]], bool]"
"""Whether a job may be started, given those that run."""


def run_jobs(
    jobs: Sequence[Job], workers: int, on_change: OnChange, may_start: MayStart = lambda job, running: True
) -> None:
    """Run all jobs in worker processes, each of which does one after the other; a job after the one it needs.

    What a worker has imported, read or compiled serves its next job. A job that was interrupted resumes from its
    checkpoint; one whose pretraining did not succeed is recorded as such; one whose process dies (out of memory, say)
    is recorded as failed, and another worker takes its place; so is one whose process hangs. On an interrupt all
    processes are ended.

    Args:
        jobs: the work that is left; what a job needs is either among them or finished.
        workers: how many at a time.
        on_change: is told what is going on.
        may_start: what it refuses when nothing else runs is left undone.
    """
    waiting = list(jobs)
    pool: list[_Worker] = []

    def running() -> list[Job]:
        return [worker.job for worker in pool if worker.job is not None]

    try:
        with _threads(jobs[0].settings.threads if jobs else 1):
            while waiting or running():
                for job in _startable(waiting, running()):
                    if len(running()) >= workers:
                        break
                    if not may_start(job, running()):
                        continue
                    waiting.remove(job)
                    if job.needs is not None and not _pretraining_succeeded(job):
                        on_change(running(), job)
                        continue
                    idle = next((worker for worker in pool if worker.job is None), None)
                    if idle is None:
                        idle = _Worker(job.settings.device)
                        pool.append(idle)
                    idle.start(job)
                if not running() and not any(may_start(job, []) for job in _startable(waiting, [])):
                    break
                events = [event for worker in pool if worker.job is not None for event in worker.events]
                ready = wait(events, timeout=POLL_SECONDS)
                for worker in [worker for worker in pool if any(event in ready for event in worker.events)]:
                    ended = worker.job
                    if not worker.finish():
                        pool.remove(worker)
                    if ended is not None:
                        on_change(running(), ended)
                for worker in [worker for worker in pool if worker.hangs()]:
                    end_all([worker.process])  # which is met as the end of its process, the next time round
                on_change(running(), None)
    finally:
        end_all([worker.process for worker in pool])


def start_server(device: str, threads: int) -> None:
    """Let the process that workers are forked from import what they need, beside what this one does meanwhile.

    To be called in the main thread. An interrupt while it imports is this process's business alone.
    """
    context = process_context(device)
    if context.get_start_method() != "forkserver":
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _threads(threads):
            ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


class _Worker:
    """A process that does the jobs that it is sent."""

    def __init__(self, device: str) -> None:
        context = process_context(device)
        self._connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs,), name="worker")
        self.process.start()
        theirs.close()
        self.job: Job | None = None
        self._pulse = Pulse(self.process.pid)

    @property
    def events(self) -> tuple[Any, Any]:
        """What to wait for: an answer, and the end of the process."""
        return self._connection, self.process.sentinel

    def start(self, job: Job) -> None:
        """Hand over a job."""
        self.job = job
        self._pulse = Pulse(self.process.pid)
        self._connection.send(job)

    def hangs(self) -> bool:
        """Whether its job has shown no sign of life for long."""
        return self.job is not None and self._pulse.silent_s(self.job.folder.last_sign) > HUNG_AFTER_S

    def finish(self) -> bool:
        """Note that the job has ended, or, if the process has, that it failed; False for a process that is gone."""
        job, self.job = self.job, None
        try:
            self._connection.recv()
        except (EOFError, OSError):
            self.process.join()
            if job is not None and job.folder.status().state in ("pending", "running"):
                seen = f"; see {job.folder.log}" if job.folder.log.exists() else ""
                job.give_up(f"{self._why()}{seen}", facts={"peak_memory_mb": self._pulse.peak_mb})
            return False
        return True

    def _why(self) -> str:
        """How the process ended, its likely cause and what to do."""
        code, pulse = self.process.exitcode, self._pulse
        if pulse.last_silence_s > HUNG_AFTER_S:
            return (
                f"its process hung, and was ended: for {pulse.last_silence_s / 60:.0f} min it noted no progress and "
                "did not compute, as when a file system does not answer"
            )
        if code != -signal.SIGKILL:
            return f"its process ended with exit code {code}"
        return (
            f"its process ended with exit code {code}: it was killed, most likely for lack of memory, of which it had "
            f"used up to {pulse.peak_mb:.0f} MB of this machine's {psutil.virtual_memory().total / MEGABYTE:.0f} MB. "
            "Run fewer at a time with --jobs, or lower batch_size, eval_batch_size or the model's width"
        )


class Pulse:
    """What a process shows of itself while it does a job: its memory, and that it goes on."""

    def __init__(self, pid: int | None) -> None:
        self.peak_mb = 0.0
        self.last_silence_s = 0.0
        self._pid = pid
        self._sign, self._cpu, self._since = -1, 0.0, time.monotonic()

    def silent_s(self, sign: int) -> float:
        """Seconds, a sleep of the machine not counted, since it wrote another sign of life or computed."""
        now, cpu = time.monotonic(), self._cpu
        with contextlib.suppress(psutil.Error):  # it has just ended
            process = psutil.Process(self._pid)
            used = process.cpu_times()
            cpu = used.user + used.system
            self.peak_mb = max(self.peak_mb, process.memory_info().rss / MEGABYTE)
        self.last_silence_s = now - self._since
        if sign != self._sign or cpu - self._cpu > max(1.0, IDLE_SHARE * self.last_silence_s):
            self._sign, self._cpu, self._since, self.last_silence_s = sign, cpu, now, 0.0
        return self.last_silence_s


def end_all(processes: Sequence[BaseProcess]) -> None:
    """Ask processes to end, and kill those that do not: one that hangs in native code or is stopped never would."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE_S
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        process.kill()
        process.join()


def _serve(connection: Connection) -> None:
    """Run jobs as they come; all that they print, native libraries included, goes to the log of each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this worker is interrupted too, and ends it
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:  # the process that started this worker is gone
            return
        job.folder.path.mkdir(parents=True, exist_ok=True)
        with job.folder.log.open("a", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        job.run()
        sys.stdout.flush()
        sys.stderr.flush()
        connection.send(job.key)


def _startable(waiting: Sequence[Job], running: Sequence[Job]) -> list[Job]:
    """Jobs whose pretraining is neither waiting nor running, in the plan's order."""
    unfinished = {job.key for job in [*waiting, *running]}
    return [job for job in waiting if job.needs not in unfinished]


def _pretraining_succeeded(job: Job) -> bool:
    """Whether the pretraining that a job needs is there; if not, the job is recorded with the reason."""
    assert job.needs is not None
    status = job.settings.run.pretraining(job.needs).status()
    if status.state == "ok":
        return True
    state: Unfinished = "diverged" if status.state == "diverged" else "failed"
    job.give_up(f"its pretraining {job.needs} {state}: {status.reason}", state)
    return False


def process_context(device: str) -> Any:
    """Fresh processes from a server that has imported everything; with a GPU, from scratch (CUDA forbids forks)."""
    if device == "cpu" and "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        return context
    return multiprocessing.get_context("spawn")


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Libraries read their number of threads when they are loaded, in the workers: set it before."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
