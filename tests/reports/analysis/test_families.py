"""Holm's correction over declared comparisons alone."""

import numpy as np
import pandas as pd
import pytest

from reports.analysis.families import Primary, judged

FORCE, ENERGY = "force_rmse_mev_per_A", "energy_rmse_mev"


def frame(*rows):
    """(strategy, baseline, metric, change in %, p)."""
    names = ["strategy", "baseline", "metric", "change_percent", "p"]
    return pd.DataFrame(rows, columns=names).assign(dataset="d", model="m")


def primary(strategy="masked", baseline="scratch", metric=FORCE):
    return Primary("d", "m", strategy, baseline, metric)


CHANGES = frame(
    ("masked", "scratch", FORCE, -30.0, 0.01),
    ("masked", "extended", FORCE, 5.0, 0.02),
    ("masked", "scratch", ENERGY, -50.0, 1e-6),
    ("denoised", "scratch", FORCE, -40.0, float("nan")),
)


def test_the_family_is_what_was_declared():
    found = judged(CHANGES, [primary(), primary(baseline="extended")])
    assert found["primary"].tolist() == [True, True, False, False]
    assert found["p_holm"].tolist()[:2] == pytest.approx([0.02, 0.02])
    assert found["verdict"].tolist() == ["lower", "higher", "", ""]  # however small an exploratory p
    assert found["p_holm"].isna().tolist() == [False, False, True, True]


def test_a_primary_that_was_lost_makes_no_test_milder():
    never_ran = Primary("rMD17", "m", "masked", "scratch", FORCE)
    found = judged(CHANGES, [primary(), primary(baseline="extended"), primary("denoised"), never_ran])
    assert found["p_holm"].tolist()[:2] == pytest.approx([0.04, 0.06])  # 4 × 0.01, 3 × 0.02
    assert np.isnan(found["p_holm"].iloc[3])
    assert found["verdict"].tolist() == ["lower", "", "", ""]


def test_nothing_compared_yet():
    found = judged(CHANGES.iloc[:0], [primary()])
    assert found.empty
    assert {"primary", "p_holm", "verdict"} <= set(found.columns)


def test_without_primaries_all_is_exploratory():
    found = judged(CHANGES, [])
    assert not found["primary"].any()
    assert (found["verdict"] == "").all()


def test_arms_that_learned_nothing_get_no_verdict_against_each_other():
    primaries = [primary(), primary(baseline="extended")]
    unlearned = [("d", "m", "masked", FORCE), ("d", "m", "scratch", FORCE)]
    found = judged(CHANGES, primaries, unlearned)
    assert found["verdict"].tolist() == ["", "higher", "", ""]
    assert found["p_holm"].tolist()[:2] == pytest.approx([0.02, 0.02])


def test_what_is_given_twice_is_refused():
    with pytest.raises(ValueError, match="d / m / masked / scratch / force_rmse_mev_per_A is given twice"):
        judged(CHANGES, [primary(), primary()])
    with pytest.raises(ValueError, match="given twice"):
        judged(pd.concat([CHANGES, CHANGES]), [primary()])
