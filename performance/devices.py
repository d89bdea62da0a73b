"""One large cell over the cores of this machine, a process each, against one process with one thread and with all."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import yaml

from benchmark.cell.cell import CellJob
from benchmark.cell.job import Settings as JobSettings
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import build, load_suite
from performance.rows import Finding, Row, Settings, of_pairs
from performance.timing import Pairs
from tasks.registry import DATASETS

DEVICES = 2
LARGE = {"hidden": 128, "layers": 5}
BATCH = 8


def _suite(folder: Path, epochs: int) -> Path:
    """A suite of one cell: EGNN 5 × 128 from scratch on `water` at `quick`, of large batches."""
    path = folder / "bench.yaml"
    content = {
        "extends": "water",
        "name": "bench",
        "title": "For timings",
        "description": "A wide EGNN from scratch.",
        "seeds": 1,
        "primary": [],
        "baselines": ["scratch"],
        "models": {"gns": None, "forcenet": None},
        "strategies": {"scratch-extended": None, "masked": None, "denoised": None},
        "scales": {
            "quick": {
                "seeds": 1,
                "primary": [],
                "models": {"egnn": {"options": LARGE}},
                "training": {"batch_size": BATCH, "finetune": {"epochs": epochs}},
            }
        },
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def measure(settings: Settings) -> list[Finding]:
    """Seconds of finetuning, as the records have them: without start, reading and evaluation."""
    ways = {"devices": (DEVICES, 1), "one thread": (1, 1), f"{DEVICES} threads": (1, DEVICES)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (cell,) = make_plan(load_suite(str(_suite(folder, 1 if settings.quick else 2)), "quick"), data_dir=folder)
        build(DATASETS, cell.dataset).prepare(folder, workers=DEVICES)
        for number in range(1 if settings.quick else 5):
            for way, (devices, threads) in ways.items():
                out = folder / f"{way}-{number}"
                job = CellJob(cell, JobSettings(out, folder, settings.device, threads, devices=devices))
                job.run()
                row = pd.read_parquet(job.folder.record).iloc[0]
                if row["status"] != "ok":
                    raise RuntimeError(f"with {way} the cell {row['status']}: {row['reason']}")
                seconds[way].append(float(row["finetune_seconds"]))
    cell_of = f"egnn {LARGE['layers']} × {LARGE['hidden']}, batches of {BATCH}"
    what = f"finetuning on {DEVICES} devices, a thread each ({cell_of})"
    ours = tuple(seconds.pop("devices"))
    return [
        of_pairs("devices", what, f"one process with {way}", Pairs(ours, tuple(other)), None)
        for way, other in seconds.items()
    ]


ROWS = (Row("devices", "one cell over two processes against one", measure, long=True),)
