"""Validation errors while finetuning: what is drawn is what the curves hold."""

import math
import re
from dataclasses import replace
from statistics import mean

import pytest

from reports.analysis.results import Results
from reports.figures.convergence import MARKS, MOST_PAIRS, MOST_POINTS, convergence
from reports.figures.svg import LEFT, RIGHT, WIDTH
from reports.page.write import build_report
from reports.records.plan import Plan
from reports.records.record import write_curves, write_records
from reports.records.run import read_run
from reports.text.formatting import number
from tests.reports.svg import lines, texts, titles

pytestmark = pytest.mark.slow


def results_of(folder):
    return Results(read_run(folder))


def test_convergence_draws_the_mean_over_seeds(make_run, four_arms):
    (drawing,) = convergence(results_of(make_run(four_arms)))
    assert [panel.css for panel in drawing.panels] == [f"by-{x}" for x in ("epoch", "step", "seconds") for _ in (0, 1)]
    assert [name for _, name in drawing.legend] == list(four_arms)
    force = drawing.panels[0]
    # A curve falls geometrically from 800 to 0.9 times the test error, over 4 epochs (6 where extended).
    ends = {name: mean(0.9 * pair[0] for pair in seeds.values()) for name, seeds in four_arms.items()}
    assert (
        f"masked from 800.0 at epoch 1 to {number(ends['masked'])} at epoch 4 after 2 of pretraining (3 seeds)"
        in force.alt
    )
    assert (
        f"scratch-extended from 800.0 at epoch 1 to {number(ends['scratch-extended'])} at epoch 6 (3 seeds)"
        in force.alt
    )
    drawn = dict(zip(four_arms, lines(force.svg), strict=True))
    assert {name: len(found) for name, found in drawn.items()} == dict(zip(four_arms, (4, 6, 4, 4), strict=True))
    # The axis spans 0 to 6 epochs; masked ends at 2 + 4, scratch at 4.
    right = WIDTH - RIGHT
    assert drawn["masked"][-1][0] == pytest.approx(right, abs=0.2)
    assert drawn["scratch"][-1][0] == pytest.approx(LEFT + 4 / 6 * (right - LEFT), abs=0.2)
    # Logarithmic: equal ratios are equal lengths; all start at 800, masked ends lowest (largest y).
    low, high = (drawn[name][-1][1] for name in ("masked", "scratch"))
    height = (low - high) / math.log(ends["scratch"] / ends["masked"])
    assert drawn["scratch"][-1][1] - drawn["scratch"][0][1] == pytest.approx(
        height * math.log(800 / ends["scratch"]), rel=0.02
    )


def test_points_carry_the_numbers_of_the_curves(make_run, four_arms):
    (drawing,) = convergence(results_of(make_run(four_arms)))
    seeds = [0.9 * pair[0] for pair in four_arms["masked"].values()]
    text = f"{number(mean(seeds))} meV/Å ({number(min(seeds))} to {number(max(seeds))})"
    by_epoch, by_step, by_seconds = (titles(drawing.panels[i].svg) for i in (0, 2, 4))
    assert f"masked, epoch 4 + 2 of pretraining: {text}" in by_epoch
    assert f"masked, step 480 + 240 of pretraining: {text}" in by_step
    assert f"masked, second 18.0 + 6.5 of pretraining: {text}" in by_seconds


def test_long_curves_are_thinned_to_their_ends(make_run, curve, key_of):
    folder = make_run({"scratch": {0: (100.0, 100.0)}})
    values = [1000.0 / (i + 1) for i in range(500)]
    write_curves(curve("scratch", 0, values), folder / "cells" / key_of("scratch", 0) / "curves.parquet")
    (drawing,) = convergence(results_of(folder))
    (line,) = lines(drawing.panels[0].svg)
    assert len(line) == MOST_POINTS
    assert len(titles(drawing.panels[0].svg)) == MARKS
    assert f"from {number(1000)} at epoch 1 to {number(2)} at epoch 500" in drawing.panels[0].alt


def test_one_seed_has_no_band_and_no_range(make_run):
    (drawing,) = convergence(results_of(make_run({"scratch": {0: (100.0, 100.0)}})))
    assert 'class="band"' not in drawing.panels[0].svg
    assert not any(" to " in title for title in titles(drawing.panels[0].svg))


def test_the_number_of_figures_is_bounded(make_run):
    outcomes = {("tip3p", f"model{i}", "scratch"): {0: (100.0, 100.0)} for i in range(MOST_PAIRS + 3)}
    assert len(convergence(results_of(make_run(outcomes)))) == MOST_PAIRS


@pytest.mark.parametrize("outcome", [None, ("failed", "why"), (0.0, 0.0)], ids=["pending", "failed", "zero"])
def test_nothing_to_draw_draws_nothing(make_run, outcome):
    # Errors of zero have no logarithm; their curves start at 800.
    results = results_of(make_run({"scratch": {0: outcome}, "masked": {0: outcome}}))
    assert len(convergence(results)) == (outcome == (0.0, 0.0))


def test_hostile_names_stay_text(make_run):
    hostile = '</svg><script>alert("1")</script>&'
    run = read_run(make_run({"scratch": {0: (100.0, 100.0)}}))
    plan = run.plan.model_dump(mode="json", by_alias=True)
    plan["cells"][0]["strategy"] = hostile
    plan["strategies"][hostile] = plan["strategies"]["scratch"]
    changed = replace(run, records=run.records.assign(strategy=hostile), plan=Plan.model_validate(plan))
    (drawing,) = convergence(Results(changed))
    assert any(title.startswith(hostile) for title in titles(drawing.panels[0].svg))
    assert hostile in texts(drawing.file)


def test_an_arm_without_a_pretraining_time_is_not_drawn_against_seconds(make_run, record, key_of):
    folder = make_run({"scratch": {0: (10.0, 10.0)}, "masked": {0: (5.0, 5.0)}, "denoised": {0: (6.0, 6.0)}})
    path = folder / "cells" / key_of("masked", 0) / "record.parquet"
    write_records([record("masked", 0, pretrain_seconds=None)], path)
    (drawing,) = convergence(results_of(folder))
    seconds = [panel for panel in drawing.panels if panel.css == "by-seconds"]
    assert len(seconds) == 2
    for panel in seconds:
        assert "without masked, whose pretraining time was not recorded" in panel.alt
        assert "denoised, second" in panel.svg
        assert "masked, second" not in panel.svg
    html = build_report(folder).html.read_text(encoding="utf-8")
    svgs = re.findall("<svg.*?</svg>", html, flags=re.DOTALL)
    assert svgs
    assert not any(re.search(r"(?i)(?<![a-z])nan(?![a-z])", svg) for svg in svgs)
