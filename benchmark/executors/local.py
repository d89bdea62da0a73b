"""Jobs in parallel processes on this machine."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from benchmark.cell.job import Job
from reports.records.status import Unfinished

POLL_SECONDS = 0.5

OnChange = Callable[[Sequence[Job], Job | None], None]
"""Called about twice a second with the running jobs, and once for each job that just ended."""


def run_jobs(jobs: Sequence[Job], workers: int, on_change: OnChange) -> None:
    """Run all jobs, each in a process of its own, a job after the one it needs.

    A job that was interrupted resumes from its checkpoint; one whose pretraining did not succeed is recorded as
    such; one whose process dies (out of memory, say) is recorded as failed. On an interrupt all processes are ended.

    Args:
        jobs: the work that is left; what a job needs is either among them or finished.
        workers: how many at a time.
        on_change: is told what is going on.
    """
    waiting = list(jobs)
    running: dict[int, tuple[BaseProcess, Job]] = {}
    context = _context(jobs[0].settings.device) if jobs else None
    with _threads(jobs[0].settings.threads if jobs else 1):
        try:
            while waiting or running:
                for job in _startable(waiting, [job for _, job in running.values()]):
                    if len(running) >= workers:
                        break
                    waiting.remove(job)
                    if job.needs is not None and not _pretraining_succeeded(job):
                        on_change([j for _, j in running.values()], job)
                        continue
                    assert context is not None
                    process = context.Process(target=_work, args=(job,), name=job.name)
                    process.start()
                    running[process.sentinel] = (process, job)
                for sentinel in wait(list(running), timeout=POLL_SECONDS):
                    process, job = running.pop(int(sentinel))  # type: ignore[arg-type]
                    process.join()
                    if job.folder.status().state in ("pending", "running"):
                        job.give_up(f"its process ended with exit code {process.exitcode}; see {job.folder.log}")
                    on_change([j for _, j in running.values()], job)
                on_change([j for _, j in running.values()], None)
        finally:
            for process, _ in running.values():
                process.terminate()
            for process, _ in running.values():
                process.join()


def _work(job: Job) -> None:
    """Run a job in a worker; all that it prints, native libraries included, goes to the job's log."""
    job.folder.path.mkdir(parents=True, exist_ok=True)
    with job.folder.log.open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    job.run()


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
        context.set_forkserver_preload(["benchmark.run.jobs"])
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
