"""How far the cells of a run folder are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.cell.store import RunFolder


def read_statuses(path: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Rows of cells, each after the pretraining that it needs, with their states.

    Raises:
        BenchmarkError: if the folder holds no run.
    """
    folder = RunFolder(path)
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for row in folder.read_plan()["cells"]:
        key = row["pretraining_key"]
        if key is not None and key not in found:
            pretraining = {**row, "key": key, "strategy": f"pretraining for {row['strategy']}"}
            found[key] = pretraining, folder.pretraining(key).status()
        found[row["key"]] = row, folder.cell(row["key"]).status()
    return list(found.values())


def describe_status(status: dict[str, Any]) -> str:
    """Phase, epoch, loss, force RMSE and time left of a running job, as far as they are known."""
    parts = []
    if "epoch" in status:
        parts.append(f"{status.get('phase', 'fit')} epoch {status['epoch']}/{status['epochs']}")
    if status.get("loss") is not None:
        parts.append(f"loss {status['loss']:.3g}")
    if status.get("force_rmse_mev_per_A") is not None:
        parts.append(f"validation force RMSE {status['force_rmse_mev_per_A']:.1f} meV/Å")
    if status.get("seconds_left") is not None:
        parts.append(f"{duration(status['seconds_left'])} left")
    return ", ".join(parts) or status["state"]


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
