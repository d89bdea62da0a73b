"""The largest memory that a job has used, in a process that does one job after the other."""

from __future__ import annotations

import contextlib
import os
import re
import resource
from pathlib import Path

import torch

MEGABYTE = 1e6
_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def forget_peak(device: str) -> None:
    """Begin a new measurement. Where the system offers none (macOS, some containers), that of the process goes on."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        with contextlib.suppress(OSError):
            _RESET.write_text("5")  # proc(5): the peak resident set size becomes the present one


def peak_memory_mb(device: str) -> float:
    """Largest use since the measurement began, MB: of the accelerator if there is one, else of the process."""
    if device == "cuda":
        return float(torch.cuda.max_memory_allocated() / MEGABYTE)
    if _STATUS.exists():
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024 / MEGABYTE
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE
