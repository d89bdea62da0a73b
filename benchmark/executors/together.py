"""One job in several processes, one for each device of one node or several: started, watched and ended together."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import torch.distributed as dist

from benchmark.executors.local import GRACE_S, POLL_SECONDS, end_all, process_context
from benchmark.executors.nodes import BEAT_S, Answer, Lead, Line, name_of
from benchmark.executors.pulse import Pulse
from benchmark.executors.tickets import SEEN_AFTER_S
from benchmark.training.steps.parts import Place, take_place
from reports.records.folder import JobFolder, RunFolder
from reports.records.status import State

if TYPE_CHECKING:  # a job calls this
    from benchmark.cell.job import Job

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
LOG_SHOWN = 4000
"""Last characters of the log of a part that failed, where nobody keeps it."""


class Outcome(NamedTuple):
    """How one of the processes ended, and when, s since 1970."""

    state: State
    reason: str | None
    at: float


def run_together(job: Job) -> None:
    """Do a job in as many processes as its settings say; one of them writes, and a failure of any ends all."""
    settings = job.settings
    job.folder.set_status("running")
    scratch = job.folder.path / ".processes"
    shutil.rmtree(scratch, ignore_errors=True)  # of a sitting that was killed
    scratch.mkdir()
    files = _files(job)
    lead = None if settings.meeting is None else Lead(settings.meeting, settings.nodes, job.key, files)
    sitting = _Sitting(job, frozenset(files), scratch, job.folder.log, 0 if lead is None else lead.number)
    members: list[_Member] = []
    try:
        for rank in range(settings.devices):
            members.append(_Member(sitting, Place(rank, settings.processes, settings.nodes)))
        first = _watch(members, job.folder, lead)
    finally:
        end_all([member.process for member in members])
        if lead is not None:
            lead.end()
        shutil.rmtree(scratch, ignore_errors=True)
    if lead is not None and lead.lost is not None:  # what else has failed did so for want of that node
        first = Outcome(lead.lost.state, lead.lost.reason, time.time())
    if first is not None and job.folder.status().state != "ok":
        _tell(job, first, members[0].outcome)


def take_part(job: Job, files: Mapping[str, int], line: Line, number: int) -> None:
    """Do the part of a job that falls to a node other than the first, and tell that one how it ended.

    Args:
        job: the job, whose settings have the meeting.
        files: what it reads of the run folder, with sizes.
        line: the connection to node 0.
        number: of the job.
    """
    settings, members, answer = job.settings, list[_Member](), Answer(state="ok")
    if unseen := _unseen(job, files):
        here = name_of(line.node, socket.gethostname())
        reason = (
            f"{here} does not see {unseen} as node 0 does: the run folder has to be on a file system that all share"
        )
        line.answer(number, Answer(state="failed", reason=reason))
        return
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        sitting = _Sitting(job, frozenset(files), scratch, scratch / "log.txt", number)
        try:
            for local in range(settings.devices):
                rank = line.node * settings.devices + local
                members.append(_Member(sitting, Place(rank, settings.processes, settings.nodes)))
            while running := [member for member in members if not member.ended()]:
                if _failures(members) or line.lost or line.said.over >= number:
                    break
                wait([member.process.sentinel for member in running], timeout=POLL_SECONDS)
            if (first := _first(members)) is not None:
                reason = f"on {name_of(line.node, socket.gethostname())}: {first.reason}"
                answer = Answer(state=first.state, reason=reason)
            line.answer(number, answer)
            if line.lost:
                time.sleep(GRACE_S)  # node 0's processes end by themselves; they are not to take this for a failure
        finally:
            end_all([member.process for member in members])
        if answer.state == "failed" and sitting.log.exists():
            print(sitting.log.read_text(encoding="utf-8", errors="replace")[-LOG_SHOWN:], file=sys.stderr, flush=True)


@dataclass(frozen=True)
class _Sitting:
    """What all processes of a job on a node have to know.

    Attributes:
        job: the job.
        files: what of the run folder it reads, by name.
        scratch: a folder for what the processes need among themselves.
        log: receives what they print.
        number: of the job among those that several nodes do.
    """

    job: Job
    files: frozenset[str]
    scratch: Path
    log: Path
    number: int


class _Member:
    """One of the processes."""

    def __init__(self, sitting: _Sitting, place: Place) -> None:
        context = process_context(sitting.job.settings.device)
        self.place = place
        self._connection, theirs = context.Pipe(duplex=False)
        self.process: BaseProcess = context.Process(
            target=_compute, args=(sitting, place, theirs), name=f"process {place.rank + 1}"
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


def _watch(members: Sequence[_Member], folder: JobFolder, lead: Lead | None) -> Outcome | None:
    """Wait until all have ended, or one has failed and the others were given time to; how the first failed, if any.

    Other nodes are asked before the own processes are: a process whose partner elsewhere has failed fails for that.
    """
    until, first = None, None
    while True:
        elsewhere = [answer for answer in (lead.ask() if lead else ()) if answer.state != "ok"]
        running = [member for member in members if not member.ended()]
        if first is None and elsewhere:
            first = Outcome(elsewhere[0].state, elsewhere[0].reason, time.time())
        first = first or _first(members)
        if first is not None and until is None:
            until = time.monotonic() + GRACE_S
        if not (running or (lead and lead.waiting)) or (until is not None and time.monotonic() > until):
            return first
        wait([member.process.sentinel for member in running], timeout=POLL_SECONDS if running else BEAT_S)
        parent = parent_process()
        if parent is not None and not parent.is_alive():
            raise SystemExit("the process that started this worker is gone")
        if any(member.pulse.silent_s(0) == 0.0 for member in running):
            with contextlib.suppress(OSError):
                os.utime(folder.status_file)  # who watches this process sees that it goes on


def _failures(members: Sequence[_Member]) -> list[Outcome]:
    """Of those that have ended."""
    return [member.outcome for member in members if member.outcome is not None and member.outcome.state != "ok"]


def _first(members: Sequence[_Member]) -> Outcome | None:
    """The first failure, if there is any."""
    return min(_failures(members), key=lambda outcome: outcome.at, default=None)


def _tell(job: Job, first: Outcome, writer: Outcome | None) -> None:
    """Record why the processes ended: for what the first of them did; of its own end the writer has left a word."""
    assert first.state in ("failed", "diverged")
    same = writer is not None and writer.state == first.state == "diverged"
    if same or (first is writer and job.folder.status().state == first.state):
        return
    job.give_up(first.reason or "", first.state)


def _files(job: Job) -> dict[str, int]:
    """What a job reads of the run folder, by its place there, with sizes: checkpoints, its pretraining, the audit."""
    run = job.settings.run
    paths = [job.folder.checkpoint("best"), job.folder.checkpoint("last"), run.audit]
    paths += [] if job.needs is None else run.pretraining(job.needs).path.iterdir()
    return {str(path.relative_to(run.path)): path.stat().st_size for path in paths if path.is_file()}


def _unseen(job: Job, files: Mapping[str, int]) -> Path | None:
    """A file that is not to be seen on this node as it is on the first, long enough after it was written."""
    deadline = time.monotonic() + SEEN_AFTER_S
    left = [(job.settings.folder / name, size) for name, size in files.items()]
    while left := [(path, size) for path, size in left if not _seen(path, size)]:
        if time.monotonic() > deadline:
            return left[0][0]
        time.sleep(POLL_SECONDS)
    return None


def _seen(path: Path, size: int) -> bool:
    # What a network file system says of a single name may be older than what it says of the folder.
    with contextlib.suppress(OSError):
        return path.name in os.listdir(path.parent) and path.stat().st_size == size
    return False


def _compute(sitting: _Sitting, place: Place, connection: Connection) -> None:
    """What one of the processes does."""
    job, settings = sitting.job, sitting.job.settings
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # The server that this process was forked from prints where its first job did. Of what all say one copy will do.
    with sitting.log.open("a", encoding="utf-8") as log, open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2((nowhere if place.rank else log).fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ |= {"LOCAL_RANK": str(place.local), "NODE_RANK": str(place.node)}  # for Lightning
    if sys.platform == "linux" and place.nodes == 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the name of this machine need not be known to any resolver
    take_place(place)
    store: dist.Store = dist.FileStore(str(sitting.scratch / "store"), place.processes)
    if settings.meeting is not None:
        store = dist.PrefixStore(f"job {sitting.number}", settings.meeting.connect(place.node))
    dist.init_process_group(
        BACKENDS[settings.device],
        store=store,
        rank=place.rank,
        world_size=place.processes,
    )
    if place.rank:
        job = _silent(job, sitting.scratch / str(place.rank), sitting.files)
    job.run_here()
    status = job.folder.status()
    connection.send(Outcome(status.state, status.reason, time.time()))
    if status.state != "ok":
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # the others may wait for this one in a way that cannot be left together
    dist.destroy_process_group()


def _silent(job: Job, folder: Path, files: Collection[str]) -> Job:
    """The same job, which leaves what it makes in a folder that nobody reads, and finds the files that it reads."""
    real, run = job.settings.run, RunFolder(folder)
    (folder / job.folder.path.relative_to(real.path)).mkdir(parents=True)
    for path in (job.folder.checkpoint("best"), job.folder.checkpoint("last"), real.audit):
        if str(place := path.relative_to(real.path)) in files:
            (folder / place).symlink_to(path)
    if job.needs is not None:
        run.pretraining(job.needs).path.parent.mkdir()
        run.pretraining(job.needs).path.symlink_to(real.pretraining(job.needs).path)
    return type(job)(job.work, replace(job.settings, folder=folder))


def _end_with_parent() -> None:
    """Exit when the process that started this one is gone, whatever this one waits for."""
    parent: Any = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
