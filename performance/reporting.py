"""Reports of many made-up cells: time, and peak memory against their number."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from performance.processes import COMMAND, ROOT, Cost, run
from performance.rows import Finding, Row, Settings
from reports.records.atomic import write_json
from reports.records.folder import RunFolder
from reports.records.record import METRICS, Record, write_curves, write_records
from reports.records.samples import write_elements, write_predictions

ARMS = ("scratch", "scratch-extended", "masked", "denoised")
MODELS = ("egnn", "gns")
EPOCHS = 20
PREDICTIONS = 400


def make_run(folder: Path, cells: int) -> None:
    """A run folder of finished cells: two networks, four arms, as many seeds as that takes; numbers drawn at random."""
    rng = np.random.default_rng(0)
    place = RunFolder(folder)
    rows = []
    for number in range(cells):
        arm, model = ARMS[number % 4], MODELS[number // 4 % 2]
        seed, key = number // 8, f"{number:012x}"
        rows.append(_planned(key, model, arm, seed))
        write_cell(place, rows[-1], rng)
    labels: dict[str, dict[str, object]] = {name: {"label": name} for name in ARMS}
    labels["masked"] |= {"pretext": "masking", "options": {"ratio": 0.5}}
    labels["denoised"] |= {"pretext": "denoising"}
    labels["scratch-extended"] |= {"extended": True}
    write_json(
        folder / "plan.json",
        {
            "schema": 2,
            "suite": "water",
            "title": "Made up",
            "description": "Random numbers.",
            "scale": "quick",
            "command": "none",
            "baselines": ["scratch", "scratch-extended"],
            "datasets": {"tip3p": {"label": "water", "kind": "tip3p"}},
            "models": {name: {"label": name, "kind": name} for name in MODELS},
            "strategies": labels,
            "config": {},
            "cells": rows,
        },
    )


def _planned(key: str, model: str, arm: str, seed: int) -> dict[str, object]:
    pretraining = EPOCHS // 2 if arm in ("masked", "denoised") else 0
    return {
        "key": key,
        "dataset": "tip3p",
        "model": model,
        "strategy": arm,
        "seed": seed,
        "pretraining_key": "0" * 12 if pretraining else None,
        "pretrain_epochs": pretraining,
        "finetune_epochs": EPOCHS,
    }


def write_cell(run_folder: RunFolder, plan: dict[str, object], rng: np.random.Generator) -> None:
    """All files of a cell: record, curves, errors of elements, predictions, provenance, status."""
    key = str(plan["key"])
    folder = run_folder.cell(key)
    folder.path.mkdir(parents=True)
    names = {**{k: v for k, v in plan.items() if k != "key"}, "cell_key": key, "suite": "water", "scale": "quick"}
    force = float(rng.lognormal(4.5, 0.1))
    records, elements = [], []
    for checkpoint in ("best", "last"):
        for split in ("train", "val", "test"):
            values: dict[str, float] = dict.fromkeys(METRICS, force)
            costs = {"pretrain_steps": 0, "finetune_steps": 2240, "pretrain_seconds": 0.0, "finetune_seconds": 60.0}
            more = {"n_frames": 100, "n_atoms": 4800, "n_parameters": 1, "split_hash": f"split-{plan['seed']}"}
            place = {"split": split, "checkpoint": checkpoint, "best_epoch": EPOCHS, "status": "ok"}
            records.append(Record.model_validate({**names, **values, **costs, **more, **place}))
            for element in (1, 8):
                errors_of = {"force_rmse_mev_per_A": force, "force_mae_mev_per_A": force}
                elements.append(
                    {"cell_key": key, **place, "extra": None, "element": element, "n_atoms": 1, **errors_of}
                )
    write_records(records, folder.record)
    write_elements(pd.DataFrame(elements).drop(columns=["best_epoch", "status"]), folder.elements)
    curves = [
        {"cell_key": key, "phase": "finetune", "epoch": e, "step": 112 * e, "seconds": 3.0 * e, "split": split}
        | {"metric": metric, "value": force * (1 + 10 / e)}
        for e in range(1, EPOCHS + 1)
        for split in ("train", "val")
        for metric in ("loss", *METRICS)
    ]
    write_curves(pd.DataFrame(curves), folder.curves)
    true = rng.normal(size=PREDICTIONS)
    shown = {
        "quantity": "force",
        "frame": np.arange(PREDICTIONS),
        "file": None,
        "file_frame": None,
        "atom": 0,
        "axis": "x",
        "element": pd.array([8] * PREDICTIONS, dtype="Int64"),
    }
    numbers = {"reference": 1000 * true, "predicted": 1000 * true + rng.normal(scale=force, size=PREDICTIONS)}
    write_predictions(pd.DataFrame({"cell_key": key, **shown, **numbers}), folder.predictions)
    write_json(folder.provenance, {"schema": 1, "name": key, "versions": {"torch": "2.13.0"}, "config": {}})
    write_json(folder.status_file, {"schema": 1, "state": "ok"})  # not waiting for the disk


def measure(settings: Settings) -> list[Finding]:
    """`report` on folders of 250, 500 and 1 000 cells, each in a process of its own."""
    costs: dict[int, Cost] = {}
    with tempfile.TemporaryDirectory() as name:
        for cells in (25, 50, 100) if settings.quick else (250, 500, 1000):
            folder = Path(name) / str(cells)
            make_run(folder, cells)
            costs[cells] = run([*COMMAND, "report", str(folder)], ROOT)
            if costs[cells].code:
                raise RuntimeError(f"the report of {cells} cells ended with {costs[cells].code}")
    fewest, most = min(costs), max(costs)
    details = {f"{n} cells": {"cpu_s": c.cpu_s, "wall_s": c.wall_s, "peak_mb": c.peak_mb} for n, c in costs.items()}
    what = f"report of {most} cells"
    memory = costs[most].peak_mb / costs[fewest].peak_mb
    return [
        Finding("report", what, "–", costs[most].wall_s, "s", 20.0, "at most", details=details),
        Finding("report-memory", f"peak memory, {what}", f"that of {fewest} cells", memory, "×", 1.5, "at most"),
    ]


ROWS = (Row("report", "a report of 1 000 cells", measure),)

if __name__ == "__main__":
    make_run(Path(sys.argv[1]), int(sys.argv[2]))
