"""What the rules promise, over thousands of made-up reports: few false claims, and the power that reports print.

Monte Carlo with a fixed seed; the figures that these tests find are those of docs/design/protocol.md.
"""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports.analysis import blocked, power
from reports.analysis.families import Primary, judged

pytestmark = pytest.mark.slow

FORCE = "force_rmse_mev_per_A"
ARMS = ("scratch", "scratch-extended", "masked", "denoised")
BASELINES = ARMS[:2]
REPORTS = 2000
ONE_SD = math.sqrt(0.05 * 0.95 / REPORTS)
"""Of a rate of 5 % among so many reports: 0.5 %."""


def made_up(spreads, seeds, effects=(0.0, 0.0, 0.0, 0.0), reports=REPORTS, random=11):
    """Reports of one dataset each: logarithms of errors scatter by seed (1) and by arm; `effects` are of the arms."""
    rng = np.random.default_rng(random)
    log = rng.normal(size=(reports, seeds, 1)) + rng.normal(size=(reports, seeds, len(ARMS))) * np.array(spreads)
    log += np.array(effects)
    index = pd.MultiIndex.from_product([map(str, range(reports)), range(seeds), ARMS])
    frame = pd.DataFrame({"value": np.exp(log).ravel()}, index=index.set_names(["dataset", "seed", "strategy"]))
    return frame.reset_index().assign(model="m", metric=FORCE, split_hash="s")


def families(changes):
    """p of each report's family, (reports, 4): masked and denoised against both baselines."""
    arms = changes[~changes["strategy"].isin(BASELINES)]
    return arms.pivot_table(index="dataset", columns=["strategy", "baseline"], values="p", sort=False)


def holm(p):
    """Holm's correction of every row at once, as textbooks have it: the i-th smallest times what is left."""
    order = np.argsort(p.to_numpy(), axis=1)
    factors = p.shape[1] - np.arange(p.shape[1])
    stepped = np.maximum.accumulate(np.take_along_axis(p.to_numpy(), order, axis=1) * factors, axis=1)
    corrected = np.empty_like(stepped)
    np.put_along_axis(corrected, order, stepped, axis=1)
    return pd.DataFrame(np.minimum(corrected, 1), index=p.index, columns=p.columns)


@pytest.fixture(scope="module", params=[3, 6], ids=["3 seeds", "6 seeds"])
def nothing(request):
    """Comparisons of reports in which no arm differs from another."""
    changes = blocked.blocked_changes(made_up([0.2] * 4, request.param), BASELINES)
    return changes[~changes["strategy"].isin(BASELINES)]


def test_single_comparisons_are_false_as_often_as_said(nothing):
    rates = (nothing["p"] < 0.05).groupby([nothing["strategy"], nothing["baseline"]]).mean()
    assert rates.between(0.03, 0.05 + 3 * ONE_SD).all()
    assert (nothing["p"] < 0.05).mean() == pytest.approx(0.045, abs=0.01)
    assert (nothing["spread_p"] < blocked.POOLING_LEVEL).mean() == pytest.approx(blocked.POOLING_LEVEL, abs=0.012)


def test_a_report_makes_a_false_claim_in_at_most_one_of_twenty(nothing):
    corrected = holm(families(nothing))
    assert len(corrected) == REPORTS
    assert 0.015 <= (corrected < 0.05).any(axis=1).mean() <= 0.05 + 2 * ONE_SD
    # What a report does with its one family is the same.
    for name in corrected.index[:20]:
        family = [Primary(name, "m", arm, baseline, FORCE) for arm in ARMS[2:] for baseline in BASELINES]
        report = judged(nothing[nothing["dataset"] == name], family).set_index(["strategy", "baseline"])
        assert report["p_holm"].to_dict() == pytest.approx(corrected.loc[name].to_dict())
        assert (report["verdict"] != "").tolist() == (report["p_holm"] < 0.05).tolist()


@pytest.mark.parametrize("seeds", [3, 6])
def test_a_change_that_could_be_seen_is_seen_in_four_of_five(seeds):
    """With one comparison declared; pooling costs some of the 80 %, for a spread is refused in one of ten by chance."""
    error, df = 0.2 * math.sqrt(2 / seeds), 3 * (seeds - 1)
    effect = power.smallest_effect(error, df)
    changes = blocked.blocked_changes(made_up([0.2] * 4, seeds, (0, 0, -effect, 0), 800), ["scratch"])
    masked = changes[changes["strategy"] == "masked"]
    pooled = masked[masked["method"] == "blocked"]
    assert (masked["p"] < 0.05).mean() == pytest.approx(0.735, abs=0.05)
    assert (pooled["p"] < 0.05).mean() == pytest.approx(power.POWER, abs=0.045)
    assert (masked.loc[masked["p"] < 0.05, "change_percent"] < 0).mean() > 0.999


def test_of_a_family_the_power_is_that_of_holms_first_step_or_more():
    error, df = 0.2 * math.sqrt(2 / 6), 15
    effect = power.smallest_effect(error, df, family=4)
    changes = blocked.blocked_changes(made_up([0.2] * 4, 6, (0, 0, -effect, 0), 600), BASELINES)
    told = holm(families(changes))["masked", "scratch"] < 0.05
    assert told.mean() == pytest.approx(0.76, abs=0.06)


def test_a_spread_of_its_own_is_mostly_seen():
    """Of the arm that scatters four times as much, fewer claims are false than the pooled spread alone would make."""
    values = made_up([0.4, 0.1, 0.1, 0.1], 6, reports=500)
    changes = blocked.blocked_changes(values, ["scratch"])
    log = np.log(values["value"].to_numpy()).reshape(500, 6, 4)
    residual = log - log.mean(axis=1, keepdims=True) - log.mean(axis=2, keepdims=True)
    residual += log.mean(axis=(1, 2), keepdims=True)
    error = np.sqrt((residual**2).sum(axis=(1, 2)) / 15 * 2 / 6)
    pooled = 2 * stats.t.sf(np.abs((log[:, :, 2] - log[:, :, 0]).mean(axis=1)) / error, 15)
    checked = changes.loc[changes["strategy"] == "masked", "p"]
    assert (pooled < 0.05).mean() == pytest.approx(0.157, abs=0.04)
    assert (checked < 0.05).mean() == pytest.approx(0.09, abs=0.03)


def test_with_a_wild_arm_the_others_are_told_by_their_own_spread_only():
    """Twelve seeds, one of four arms of four times the spread: it hides what would be seen without it."""
    effect = 0.125
    values = made_up([0.1, 0.1, 0.1, 0.4], 12, (0, 0, -effect, 0), 500)
    pooled, own = (blocked.blocked_changes(values, ["scratch"], rule) for rule in ("pooled", "own"))
    told = [(changes.loc[changes["strategy"] == "masked", "p"] < 0.05).mean() for changes in (pooled, own)]
    assert told == pytest.approx([0.15, 0.78], abs=0.06)
    false = own.loc[own["strategy"] != "masked", "p"] < 0.05
    assert false.mean() == pytest.approx(0.05, abs=0.025)


def test_where_all_arms_scatter_alike_their_own_spread_costs_little_power():
    values = made_up([0.2] * 4, 12, (0, 0, -0.25, 0), 500)
    pooled, own = (blocked.blocked_changes(values, ["scratch"], rule) for rule in ("pooled", "own"))
    told = [(changes.loc[changes["strategy"] == "masked", "p"] < 0.05).mean() for changes in (pooled, own)]
    assert told == pytest.approx([0.81, 0.78], abs=0.05)
    assert told[0] > told[1]
