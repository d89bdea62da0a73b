"""Made-up outcomes whose statistics are known in closed form, for tests."""

import math

import numpy as np
from scipy import stats

from reports.analysis.results import Results
from reports.records.run import read_run


def seeds(*forces, energy=100.0):
    """Outcomes of seeds with these force errors, and energies that differ little."""
    return {seed: (force, energy * (1 + seed / 100)) for seed, force in enumerate(forces)}


def results_of(make_run, outcomes, **plan):
    return Results(read_run(make_run(outcomes, **plan)))


def interval(logs):
    """Estimate and 95 % interval in % of three log ratios, by the closed form for two degrees of freedom."""
    mean = sum(logs) / 3
    error = math.sqrt(sum((x - mean) ** 2 for x in logs) / 2 / 3)
    t = 0.95 * math.sqrt(2 / (1 - 0.95**2))
    return [100 * (math.exp(x) - 1) for x in (mean, mean - t * error, mean + t * error)], mean / error


SURE = {"scratch": seeds(100, 110, 120), "masked": seeds(50, 55.2, 59.9)}
"""A change of the force error that can be told, and none of the energy."""


LOST = dict.fromkeys(range(3), ("diverged", "loss is nan"))
REFERENCES = {"null": (800.0, 300.0), "one molecule": (286.0, 280.0)}
"""(force, energy) errors that need no network."""


def primary(strategy="masked", baselines=("scratch",), metric="force_rmse_mev_per_A", dataset="tip3p", model="egnn"):
    """An entry of a plan's primary comparisons."""
    return {
        "dataset": dataset,
        "model": model,
        "strategy": strategy,
        "baselines": list(baselines),
        "metric": metric,
    }


def molecules(make_run, names, logs=(0.0,), more=None, datasets=None, **plan):
    """A run on molecules of a kind of its own: masked halves the force errors, times exp of the logarithm of its seed.

    Logarithms are by seed. The kind declares that it is judged by MAE and averaged over molecules. `more`, `datasets`:
    further outcomes, on further datasets.
    """
    mine = {
        name: {"label": f"my {name}", "kind": "my-molecules", "judged_by": "mae"}
        | {"pool": "mine", "pooled_over": "molecule", "member": name}
        for name in names
    }
    outcomes = {
        (name, "egnn", strategy): {
            seed: (base * factor * math.exp(log * (strategy == "masked")), 10.0 * base) for seed, log in enumerate(logs)
        }
        for at, name in enumerate(names)
        for strategy, factor, base in (("scratch", 1.0, 20.0 + at), ("masked", 0.5, 20.0 + at))
    }
    return results_of(make_run, outcomes | (more or {}), datasets=mine | (datasets or {}), **plan)


BASE = {0: (100.0, 400.0), 1: (110.0, 500.0), 2: (130.0, 450.0)}
LOGS = {"masked": ((-0.5, -0.2), (-0.2, 0.3), (-0.2, -0.4)), "denoised": ((-0.1, -0.3), (-0.1, -0.1), (-0.4, -0.2))}
"""Logarithms of the ratios to `scratch` of (force, energy) by seed."""
KNOWN = {"scratch": BASE} | {
    name: {seed: tuple(base * math.exp(log) for base, log in zip(BASE[seed], logs[seed], strict=True)) for seed in BASE}
    for name, logs in LOGS.items()
}


T4 = 2.7764451051977987
"""Student's t at 97.5 % with four degrees of freedom."""


def blocked_by_hand():
    """{(arm, quantity): (change, low, high, p)} of `KNOWN` against scratch: least squares by averages, four degrees."""
    found = {}
    for i in (0, 1):
        logs = np.log([[KNOWN[arm][seed][i] for seed in BASE] for arm in KNOWN])
        residual = logs - logs.mean(axis=0) - logs.mean(axis=1, keepdims=True) + logs.mean()
        error = math.sqrt((residual**2).sum() / 4 * 2 / 3)
        for at, arm in enumerate(KNOWN):
            mean = (logs[at] - logs[0]).mean()
            ends = [100 * math.expm1(x) for x in (mean, mean - T4 * error, mean + T4 * error)]
            if at:
                found[arm, i] = (*ends, 2 * stats.t.sf(abs(mean) / error, 4))
    return found
