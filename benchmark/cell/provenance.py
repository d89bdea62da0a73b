"""What a number depends on beside its configuration: versions, commit, hardware."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch

PACKAGES = (
    "nnp-pretrain-bench",
    "torch",
    "torchmd-net",
    "lightning",
    "torch-geometric",
    "warp-lang",
    "openmm",
    "MDAnalysis",
    "numpy",
    "scikit-learn",
    "pandas",
)

COMMIT_VARIABLE = "NNP_BENCH_COMMIT"
SOURCES = ("benchmark", "tasks", "reports/records")
"""Folders whose code determines what a record says."""


def describe_environment(device: str, threads: int, devices: int = 1) -> dict[str, Any]:
    """Versions, git commit and hardware of this process, ready for JSON."""
    return {
        **describe_code(),
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": threads,
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "accelerator": torch.cuda.get_device_name() if device == "cuda" else None,
            "devices": devices if devices > 1 else None,
            "system": platform.platform(),
        },
    }


def describe_code() -> dict[str, Any]:
    """Versions, git commit and hash of the code, ready for JSON."""
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "git_commit": git_commit(),
        "code": code_hash(),
    }


@cache
def code_hash() -> str:
    """First 12 hex digits of the SHA-256 of the source files that make numbers, as they are at the first call.

    Unlike the commit, it is there for an installed package too, and a change of docs, tests or reports leaves it.
    """
    source = Path(__file__).parents[2]
    content = hashlib.sha256()
    for path in sorted(path for folder in SOURCES for path in (source / folder).rglob("*.py")):
        content.update(f"{path.relative_to(source)}\0".encode() + path.read_bytes() + b"\0")
    return content.hexdigest()[:12]


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_commit() -> str | None:
    """Commit of the source tree, with ``-dirty-`` and a hash of the changes to tracked files if there are any.

    Of an installed package what `COMMIT_VARIABLE` says, as in the container image, else None.
    """
    source = Path(__file__).parents[2]
    # Installed inside a repository of the user's, the nearest repository is not ours.
    if _git(source, "rev-parse", "--show-toplevel") != str(source.resolve()):
        return os.environ.get(COMMIT_VARIABLE) or None
    commit = _git(source, "rev-parse", "--short=12", "HEAD")
    changes = _git(source, "diff", "HEAD")
    if commit is None or changes is None:
        return commit
    return f"{commit}-dirty-{hashlib.sha256(changes.encode()).hexdigest()[:12]}"


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command, or None if it fails or there is no git."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _processor() -> str:
    """The processor's name: the kernel's on Linux, Python's elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
