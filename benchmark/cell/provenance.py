"""What a number depends on beside its configuration: versions, commit, hardware."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
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


def describe_environment(device: str, threads: int) -> dict[str, Any]:
    """Versions, git commit and hardware of this process, ready for JSON."""
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "git_commit": git_commit(),
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": threads,
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "accelerator": torch.cuda.get_device_name() if device == "cuda" else None,
            "system": platform.platform(),
        },
    }


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

    None for an installed package.
    """
    source = Path(__file__).parents[2]
    # Installed inside a repository of the user's, the nearest repository is not ours.
    if _git(source, "rev-parse", "--show-toplevel") != str(source.resolve()):
        return None
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
