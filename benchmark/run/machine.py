"""What this machine has for a run: device, workers, threads. Torch is imported where it is asked, and not before."""

from __future__ import annotations

import os

from benchmark.errors import BenchmarkError
from benchmark.planning.planner import check_numbers

DEVICES = ("auto", "cpu", "cuda")


def check_device(name: str) -> None:
    """Refuse a device that no machine has.

    Raises:
        BenchmarkError: naming those that there are.
    """
    if name not in DEVICES:
        raise BenchmarkError(f"--device {name}: not available; known are {', '.join(DEVICES)}")


def choose_device(name: str) -> str:
    """The accelerator's name for Lightning.

    Raises:
        BenchmarkError: for an unknown device, or one that is not there.
    """
    check_device(name)
    import torch

    # Apple's GPU is left out: it has no float64, which errors are summed in.
    present = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    if name == "auto":
        return present[-1]
    if name not in present:
        raise BenchmarkError(f"--device {name}: not available; available here are auto, {', '.join(present)}")
    return name


def count_workers(jobs: int | None, device: str, devices: int = 1) -> int:
    """Jobs at a time, each on so many devices: as many as asked for, else as there are cores for, or one on GPUs."""
    check_numbers(jobs=jobs, devices=devices)
    return jobs or (max(1, _cores() // devices) if device == "cpu" else 1)


def count_threads(processes: int) -> int:
    """CPU threads of each of so many processes."""
    return max(1, _cores() // processes)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
