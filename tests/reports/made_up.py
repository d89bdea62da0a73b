"""Made-up outcomes whose statistics are known in closed form, for tests."""

import math
import statistics as closed_form

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


def expected(logs):
    """(change, low, high, p) of three log ratios: Student's t with two degrees of freedom has a closed form."""
    mean, error = closed_form.mean(logs), closed_form.stdev(logs) / math.sqrt(3)
    factor = 0.95 * math.sqrt(2 / (1 - 0.95**2))
    t = abs(mean) / error
    ends = [100 * (math.exp(x) - 1) for x in (mean, mean - factor * error, mean + factor * error)]
    return (*ends, 1 - t / math.sqrt(2 + t * t))


def comparisons_by_hand():
    """{(arm, quantity): (change, low, high, p, corrected p)} of `KNOWN`."""
    found = {(arm, i): expected([pair[i] for pair in logs]) for arm, logs in LOGS.items() for i in (0, 1)}
    corrected, highest = {}, 0.0
    for rank, (place, numbers) in enumerate(sorted(found.items(), key=lambda item: item[1][3])):
        highest = max(highest, min(1.0, (len(found) - rank) * numbers[3]))
        corrected[place] = highest
    return {place: (*numbers, corrected[place]) for place, numbers in found.items()}
