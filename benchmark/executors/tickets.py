"""Who may work at a job, when workers are on other machines: only the run folder, which all of them see, can tell.

A job that is handed over has a file `RUN/.tickets/KEY` with a number. Its worker looks at it every few seconds, and
lets go at once if it is gone or has another number: the run has ended, or the job was handed over anew because the
worker was believed lost. In turn the worker leaves a sign of life beside it, `KEY.NUMBER`. Neither asks for clocks that
agree.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from reports.records.atomic import RecordError, read_json, replacing, write_json

BEAT_S = 5.0
"""Between two looks of a worker at its ticket, and two signs of life."""
SETTLE_S = 15.0
"""After which a worker without a ticket has let go, or its machine cannot write any more."""
SEEN_AFTER_S = 60.0
"""After which a new file is seen on all machines; network file systems keep what they know of a folder for a while."""


class Sign(BaseModel):
    """A worker's sign of life."""

    host: str
    pid: int
    peak_memory_mb: float


@dataclass(frozen=True)
class Ticket:
    """The right to work at a job.

    Attributes:
        folder: of all tickets of the run.
        key: the job's.
        number: differs each time that a job is handed over.
    """

    folder: Path
    key: str
    number: str

    @property
    def valid(self) -> bool:
        """Whether it is still this one that counts; a file system that does not answer is no reason to let go."""
        try:
            return self._path.read_text(encoding="utf-8") == self.number
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def appears(self) -> bool:
        """Whether it is valid, as seen from another machine: it waits until a new file must have become visible."""
        deadline = time.monotonic() + SEEN_AFTER_S
        while not (found := self._path.name in _names(self.folder)) and time.monotonic() < deadline:
            time.sleep(0.5)
        return found and self.valid

    def beat(self, sign: Sign) -> None:
        """Leave a sign of life, by the worker."""
        write_json(self._sign, sign.model_dump())

    @property
    def last_beat(self) -> int:
        """When the last sign of life was left, in the file system's ns; 0 before the first."""
        try:
            return self._sign.stat().st_mtime_ns
        except OSError:
            return 0

    def sign(self) -> Sign | None:
        """The last sign of life; None before the first."""
        try:
            return Sign.model_validate(read_json(self._sign, "it is written anew"))
        except (RecordError, ValidationError):
            return None

    def revoke(self) -> None:
        """Take it back: its worker, if there is one, lets go."""
        for path in (self._path, self._sign):
            path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self.folder / self.key

    @property
    def _sign(self) -> Path:
        return self.folder / f"{self.key}.{self.number}"


class Tickets:
    """All tickets of a run folder."""

    def __init__(self, run: Path) -> None:
        self.folder = run / ".tickets"

    def issue(self, key: str) -> Ticket:
        """A new ticket for a job; an earlier one is no longer valid."""
        self.folder.mkdir(exist_ok=True)
        ticket = Ticket(self.folder, key, uuid.uuid4().hex)
        with replacing(self.folder / key) as temporary:
            temporary.write_text(ticket.number, encoding="utf-8")
        return ticket

    def revoke_all(self) -> bool:
        """Take back all tickets; whether there were any, so that somebody may still be at work."""
        found = bool(_names(self.folder))
        shutil.rmtree(self.folder, ignore_errors=True)
        return found


def _names(folder: Path) -> list[str]:
    """Names in a folder: what a network file system says of a single name may be older."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
