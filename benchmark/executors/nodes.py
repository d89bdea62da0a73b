"""Commands on several nodes that do one job at a time together: how they meet, and how each learns of another's end.

Node 0's command does all that a run does, the others do their part of its jobs. It keeps torch's `TCPStore` open, where
all that they tell each other is text, and leaves its address in the run folder with a token that the store knows too: a
file of an earlier run leads to nobody, or to a store that does not know it. Signs of life are counts in the store, so
that no clocks have to agree, and no file system has to show a new file at once.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import torch.distributed as dist
from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark.errors import BenchmarkError
from reports.records.atomic import RecordError, read_json, write_json
from reports.records.status import State

FILE = ".nodes.json"
"""In the run folder, while node 0 is at work."""
ADDRESS_VARIABLE = "MASTER_ADDR"
"""The name or address of node 0 as others see it, where that is not its host name."""
LOCAL = "127.0.0.1"

MEET_S = 600.0
"""For all nodes to find each other."""
BEAT_S = 0.5
"""Between two signs of life of a node."""
SILENCE_S = 30.0
"""After which a node without a sign of life is lost."""
ANSWER_S = 10.0
"""For node 0 to answer a call, and for the others to say farewell."""
WAIT_S = 1800.0
"""For the processes of a job to meet, if nobody ends them before: some may have much to import or read."""

Tell = Callable[[str], None]
"""Receives a sentence for the user."""


class Meeting(BaseModel):
    """Where node 0 is to be found: its name or address, the port of its store, and what is in there under `token`."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int
    token: str

    def connect(self, node: int) -> dist.Store:
        """A connection of one process of a node.

        Raises:
            RuntimeError: if nobody answers.
        """
        host = self.host if node else LOCAL
        store = dist.TCPStore(host, self.port, wait_for_workers=False, timeout=timedelta(seconds=ANSWER_S))
        store.set_timeout(timedelta(seconds=WAIT_S))
        return store


class Hello(BaseModel):
    """What a node says of itself: its host, and what has to be the same on all nodes, by name."""

    host: str
    same: dict[str, str]


class Announced(BaseModel):
    """A job that node 0 begins: its number in this run, its key, and what of the run folder it reads, with sizes."""

    number: int
    key: str
    files: dict[str, int]


class Answer(BaseModel):
    """How a node's part of a job ended."""

    state: State
    reason: str | None = None


class Signs:
    """The other nodes' signs of life, as one process of node 0 sees them; to be asked more often than they may be."""

    def __init__(self, store: dist.Store, nodes: int) -> None:
        self._store = store
        self._seen = dict.fromkeys(range(1, nodes), (-1, 0.0))

    def lost(self) -> dict[int, str]:
        """The nodes that are, and why, in words."""
        found = {}
        for node, (beats, since) in self._seen.items():
            now = time.monotonic()
            if (latest := self._store.add(f"beats {node}", 0)) != beats:
                self._seen[node] = latest, now
            elif now - since > SILENCE_S:
                silence = f"gave no sign of life for {now - since:.0f} s, as if switched off or cut off"
                self._store.set(f"lost {node}", f"{self._name(node)} {silence}")
            if self._store.check([f"lost {node}"]):  # whichever process of node 0 noticed it; from then on it stays so
                found[node] = self._store.get(f"lost {node}").decode()
            elif self._store.check([f"left {node}"]):
                found[node] = f"the command on {self._name(node)} has ended; what it printed says why"
        return found

    def _name(self, node: int) -> str:
        return name_of(node, Hello.model_validate_json(self._store.get(f"hello {node}")).host)


class Host:
    """Node 0's command.

    Attributes:
        meeting: where its processes and other nodes find its store.
    """

    def __init__(self, meeting: Meeting, store: dist.Store, nodes: int) -> None:
        self.meeting = meeting
        self._store = store
        self._signs = Signs(store, nodes)

    def look(self) -> bool:
        """Whether all nodes are there; to be asked about twice a second."""
        return not self._signs.lost()

    def check(self) -> None:
        """Raise BenchmarkError if a node is lost: the others cannot go on without it."""
        if lost := self._signs.lost():
            raise BenchmarkError(f"{'; '.join(lost.values())}. The same command, on all nodes again, resumes")

    def part(self, nodes: int, end: str) -> None:
        """Tell those of so many nodes that are there of this one's end, and wait until they know."""
        self._store.set("end", end)
        there = {node for node in range(1, nodes) if self._store.check([f"hello {node}"])}
        deadline = time.monotonic() + ANSWER_S
        while any(not self._gone(node) for node in there) and time.monotonic() < deadline:
            time.sleep(BEAT_S)

    def _gone(self, node: int) -> bool:
        return self._store.check([f"left {node}"]) or self._store.check([f"lost {node}"])


@contextmanager
def gather(run: Path, nodes: int, same: Mapping[str, str], tell: Tell) -> Iterator[Host]:
    """Wait until all nodes have answered; at the end tell them whether the run is finished.

    Args:
        run: the run folder, which the others look into.
        nodes: how many there are.
        same: what has to be the same on all of them, by name.
        tell: is told who answers.

    Raises:
        BenchmarkError: if some do not answer within ``MEET_S``, or were started otherwise.
    """
    name = os.environ.get(ADDRESS_VARIABLE) or socket.gethostname()
    store = dist.TCPStore(LOCAL, 0, is_master=True, wait_for_workers=False)
    meeting = Meeting(host=name, port=store.port, token=uuid.uuid4().hex)
    for key, value in {"token": meeting.token, "job": "null", "over": "0", "end": "none"}.items():
        store.set(key, value)
    host, end = Host(meeting, store, nodes), "failed"
    write_json(run / FILE, meeting.model_dump())
    try:
        _meet(store, nodes, same, tell)
        yield host
        end = "finished"
    finally:
        (run / FILE).unlink(missing_ok=True)
        host.part(nodes, end)


def _meet(store: dist.Store, nodes: int, same: Mapping[str, str], tell: Tell) -> None:
    missing, deadline = set(range(1, nodes)), time.monotonic() + MEET_S
    tell(f"this is node 0 of {nodes}; it waits for the others, on which the same command is to be started")
    while missing:
        for node in [node for node in missing if store.check([f"hello {node}"])]:
            hello = Hello.model_validate_json(store.get(f"hello {node}"))
            other = [f"{what} {hello.same.get(what)} there, {own} here" for what, own in same.items()
                     if hello.same.get(what) != own]  # fmt: skip
            if other:
                raise BenchmarkError(
                    f"{name_of(node, hello.host)} is not at the same work: {', '.join(other)}. Start the same command, "
                    "of the same version, on all nodes"
                )
            tell(f"{name_of(node, hello.host)} is there")
            missing.discard(node)
        if missing and time.monotonic() > deadline:
            raise BenchmarkError(
                f"{' and '.join(f'node {node}' for node in sorted(missing))} of {nodes} did not answer within "
                f"{MEET_S / 60:.0f} min. Start the same command on all nodes, each with its number; they find node 0 "
                f"by the run folder, which they have to share, and its host name, unless {ADDRESS_VARIABLE} has another"
            )
        time.sleep(BEAT_S if missing else 0.0)


class Lead:
    """Node 0's process that does a job, and what the other nodes say of their parts.

    Attributes:
        number: of the job.
        waiting: nodes that have not answered.
        lost: the answer for a node that never will, if there is one.
    """

    def __init__(self, meeting: Meeting, nodes: int, key: str, files: dict[str, int]) -> None:
        self._store = meeting.connect(0)
        self._signs = Signs(self._store, nodes)
        self.number = self._store.add("jobs", 1)
        self.waiting = set(range(1, nodes))
        self.lost: Answer | None = None
        self._store.set("job", Announced(number=self.number, key=key, files=files).model_dump_json())

    def ask(self) -> list[Answer]:
        """What is new; to be asked about twice a second."""
        news, lost = [], self._signs.lost()
        for node in sorted(self.waiting):
            if self._store.check([key := f"answer {self.number} {node}"]):
                news.append(Answer.model_validate_json(self._store.get(key)))
            elif node in lost:
                self.lost = Answer(state="failed", reason=lost[node])
                news.append(self.lost)
            else:
                continue
            self.waiting.discard(node)
        return news

    def end(self) -> None:
        """Let all nodes end their parts, and wait until each has done so or is lost."""
        with suppress(RuntimeError):  # the command that keeps the store is gone, and all others end with it
            self._store.set("over", str(self.number))
            while self.waiting:
                self.ask()
                time.sleep(BEAT_S if self.waiting else 0.0)


class Said(NamedTuple):
    """What node 0 says: the job that it has begun last, the number of the last one that is over, and of its own end."""

    job: Announced | None = None
    over: int = 0
    end: str = "none"


class Line:
    """Another node's connection to node 0, at the end of which it says farewell.

    A thread of its own talks: a machine that is switched off does not even refuse to answer, and nobody else may wait
    for it.

    Attributes:
        meeting: where it leads to.
        node: the number of this node.
        said: the latest that node 0 said.
    """

    def __init__(self, meeting: Meeting, node: int, hello: Hello) -> None:
        self.meeting = meeting
        self.node = node
        self.said = Said()
        self.refused = ""
        self._hello = hello
        self._words: deque[tuple[str, str]] = deque()
        self._wake, self._leaving, self._answered = threading.Event(), threading.Event(), threading.Event()
        self._broken, self._heard = False, time.monotonic()
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def opens(self) -> bool:
        """Whether node 0 answers, and is the one that is meant."""
        return self._answered.wait(ANSWER_S) and not self._broken

    @property
    def lost(self) -> bool:
        """Whether node 0 is gone."""
        return self._broken or time.monotonic() - self._heard > SILENCE_S

    def answer(self, number: int, answer: Answer) -> None:
        """Say how this node's part of a job ended."""
        self._words.append((f"answer {number} {self.node}", answer.model_dump_json()))
        self._wake.set()

    def close(self) -> None:
        """Say what is left to say, and that this node has ended."""
        self._leaving.set()
        self._wake.set()
        self._thread.join(ANSWER_S)

    def _talk(self) -> None:
        try:
            self._introduce(store := self.meeting.connect(self.node))
            while not self._broken:
                leaving = self._leaving.is_set()
                store.add(f"beats {self.node}", 1)
                while self._words:
                    store.set(*self._words.popleft())
                job, over, end = (value.decode() for value in store.multi_get(["job", "over", "end"]))
                self.said = Said(None if job == "null" else Announced.model_validate_json(job), int(over), end)
                self._heard = time.monotonic()
                self._answered.set()
                if leaving:
                    store.set(f"left {self.node}", "yes")
                    return
                self._wake.wait(BEAT_S)
                self._wake.clear()
        except (RuntimeError, ValueError):  # it does not answer any more, or is something else that listens there
            self._broken = True
        finally:
            self._answered.set()

    def _introduce(self, store: dist.Store) -> None:
        if not store.check(["token"]) or store.get("token").decode() != self.meeting.token:
            self._broken = True
        elif store.add(f"joined {self.node}", 1) > 1:
            self.refused = (
                f"there is a node {self.node} already: start the command once on each node, as srun does with "
                "--ntasks-per-node=1, and give each a number of its own"
            )
            self._broken = True
        else:
            store.set(f"hello {self.node}", self._hello.model_dump_json())


@contextmanager
def join(run: Path, node: int, same: Mapping[str, str], tell: Tell) -> Iterator[Line]:
    """Find node 0 by the run folder.

    Args:
        run: the run folder.
        node: the number of this node.
        same: what has to be the same on all nodes, by name.
        tell: is told what is waited for.

    Raises:
        BenchmarkError: if node 0 is not to be found within ``MEET_S``, or another node has this number.
    """
    deadline, hello = time.monotonic() + MEET_S, Hello(host=socket.gethostname(), same=dict(same))
    tell(f"this is node {node}; it waits for node 0 to begin in {run}")
    silent: Meeting | None = None
    while True:
        meeting = _read(run / FILE)
        if meeting is not None and meeting != silent and _listens(meeting):
            line = Line(meeting, node, hello)
            if line.opens():
                break
            if line.refused:
                raise BenchmarkError(line.refused)
            silent = meeting
        if time.monotonic() > deadline:
            raise BenchmarkError(
                f"node 0 was not found within {MEET_S / 60:.0f} min: "
                + (f"{run / FILE} is not there" if meeting is None else f"{meeting.host} does not answer")
                + f". Start the same command there, in the same run folder on a file system that all nodes share; "
                f"where its host name is not what others find it by, set {ADDRESS_VARIABLE} there"
            )
        time.sleep(BEAT_S)
    tell(f"node 0 is {meeting.host}; this node does its part of the jobs that it begins")
    try:
        yield line
    finally:
        line.close()


def name_of(node: int, host: str) -> str:
    """What a node is called in a message."""
    return f"node {node} ({host})"


def _read(path: Path) -> Meeting | None:
    """What the run folder says of node 0; None if it says nothing, or nothing that can be read."""
    with suppress(RecordError, ValidationError):
        content = read_json(path, "it is written anew")
        return None if content is None else Meeting.model_validate(content)
    return None


def _listens(meeting: Meeting) -> bool:
    """Whether anybody does at that port: torch would try, and complain, for long."""
    try:
        socket.create_connection((meeting.host, meeting.port), timeout=ANSWER_S).close()
    except OSError:
        return False
    return True
