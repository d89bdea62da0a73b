"""What a verdict hangs on, against the same tests made by hand."""

import numpy as np
from scipy import stats

from tests.reports.made_up import primary, results_of, seeds

SCRATCH = np.array([100.0, 108, 95, 112, 101, 99])
LOGS = {
    "masked": np.array([-0.30, -0.12, -0.25, -0.16, -0.28, -0.02]),
    "denoised": np.array([-0.20, -0.24, -0.02, -0.10, -0.28, -0.11]),
}
"""Logarithms of the ratio of the force error to scratch's, by seed."""


def told_without(seed, name):
    """Whether the arm's paired t-test is significant without that seed, after Holm's correction over both arms."""
    p = {arm: stats.ttest_1samp(np.delete(logs, seed), 0).pvalue for arm, logs in LOGS.items()}
    first = min(p, key=p.__getitem__)
    corrected = {arm: value * (2 if arm == first else 1) for arm, value in p.items()}
    return max(corrected[first], corrected[name]) < 0.05


def test_seeds_that_a_verdict_hangs_on(make_run):
    outcomes = {name: seeds(*(SCRATCH * np.exp(logs))) for name, logs in LOGS.items()}
    results = results_of(
        make_run, outcomes | {"scratch": seeds(*SCRATCH)}, primary=[primary(name) for name in LOGS], spread="own"
    )
    found = {place.strategy: results.crucial_seeds(results.changes[place]) for place in results.primaries}
    assert found == {name: [seed for seed in range(6) if not told_without(seed, name)] for name in LOGS}
    assert all(0 < len(crucial) < 6 for crucial in found.values())
    # What is not told hangs on nothing, and exploratory comparisons have no verdict.
    assert all(change.primary or not results.crucial_seeds(change) for change in results.changes.values())
