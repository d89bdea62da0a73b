"""Made-up simulations whose statistics are known in closed form."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from reports.records.folder import JobFolder
from reports.records.simulations import SCHEMAS, write_simulation

SETTINGS = {"schema": 1, "replicas": 2, "nvt_ps": 10.0, "nve_ps": 5.0}


def subject_of(key, strategy, seed, test, kind="cell"):
    own = kind == "cell"
    return {
        "subject": key,
        "kind": kind,
        "dataset": "tip3p",
        "model": "egnn" if own else None,
        "strategy": strategy if own else None,
        "seed": seed,
        "test": test,
    }


def leave(run: Path, names, measures=None, ends=(), series=None, state="ok", reason=None):
    """Write what one subject and test leaves; `ends`: (simulated, cause) of each replica."""
    (run / "simulations").mkdir(exist_ok=True)
    (run / "simulations" / "settings.json").write_text(json.dumps(SETTINGS))
    folder = JobFolder(run / "simulations" / f"{names['subject']}-{names['test']}")
    folder.set_status(state, reason)
    if state != "ok":
        return
    rows = {
        "ends": [
            {**names, "replica": i, "planned_ps": 10.0, "simulated_ps": time, "cause": cause}
            for i, (time, cause) in enumerate(ends)
        ],
        "measures": [
            {**names, "quantity": quantity, "place": place, "value": value}
            for (quantity, place), value in (measures or {}).items()
        ],
        "series": [
            {**names, "quantity": quantity, "place": place, "x": float(x), "y": float(y)}
            for (quantity, place), points in (series or {}).items()
            for x, y in points
        ],
    }
    tables = {name: pd.DataFrame(found, columns=SCHEMAS[name].names) for name, found in rows.items()}
    write_simulation(folder.path, tables)


PEAK = 2.9


def curves(error: float):
    """g(r) whose peak is too high by an error, and a spectrum."""
    rdf = [(2.5, 1.0), (2.8, PEAK + error), (3.2, 0.9)]
    return {("rdf", "O-O"): rdf, ("spectrum", ""): [(1600, 1e-3), (3700, 2e-3)]}


def simulate(run: Path, key_of, errors, ends=None):
    """Structure errors by strategy and seed; force errors elsewhere are a thousand times as large.

    A structure error of None is one that could not be measured. Curves differ between arms and seeds: the first peak
    of g(r) is `PEAK`, the reference's, and as much higher as the error is; scans begin at another place for each seed.
    """
    for strategy, seeds in errors.items():
        for seed, error in seeds.items():
            key = key_of(strategy, seed)
            found = {("rdf_error", "mean"): error, ("stable_ps", ""): 10.0}
            own = (ends or {}).get(strategy, [(10.0, None), (10.0, None)])
            leave(run, subject_of(key, strategy, seed, "nvt"), found, own, curves(error or 0.0))
            scan = {("scan", "O-H stretch (Å)"): [(x + 0.01 * seed, 10 * x + seed) for x in (0.9, 1.0, 1.1)]}
            leave(run, subject_of(key, strategy, seed, "scans"), {("scan_rmse_mev", "O-H stretch (Å)"): 5.0}, (), scan)
            force = 500 if error is None else 1000 * error
            hot = {("force_rmse_mev_per_A", "400 K"): force, ("force_rmse_mev_per_A", "300 K"): 0.9 * force}
            leave(run, subject_of(key, strategy, seed, "elsewhere"), hot)
    names = subject_of("own-model-tip3p", None, 0, "nvt", "own model")
    leave(run, names, {("rdf_error", "mean"): 0.05, ("stable_ps", ""): 10.0}, [(10.0, None)], curves(0.0))
