"""What a worker of Parsl does: one job, on whatever machine it finds itself."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import psutil

from benchmark.executors.local import THREAD_VARIABLES, send_output
from benchmark.executors.pulse import HUNG_AFTER_S, Pulse
from benchmark.executors.tickets import BEAT_S, Sign, Ticket
from benchmark.leaving import Suspended, begin_epochs_until

if TYPE_CHECKING:  # torch must not be loaded before its number of threads is set
    from benchmark.cell.job import Job

RANK_VARIABLES = ("RANK", "LOCAL_RANK", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "JSM_NAMESPACE_RANK")
"""By these Lightning would take the workers of a scheduler's job for one training over several processes."""
START_S = 5.0
"""What Parsl's pool of workers takes to start, about; it counts from then on. What it gives back for lack of time must
not be sent to it again."""


@dataclass(frozen=True)
class Task:
    """A job as it is sent.

    Attributes:
        job: pickled: it is not to be read by other code.
        ticket: the right to do it.
        device: what it needs.
        threads: CPU threads of it.
        code: hash of the code that must be the worker's; None if any will do.
        begin_epochs_s: so long after the worker's pool has started, epochs are begun; None for no limit.
        settle_s: to wait before it is begun: another worker may have to let go of it.
    """

    job: bytes
    ticket: Ticket
    device: str
    threads: int
    code: str | None
    begin_epochs_s: float | None
    settle_s: float


class Answer(NamedTuple):
    """How a task ended.

    Attributes:
        end: the job is done (well or not); there was no time for all of it; or it was not begun, since the ticket was
            not valid, or since this is no place for it.
        words: why it was not done; where the ticket was not valid.
    """

    end: Literal["done", "suspended", "withdrawn", "refused"]
    words: str = ""


def perform(task: Task) -> Answer:
    """Do a job in this process, which goes on after it."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(task.threads)))
    for name in RANK_VARIABLES:
        os.environ.pop(name, None)
    if not task.ticket.appears():
        return Answer("withdrawn", platform.node())
    beat = _Beat(task.ticket)
    beat.leave_sign()
    time.sleep(task.settle_s)
    if wrong := _misfit(task):
        return Answer("refused", wrong)
    job: Job = pickle.loads(task.job)
    if task.begin_epochs_s is not None:
        begin_epochs_until(psutil.Process(os.getppid()).create_time() + START_S + task.begin_epochs_s)
    with beat.during(job), _log_of(job):
        try:
            job.run()
        except Suspended as suspended:
            print(suspended, flush=True)
            job.folder.set_status("pending", str(suspended))
            return Answer("suspended", str(suspended))
    return Answer("done")


def _misfit(task: Task) -> str | None:
    """Why a task cannot be done here, if that is so."""
    here = f"a worker on {platform.node()}"
    # Late, and by name: this loads torch.
    code = importlib.import_module("benchmark.cell.provenance").code_hash()
    if task.code not in (None, code):
        return (
            f"{here} has other code ({code}) than this command ({task.code}): both would be mixed in one table. "
            "Install the same version there, or go on all the same with --mix-commits"
        )
    if task.device == "cuda" and not importlib.import_module("torch").cuda.is_available():
        return f"{here} finds no GPU, and --device is cuda: ask for GPUs in the configuration, or give --device cpu"
    return None


class _Beat:
    """Leaves signs of life beside the job, and ends the process if its ticket is gone or it hangs."""

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._pulse = Pulse(os.getpid())
        self._ended = threading.Event()

    def leave_sign(self) -> None:
        """Say that this process is at it."""
        with contextlib.suppress(OSError):  # a ticket that is taken back takes its folder along
            self._ticket.beat(Sign(host=platform.node(), pid=os.getpid(), peak_memory_mb=self._pulse.peak_mb))

    @contextmanager
    def during(self, job: Job) -> Iterator[None]:
        """Go on with it while the job is done."""
        thread = threading.Thread(target=self._go_on, args=(job,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _go_on(self, job: Job) -> None:
        while not self._ended.wait(BEAT_S):
            if not self._ticket.valid:
                os._exit(1)
            silent = self._pulse.silent_s(job.folder.last_sign)
            if silent > HUNG_AFTER_S:
                print(f"for {silent / 60:.0f} min this process noted no progress and did not compute: it ends itself")
                sys.stdout.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            self.leave_sign()


@contextmanager
def _log_of(job: Job) -> Iterator[None]:
    """All that is printed, by native libraries too, goes to the log of the job."""
    sys.stdout.flush()
    sys.stderr.flush()
    before = [os.dup(descriptor) for descriptor in (1, 2)]
    send_output(job.folder)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, kept in zip((1, 2), before, strict=True):
            os.dup2(kept, descriptor)
            os.close(kept)
