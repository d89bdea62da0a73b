"""Jobs in parallel processes on this machine."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

import psutil

from benchmark.executors.pulse import HUNG_AFTER_S, MEGABYTE, Pulse
from benchmark.executors.schedule import MayStart, OnChange, run_all

if TYPE_CHECKING:  # the command starts the workers' server before it imports all that a job needs
    from benchmark.cell.job import Job
    from reports.records.folder import JobFolder

POLL_SECONDS = 0.5
GRACE_S = 5.0
"""For a process to end when it is asked to, before it is killed."""
PRELOAD = ["benchmark.run.jobs"]
"""What the server imports before it forks a worker: all that a job needs."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Libraries read their number of threads from these when they are loaded."""

NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
"""For processes that compute on the CPU. Libraries of the server (warp) would take hold of a GPU, which what is forked
from it can then not use; and Lightning asks every GPU for the state of its random numbers."""


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
    pool = _Processes(workers)
    try:
        with _environment(_threads(jobs[0].settings.threads if jobs else 1)):
            run_all(jobs, pool, on_change, may_start)
    finally:
        pool.end()


def start_server(device: str, threads: int) -> None:
    """Let the process that workers are forked from import what they need, beside what this one does meanwhile.

    To be called in the main thread. An interrupt while it imports is this process's business alone.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _environment(_threads(threads)):
            process_context(device)
    finally:
        signal.signal(signal.SIGINT, before)


class _Processes:
    """The worker processes, as a ``Pool``."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: list[_Worker] = []

    @property
    def running(self) -> list[Job]:
        """See ``Pool.running``."""
        return [worker.job for worker in self._pool if worker.job is not None]

    taken = running
    """All that are taken begin at once."""

    @property
    def has_room(self) -> bool:
        """See ``Pool.has_room``."""
        return len(self.running) < self._workers

    def take(self, job: Job) -> None:
        """See ``Pool.take``."""
        idle = next((worker for worker in self._pool if worker.job is None), None)
        if idle is None:
            idle = _Worker(job.settings.device)
            self._pool.append(idle)
        idle.start(job)

    def withdraw(self, job: Job) -> None:
        """See ``Pool.withdraw``."""
        raise AssertionError("none waits for a place")

    def wait(self) -> list[Job]:
        """See ``Pool.wait``; a process that hangs is ended, which is met as its end the next time."""
        events = [event for worker in self._pool if worker.job is not None for event in worker.events]
        ready = wait(events, timeout=POLL_SECONDS)
        ended = []
        for worker in [worker for worker in self._pool if any(event in ready for event in worker.events)]:
            if worker.job is not None:
                ended.append(worker.job)
            if not worker.finish():
                self._pool.remove(worker)
        end_all([worker.process for worker in self._pool if worker.hangs()])
        return ended

    def end(self) -> None:
        """End all processes."""
        end_all([worker.process for worker in self._pool])


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
    """Run jobs as they come; all that they print goes to the log of each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this worker is interrupted too, and ends it
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:  # the process that started this worker is gone
            return
        send_output(job.folder)
        job.run()
        sys.stdout.flush()
        sys.stderr.flush()
        connection.send(job.key)


def send_output(folder: JobFolder) -> None:
    """Send all that this process prints, native libraries included, to the log of a job.

    Lightning's warnings are kept, not what else it has to say for every trainer: devices, advice, advertising.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*LeafSpec", module="lightning.pytorch.utilities._pytree")
    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.log.open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def process_context(device: str) -> Any:
    """Fresh processes from a server that has imported everything; with a GPU, from scratch (CUDA forbids forks)."""
    if device == "cpu" and "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        with _environment(NO_GPU):
            ensure_running()
        return context
    return multiprocessing.get_context("spawn")


def _threads(count: int) -> dict[str, str]:
    return dict.fromkeys(THREAD_VARIABLES, str(count))


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Variables that libraries read when they are loaded: what is started meanwhile has them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
