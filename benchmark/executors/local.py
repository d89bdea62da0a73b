"""Jobs in parallel processes on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, TypeAlias

from reports.records.status import Unfinished

if TYPE_CHECKING:  # the command starts the workers' server before it imports all that a job needs
    from benchmark.cell.job import Job

POLL_SECONDS = 0.5
PRELOAD = ["benchmark.run.jobs"]
"""What the server imports before it forks a worker: all that a job needs."""

OnChange: TypeAlias = "Callable[[Sequence[Job], Job | None], None]"
"""Called about twice a second with the running jobs, and once for each job that just ended."""


def run_jobs(jobs: Sequence[Job], workers: int, on_change: OnChange) -> None:
    """Run all jobs in worker processes, each of which does one after the other; a job after the one it needs.

    What a worker has imported, read or compiled serves its next job. A job that was interrupted resumes from its
    checkpoint; one whose pretraining did not succeed is recorded as such; one whose process dies (out of memory, say)
    is recorded as failed, and another worker takes its place. On an interrupt all processes are ended.

    Args:
        jobs: the work that is left; what a job needs is either among them or finished.
        workers: how many at a time.
        on_change: is told what is going on.
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
                    waiting.remove(job)
                    if job.needs is not None and not _pretraining_succeeded(job):
                        on_change(running(), job)
                        continue
                    idle = next((worker for worker in pool if worker.job is None), None)
                    if idle is None:
                        idle = _Worker(job.settings.device)
                        pool.append(idle)
                    idle.start(job)
                events = [event for worker in pool if worker.job is not None for event in worker.events]
                ready = wait(events, timeout=POLL_SECONDS)
                for worker in [worker for worker in pool if any(event in ready for event in worker.events)]:
                    ended = worker.job
                    if not worker.finish():
                        pool.remove(worker)
                    if ended is not None:
                        on_change(running(), ended)
                on_change(running(), None)
    finally:
        for worker in pool:
            worker.process.terminate()
        for worker in pool:
            worker.process.join()


def start_server(device: str, threads: int) -> None:
    """Let the process that workers are forked from import what they need, beside what this one does meanwhile.

    To be called in the main thread. An interrupt while it imports is this process's business alone.
    """
    context = _context(device)
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
        context = _context(device)
        self._connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs,), name="worker")
        self.process.start()
        theirs.close()
        self.job: Job | None = None

    @property
    def events(self) -> tuple[Any, Any]:
        """What to wait for: an answer, and the end of the process."""
        return self._connection, self.process.sentinel

    def start(self, job: Job) -> None:
        """Hand over a job."""
        self.job = job
        self._connection.send(job)

    def finish(self) -> bool:
        """Note that the job has ended, or, if the process has, that it failed; False for a process that is gone."""
        job, self.job = self.job, None
        try:
            self._connection.recv()
        except (EOFError, OSError):
            self.process.join()
            if job is not None and job.folder.status().state in ("pending", "running"):
                job.give_up(f"its process ended with exit code {self.process.exitcode}; see {job.folder.log}")
            return False
        return True


def _serve(connection: Connection) -> None:
    """Run jobs as they come; all that they print, native libraries included, goes to the log of each."""
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


def _context(device: str) -> Any:
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
