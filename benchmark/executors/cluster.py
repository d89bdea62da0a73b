"""Jobs on the machines that a Parsl configuration asks for: a cluster's nodes, or this one."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from parsl import DataFlowKernel, python_app
from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

from benchmark.cell.job import Job
from benchmark.cell.provenance import code_hash
from benchmark.errors import BenchmarkError
from benchmark.executors.configuration import Configuration
from benchmark.executors.pulse import HUNG_AFTER_S
from benchmark.executors.task import Answer, Task, perform
from benchmark.executors.tickets import SEEN_AFTER_S, SETTLE_S, Ticket, Tickets
from reports.records.folder import RunFolder

POLL_SECONDS = 1.0
MOST_STARTS = 3
"""In a row, of a job for which the time of its node was up before it had finished an epoch."""

Tell = Callable[[str], None]
"""Receives a sentence for the user."""


@dataclass
class _Handed:
    """A job that was handed over.

    Attributes:
        job: the job.
        ticket: its ticket.
        future: what Parsl says of it.
        checkpoint: when its checkpoint was written that was there before, in the file system's ns; 0 for none.
        setbacks: how often in a row it was handed over anew without having got on.
        beat: when its worker left the last sign of life, as the file system says; 0 for none.
        seen: when that was seen here, or the future ended, by the clock of this process.
    """

    job: Job
    ticket: Ticket
    future: Future[Answer]
    checkpoint: int
    setbacks: int
    beat: int = 0
    seen: float = field(default_factory=time.monotonic)


class Cluster:
    """Parsl's workers as a ``Pool``; they are asked for with the first job, and let go at the end of the ``with``.

    Jobs are handed over one for each place, so that they begin in the plan's order. A job whose worker or node is lost
    is handed over again, and goes on from its checkpoint; so is one for which its node had no more time. Whatever
    happens, the run folder says how far each job is, and holds for each what a worker of this machine would leave.

    Args:
        configuration: where jobs run; it is used up.
        run: the run folder.
        most: jobs at a time, where fewer are wanted than there are places; None for all.
        mix_commits: whether workers may have other code than this process.
        tell: is told what happens to jobs before they end.
    """

    def __init__(
        self, configuration: Configuration, run: RunFolder, most: int | None, mix_commits: bool, tell: Tell
    ) -> None:
        self._configuration = configuration
        self._run = run
        self._most = min(configuration.slots, most or configuration.slots)
        self._code = None if mix_commits else code_hash()
        self._tell = tell
        self._tickets = Tickets(run.path)
        self._handed: list[_Handed] = []
        self._kernel: DataFlowKernel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take all tickets back and cancel what was asked for."""
        self._tickets.revoke_all()
        if self._kernel is None:
            return
        if self._handed:
            self._tell(f"{len(self._handed)} jobs are given back, and their places on the cluster cancelled")
        executor = self._configuration.executor
        if not self._lives or executor.bad_state_is_set:  # Parsl itself would wait for ever, or leave the others
            active = [block for block, state in executor.status_facade.items() if not state.terminal]
            self._configuration.provider.cancel([executor.blocks_to_job_id[block] for block in active])
        if self._lives:
            self._kernel.cleanup()

    @property
    def taken(self) -> list[Job]:
        """See ``Pool.taken``."""
        return [handed.job for handed in self._handed]

    @property
    def running(self) -> list[Job]:
        """See ``Pool.running``."""
        return [handed.job for handed in self._handed if handed.beat]

    @property
    def has_room(self) -> bool:
        """See ``Pool.has_room``."""
        return len(self._handed) < self._most

    def take(self, job: Job) -> None:
        """See ``Pool.take``."""
        self._hand_over(job)

    def withdraw(self, job: Job) -> None:
        """See ``Pool.withdraw``."""
        handed = next(handed for handed in self._handed if handed.job is job)
        handed.ticket.revoke()
        self._handed.remove(handed)

    def wait(self) -> Sequence[Job]:
        """See ``Pool.wait``."""
        wait([handed.future for handed in self._handed], timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        self._check()
        now = time.monotonic()
        ended = []
        for handed in list(self._handed):
            beat = handed.ticket.last_beat
            if beat != handed.beat:
                handed.beat, handed.seen = beat, now
            if handed.future.done():
                if self._met(handed):
                    ended.append(handed.job)
            elif handed.beat and now - handed.seen > HUNG_AFTER_S:
                silence = f"gave no sign of life for {(now - handed.seen) / 60:.0f} min"
                if self._lost(handed, silence, settle_s=SETTLE_S):
                    ended.append(handed.job)
        return ended

    def _start(self) -> DataFlowKernel:
        path, config = self._configuration.path, self._configuration.config
        self._configuration.adapt(self._run.path)
        try:
            kernel = DataFlowKernel(config)
        except Exception as error:
            raise BenchmarkError(f"--executor {path}: Parsl cannot be started: {error}") from error
        self._tell(f"jobs are handed over to Parsl, {self._most} at a time; it keeps its logs in {kernel.run_dir}")
        return kernel

    @property
    def _lives(self) -> bool:
        """Whether the process still runs that hands tasks to workers."""
        process = self._configuration.executor.interchange_proc
        return process is not None and process.poll() is None

    def _check(self) -> None:
        """Raise BenchmarkError if there is nobody any more to hand over to, or another run has taken the folder."""
        if not self._lives:
            raise BenchmarkError(
                "Parsl's interchange, a process of this command, has ended; its log is in "
                f"{self._configuration.executor.logdir}. The same command resumes"
            )
        if not all(handed.ticket.valid for handed in self._handed):
            raise BenchmarkError(
                f"another command has taken over {self._run.path}, and its workers go on: this one ends. On this file "
                "system locks do not hold between machines; one command at a time can work in a run folder"
            )

    def _hand_over(self, job: Job, setbacks: int = 0, settle_s: float = 0.0) -> None:
        if self._kernel is None:
            self._kernel = self._start()
        ticket, checkpoint = self._tickets.issue(job.key), _written(job)
        task = Task(
            job=pickle.dumps(job),
            ticket=ticket,
            device=job.settings.device,
            threads=job.settings.threads,
            code=self._code,
            begin_epochs_s=self._configuration.begin_epochs_s,
            settle_s=settle_s,
        )
        future = python_app(perform, data_flow_kernel=self._kernel)(task)
        self._handed.append(_Handed(job, ticket, future, checkpoint, setbacks))

    def _met(self, handed: _Handed) -> bool:
        """What to do about a task that came back: hand its job over again, or say (with True) that it has ended."""
        error = handed.future.exception()
        if isinstance(error, WorkerLost | ManagerLost):
            # A worker that is lost is known to be dead, a node only not to answer.
            return self._lost(handed, str(error), SETTLE_S if isinstance(error, ManagerLost) else 0.0)
        if error is not None:
            raise BenchmarkError(
                f"Parsl could not run a job: {_brief(error)}. The configuration is {self._configuration.path}, Parsl's "
                f"logs are in {self._configuration.config.run_dir}; workers need this project in the same version, and "
                "the run folder under the same path"
            ) from error
        answer = handed.future.result()
        if answer.end == "refused":
            raise BenchmarkError(answer.words)
        if answer.end == "withdrawn":
            raise BenchmarkError(
                f"a worker on {answer.words} does not see {handed.ticket.folder}: the run folder must be on a file "
                "system that all nodes share, under the same path. Choose it with --out"
            )
        if answer.end == "suspended":
            return self._suspended(handed, answer.words)
        if handed.job.folder.status().state in ("pending", "running"):
            return time.monotonic() - handed.seen > SEEN_AFTER_S and self._lost(handed, "left no result", 0.0)
        self._forget(handed)
        return True

    def _suspended(self, handed: _Handed, words: str) -> bool:
        """Hand a job over again for which there was no time, unless that comes to nothing."""
        job = handed.job
        setbacks = 0 if _got_on(handed) else handed.setbacks + 1
        if setbacks <= max(self._configuration.retries, MOST_STARTS):
            self._tell(f"{job.name}: {words}")
            self._again(handed, setbacks, settle_s=0.0)
            return False
        self._forget(handed)
        job.give_up(
            f"the time of its nodes was up {setbacks} times in a row before it could finish an epoch: raise walltime, "
            f"or drain_period, in {self._configuration.path}"
        )
        return True

    def _lost(self, handed: _Handed, why: str, settle_s: float) -> bool:
        """Hand the job of a lost worker over again, or, if that is of no use, record it as failed and say so."""
        job, sign, retries = handed.job, handed.ticket.sign(), self._configuration.retries
        setbacks = 1 if _got_on(handed) else handed.setbacks + 1
        lost = f"its worker{f' on {sign.host}' if sign else ''} was lost ({why})"
        if setbacks <= retries:
            self._tell(f"{job.name}: {lost}; it is handed over again")
            self._again(handed, setbacks, settle_s)
            return False
        self._forget(handed)
        times = f", {setbacks} times in a row without an epoch in between" if retries else ""
        memory = f", having used up to {sign.peak_memory_mb:.0f} MB of memory" if sign else ""
        job.give_up(
            f"{lost}{times}{memory}: its node failed or its time was up, or it was killed, as for lack of memory. "
            "Raise the configuration's retries, the wall time or what drain_period leaves of it, or lower "
            f"max_workers_per_node; see {job.folder.log}",
            facts={"peak_memory_mb": sign.peak_memory_mb} if sign else None,
        )
        return True

    def _again(self, handed: _Handed, setbacks: int, settle_s: float) -> None:
        self._forget(handed)
        self._hand_over(handed.job, setbacks, settle_s)

    def _forget(self, handed: _Handed) -> None:
        handed.ticket.revoke()
        self._handed.remove(handed)


def _written(job: Job) -> int:
    """When the last checkpoint of a job was written, in the file system's ns; 0 for none."""
    with contextlib.suppress(OSError):
        return job.folder.checkpoint("last").stat().st_mtime_ns
    return 0


def _got_on(handed: _Handed) -> bool:
    """Whether a job has finished an epoch since it was handed over."""
    return _written(handed.job) != handed.checkpoint


def _brief(error: BaseException) -> str:
    """Kind and text of an error without the output of whole scripts."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)[:500]}"
