"""Whether a process that does a job goes on with it, and how much memory it takes."""

from __future__ import annotations

import contextlib
import time

import psutil

MEGABYTE = 1e6
HUNG_AFTER_S = 1800.0
"""A process that for so long notes no progress and does not compute is ended, and its job recorded as failed."""
IDLE_SHARE = 0.01
"""Of a core: a process that uses less does not compute."""


class Pulse:
    """What a process shows of itself while it does a job: its memory, and that it goes on."""

    def __init__(self, pid: int | None) -> None:
        self.peak_mb = 0.0
        self.last_silence_s = 0.0
        self._pid = pid
        self._sign, self._cpu, self._since = -1, 0.0, time.monotonic()

    def silent_s(self, sign: int) -> float:
        """Seconds, a sleep of the machine not counted, since it wrote another sign of life or computed."""
        now, cpu = time.monotonic(), self._cpu
        with contextlib.suppress(psutil.Error):  # it has just ended
            process = psutil.Process(self._pid)
            used = process.cpu_times()
            cpu = used.user + used.system
            self.peak_mb = max(self.peak_mb, process.memory_info().rss / MEGABYTE)
        self.last_silence_s = now - self._since
        if sign != self._sign or cpu - self._cpu > max(1.0, IDLE_SHARE * self.last_silence_s):
            self._sign, self._cpu, self._since, self.last_silence_s = sign, cpu, now, 0.0
        return self.last_silence_s
