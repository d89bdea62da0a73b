"""Long jobs in parallel processes that report their progress and stop when their parent does."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.sharedctypes import SynchronizedArray
from multiprocessing.synchronize import Event
from typing import TypeVar

from tasks.datasets.base import DatasetError

Job = TypeVar("Job")
Result = TypeVar("Result")
Report = Callable[[float], None]
"""Called by a job repeatedly with the fraction of the job that is done, 0 to 1."""

POLL_S = 0.2


class Cancelled(Exception):
    """Another job failed or the run was interrupted: this job can stop."""


def run_jobs(
    function: Callable[[Job, Report], Result],
    jobs: Sequence[Job],
    workers: int,
    progress: Callable[[Sequence[float]], None],
) -> list[Result]:
    """Runs `function(job, report)` for each job and returns the results in the order of the jobs.

    With more than one worker the jobs run in newly started processes, so `function`, jobs and results must be
    picklable. A worker whose parent was killed ends at its next report.

    Args:
        function: the work; it has to call `report` at least every few seconds.
        jobs: one argument per job.
        workers: number of processes; with 1 the jobs run in this process.
        progress: called with the fraction done of every job.

    Raises:
        DatasetError: a worker process died.
        Exception: what the first failing job raised.
    """
    if workers < 1:
        raise DatasetError(f"workers is {workers}; it must be at least 1")
    if min(workers, len(jobs)) <= 1:
        return _run_here(function, jobs, progress)
    # Spawned, not forked: neither threads nor a copy of the file lock should outlive this process.
    context = multiprocessing.get_context("spawn")
    done = context.Array("d", len(jobs))
    stop = context.Event()
    with ProcessPoolExecutor(
        min(workers, len(jobs)), context, initializer=_start, initargs=(done, stop, os.getpid())
    ) as pool:
        try:
            pending = set(futures := [pool.submit(_run_one, function, i, job) for i, job in enumerate(jobs)])
            while pending:
                finished, pending = wait(pending, timeout=POLL_S, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
                progress(done[:])
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            raise DatasetError(
                "a worker process died, perhaps for lack of memory; try again with fewer workers"
            ) from error
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _run_here(
    function: Callable[[Job, Report], Result],
    jobs: Sequence[Job],
    progress: Callable[[Sequence[float]], None],
) -> list[Result]:
    done = [0.0] * len(jobs)
    results = []
    for index, job in enumerate(jobs):

        def report(fraction: float, index: int = index) -> None:
            done[index] = fraction
            progress(done)

        results.append(function(job, report))
    return results


_done: SynchronizedArray[float]
_stop: Event
_parent: int


def _start(done: SynchronizedArray[float], stop: Event, parent: int) -> None:
    global _done, _stop, _parent
    _done, _stop, _parent = done, stop, parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted as well, and then sets `stop`


def _run_one(function: Callable[[Job, Report], Result], index: int, job: Job) -> Result:
    def report(fraction: float) -> None:
        if os.getppid() != _parent:
            os._exit(1)  # orphaned: nobody waits for the result, and the clean-up of the pool would hang
        if _stop.is_set():
            raise Cancelled
        _done[index] = fraction

    return function(job, report)
