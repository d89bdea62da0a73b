"""A row of judged comparisons as what reports say of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reports.analysis.estimates import Change
from reports.analysis.families import Primary
from reports.analysis.power import smallest_change

PLACE = {"dataset": "d", "model": "m", "strategy": "masked", "baseline": "scratch", "metric": "force_rmse_mev_per_A"}
ROW = PLACE | {
    "n": 5, "change_percent": -20.0, "low_percent": -30.0, "high_percent": -9.0, "p": 0.01, "p_holm": 0.04,
    "primary": True, "verdict": "lower", "method": "blocked", "arms": 4, "sd": 0.11, "error": 0.07, "df": 12.0,
}  # fmt: skip


def test_a_change_has_all_of_its_row():
    change = Change.of(ROW, family=4)
    assert change.place == Primary(*PLACE.values())
    assert (change.n, change.percent, change.low, change.high) == (5, -20.0, -30.0, -9.0)
    assert (change.p, change.p_holm, change.primary, change.verdict) == (0.01, 0.04, True, "lower")
    assert (change.method, change.arms, change.sd, change.error, change.df) == ("blocked", 4, 0.11, 0.07, 12.0)
    assert (change.family, change.members) == (4, None)
    assert change.tested


def test_what_it_could_have_seen_is_of_its_family_and_exploratory_ones_have_none():
    change, exploratory = Change.of(ROW, 4), Change.of(ROW | {"primary": False}, 4)
    assert change.seen == smallest_change(0.07, 12.0, 4)
    assert exploratory.family == 1
    assert exploratory.seen == smallest_change(0.07, 12.0, 1)
    assert change.seen[0] < exploratory.seen[0] < 0 < exploratory.seen[1] < change.seen[1]


@pytest.mark.parametrize(("molecules", "members"), [(3, 3), (3.0, 3), (np.nan, None), (None, None)])
def test_members_are_those_of_an_average(molecules, members):
    found = Change.of(ROW | {"molecules": molecules}, 1).members
    assert found == members
    assert isinstance(found, type(members))


def test_one_seed_is_not_tested():
    nothing = dict.fromkeys(("low_percent", "high_percent", "p", "p_holm", "error", "sd"), math.nan)
    change = Change.of(ROW | nothing, 1)
    assert not change.tested
    assert all(math.isnan(end) for end in change.seen)
