"""One job in several processes, one for each device: started, watched and ended together."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch.distributed as dist

from benchmark.executors.local import GRACE_S, POLL_SECONDS, end_all, process_context
from benchmark.executors.pulse import Pulse
from benchmark.training.parts import Place, take_place
from reports.records.folder import JobFolder, RunFolder
from reports.records.status import State

if TYPE_CHECKING:  # a job calls this
    from benchmark.cell.job import Job

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


class Outcome(NamedTuple):
    """How one of the processes ended, and when, s since 1970."""

    state: State
    reason: str | None
    at: float


def run_together(job: Job) -> None:
    """Do a job in as many processes as its settings say; one of them writes, and a failure of any ends all."""
    devices = job.settings.devices
    job.folder.set_status("running")
    meeting = job.folder.path / ".processes"
    shutil.rmtree(meeting, ignore_errors=True)  # of a sitting that was killed
    meeting.mkdir()
    members: list[_Member] = []
    try:
        for rank in range(devices):
            members.append(_Member(job, Place(rank, devices), meeting))
        first = _watch(members, job.folder)
    finally:
        end_all([member.process for member in members])
        shutil.rmtree(meeting, ignore_errors=True)
    if first is not None and job.folder.status().state != "ok":
        _tell(job, first, members)


class _Member:
    """One of the processes."""

    def __init__(self, job: Job, place: Place, meeting: Path) -> None:
        context = process_context(job.settings.device)
        self.place = place
        self._connection, theirs = context.Pipe(duplex=False)
        self.process: BaseProcess = context.Process(
            target=_take_part, args=(job, place, meeting, theirs), name=f"process {place.rank + 1}"
        )
        self.process.start()
        theirs.close()
        self.pulse = Pulse(self.process.pid)
        self.outcome: Outcome | None = None

    def ended(self) -> bool:
        """Whether it has; its outcome is known then."""
        if self.process.is_alive():
            return False
        if self.outcome is None:
            with contextlib.suppress(EOFError, OSError):
                self.outcome = self._connection.recv()
        if self.outcome is None:
            self.outcome = Outcome("failed", self._why(), time.time())
        return True

    def _why(self) -> str:
        code = self.process.exitcode
        why = f"its process {self.place.rank + 1} of {self.place.processes} ended with exit code {code}"
        if code != -signal.SIGKILL:
            return why
        return (
            f"{why}: it was killed, most likely for lack of memory, of which it had used up to {self.pulse.peak_mb:.0f}"
            " MB. Lower batch_size, eval_batch_size or the model's width"
        )


def _watch(members: Sequence[_Member], folder: JobFolder) -> _Member | None:
    """Wait until all have ended, or one has failed and the others were given time to; the first that failed, if any."""
    until = None
    while running := [member for member in members if not member.ended()]:
        failed = any(member.outcome is not None and member.outcome.state != "ok" for member in members)
        if failed and until is None:
            until = time.monotonic() + GRACE_S
        if until is not None and time.monotonic() > until:
            break
        wait([member.process.sentinel for member in running], timeout=POLL_SECONDS)
        parent = parent_process()
        if parent is not None and not parent.is_alive():
            raise SystemExit("the process that started this worker is gone")
        if any(member.pulse.silent_s(0) == 0.0 for member in running):
            with contextlib.suppress(OSError):
                os.utime(folder.status_file)  # who watches this process sees that it goes on
    failures = [member for member in members if member.outcome is not None and member.outcome.state != "ok"]
    return min(failures, key=lambda member: member.outcome.at if member.outcome else 0.0, default=None)


def _tell(job: Job, first: _Member, members: Sequence[_Member]) -> None:
    """Record why the processes ended: for what the first of them did; of its own end the writer has left a word."""
    writer, outcome = members[0], first.outcome
    assert outcome is not None
    assert outcome.state in ("failed", "diverged")
    same = writer.outcome is not None and writer.outcome.state == outcome.state == "diverged"
    if same or (first is writer and job.folder.status().state == outcome.state):
        return
    job.give_up(outcome.reason or "", outcome.state)


def _take_part(job: Job, place: Place, meeting: Path, connection: Connection) -> None:
    """What one of the processes does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # The server that this process was forked from prints where its first job did. Of what all say one copy will do.
    with job.folder.log.open("a", encoding="utf-8") as log, open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2((nowhere if place.rank else log).fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ |= {"LOCAL_RANK": str(place.rank), "NODE_RANK": "0"}  # for Lightning
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the name of this machine need not be known to any resolver
    take_place(place)
    dist.init_process_group(
        BACKENDS[job.settings.device],
        store=dist.FileStore(str(meeting / "store"), place.processes),
        rank=place.rank,
        world_size=place.processes,
    )
    if place.rank:
        job = _silent(job, meeting / str(place.rank))
    job.run_here()
    status = job.folder.status()
    connection.send(Outcome(status.state, status.reason, time.time()))
    if status.state != "ok":
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # the others may wait for this one in a way that cannot be left together
    dist.destroy_process_group()


def _silent(job: Job, folder: Path) -> Job:
    """The same job, which leaves what it makes in a folder that nobody reads, and finds the files that it needs."""
    real, run = job.settings.run, RunFolder(folder)
    own = folder / job.folder.path.relative_to(real.path)
    own.mkdir(parents=True)
    for name in ("best", "last"):
        (own / f"{name}.ckpt").symlink_to(job.folder.checkpoint(name))
    if job.needs is not None:
        run.pretraining(job.needs).path.parent.mkdir()
        run.pretraining(job.needs).path.symlink_to(real.pretraining(job.needs).path)
    if real.audit.exists():
        run.audit.symlink_to(real.audit)
    return type(job)(job.work, replace(job.settings, folder=folder))


def _end_with_parent() -> None:
    """Exit when the process that started this one is gone, whatever this one waits for."""
    parent: Any = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
