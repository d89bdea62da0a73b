"""What `quick` on water was planned for: its primary comparisons have 80 % power for a change of the paper's size."""

from __future__ import annotations

import math

import pytest

from benchmark.planning.primaries import planned_primaries
from benchmark.planning.reading import load_suite
from reports.analysis.power import POWER, power, smallest_change

SPREAD = 0.126
"""Of the log force error of one cell, residual of seeds and arms: six seeds of EGNN's four arms in trials with frames
that were 25 fs apart; eleven seeds had 0.122."""


@pytest.mark.parametrize("name", ["tip3p", "water"])
def test_quick_has_the_power_for_a_change_of_the_papers_size(name):
    suite = load_suite(name, "quick")
    primaries = planned_primaries(suite)
    family = sum(len(primary.baselines) for primary in primaries)
    (model,) = {primary.model for primary in primaries}
    seeds, arms = suite.models[model].seeds or suite.seeds, len(suite.strategies)
    effect = math.log(1 - 0.36)

    def chance(sd):
        return float(power(effect, sd * math.sqrt(2 / seeds), (arms - 1) * (seeds - 1), family))

    assert chance(SPREAD) > 0.99
    # It is a plan with room: seeds may scatter more than in the trials.
    assert chance(1.5 * SPREAD) > POWER
    decrease, _ = smallest_change(SPREAD * math.sqrt(2 / seeds), (arms - 1) * (seeds - 1), family)
    assert decrease == pytest.approx(-23, abs=0.5)
