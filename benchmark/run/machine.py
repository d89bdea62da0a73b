"""What this machine has for a run: device, workers, threads. Torch is imported where it is asked, and not before."""

from __future__ import annotations

import os
import re
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.planning.planner import check_numbers

DEVICES = ("auto", "cpu", "cuda")
MPS_FOLDER = "/tmp/nvidia-mps"
"""Where the daemon of NVIDIA's Multi-Process Service is met, unless ``CUDA_MPS_PIPE_DIRECTORY`` says otherwise."""
NODE_VARIABLES = ("NODE_RANK", "SLURM_NODEID")
"""Either says which of several nodes this is, from 0: the user or a launcher sets the first, Slurm the second."""


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


def check_nodes(nodes: int, jobs: int | None, executor: bool) -> None:
    """Refuse what does not go together with several nodes.

    Raises:
        BenchmarkError: naming both.
    """
    check_numbers(nodes=nodes)
    if nodes > 1 and executor:
        raise BenchmarkError(
            "--nodes divides jobs among nodes that run this command, --executor sends them away: give one"
        )
    if nodes > 1 and jobs not in (None, 1):
        raise BenchmarkError(
            f"--nodes {nodes} --jobs {jobs}: all nodes do one job at a time together; leave out --jobs"
        )


def find_node(nodes: int) -> int:
    """Which of so many nodes this is, by the environment.

    Raises:
        BenchmarkError: if it does not say so.
    """
    if nodes == 1:
        return 0
    name = next((name for name in NODE_VARIABLES if os.environ.get(name)), None)
    if name is None:
        raise BenchmarkError(
            f"--nodes {nodes}: nothing says which of them this is. Set {NODE_VARIABLES[0]} to 0 on the first and to 1, "
            f"2, ... on the others, or start the command by Slurm's srun, which sets {NODE_VARIABLES[1]}"
        )
    text = os.environ[name]
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) >= nodes:
        raise BenchmarkError(
            f"--nodes {nodes}: {name} says which of them this is, from 0 to {nodes - 1}, and it is {text!r}"
        )
    return int(text)


def count_workers(jobs: int | None, device: str, devices: int = 1, nodes: int = 1) -> int:
    """Jobs at a time, each on so many devices: as many as asked for, else as there are cores for, or one on GPUs.

    On several nodes one, which they do together.
    """
    check_numbers(jobs=jobs, devices=devices)
    if nodes > 1:
        return 1
    return jobs or (max(1, _cores() // devices) if device == "cpu" else 1)


def taking_turns(workers: int, device: str, devices: int = 1) -> list[str]:
    """What to know where several processes share a GPU: without NVIDIA's MPS one waits while another computes.

    The daemon is there if its folder has the pipe that it is spoken to by (NVIDIA's guide to MPS, "Environment
    variables").
    """
    if device != "cuda" or workers <= 1 or devices > 1:
        return []
    if (Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", MPS_FOLDER)) / "control").exists():
        return []
    return [
        f"{workers} cells at a time take turns on the GPU. With NVIDIA's MPS (`nvidia-cuda-mps-control -d`, then the "
        "same command) they compute side by side, which pays for small networks"
    ]


def count_threads(processes: int) -> int:
    """CPU threads of each of so many processes."""
    return max(1, _cores() // processes)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
