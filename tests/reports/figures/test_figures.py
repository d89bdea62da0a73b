"""Figures: what is drawn is what the curves, records and predictions hold, and the small SVG writer is right."""

import json
import math
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from statistics import mean

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reports.analysis.results import Results
from reports.figures.comparison import comparisons
from reports.figures.convergence import MARKS, MOST_PAIRS, MOST_POINTS, convergence
from reports.figures.palette import COLOURS, DARK_COLOURS, INK, look, markers, pens, themed
from reports.figures.predictions import distributions, parity
from reports.figures.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Panel, Row, Scale, log_ticks, nice_ticks
from reports.figures.svg import sheet as make_sheet
from reports.page.write import build_report
from reports.records.plan import Arm
from reports.records.record import write_curves, write_records
from reports.records.run import read_run
from reports.records.samples import PREDICTION_SCHEMA
from reports.text.formatting import number, plain

pytestmark = pytest.mark.slow

FULL = {
    "scratch": {0: (120.0, 510.0), 1: (131.0, 540.0), 2: (137.0, 600.0)},
    "scratch-extended": {0: (118.0, 420.0), 1: (121.0, 470.0), 2: (125.0, 460.0)},
    "masked": {0: (64.0, 101.0), 1: (66.5, 480.0), 2: (69.25, 117.0)},
    "denoised": {0: (90.0, 201.0), 1: (96.5, 280.0), 2: (99.25, 217.0)},
}
SVG = "{http://www.w3.org/2000/svg}"


def results_of(folder):
    return Results(read_run(folder))


def parsed(svg):
    """The SVG element, which must be well-formed by itself."""
    return ElementTree.fromstring(
        svg if "xmlns" in svg else svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    )


def points(path):
    """Absolute points of a path of moves and steps."""
    first, _, rest = path.removeprefix("M").removesuffix("z").partition("l")
    found = [tuple(map(float, first.split(",")))]
    for step in rest.split():
        dx, dy = map(float, step.split(","))
        found.append((found[-1][0] + dx, found[-1][1] + dy))
    return found


def lines(svg):
    """Points of the lines of a panel, in order."""
    return [points(path.get("d")) for path in parsed(svg).iter(f"{SVG}path") if path.get("class") == "line"]


def titles(svg):
    return [title.text for title in parsed(svg).iter(f"{SVG}title")]


# The writer.

sizes = st.floats(1e-6, 1e9)


@given(sizes, st.floats(1.0001, 1e6))
def test_log_ticks_are_few_ascending_and_within(low, factor):
    high = low * factor
    ticks = log_ticks(low, high)
    assert len(ticks) <= 12
    assert all(a < b for a, b in pairwise(ticks))
    assert all(low * (1 - 1e-6) <= tick <= high * (1 + 1e-6) for tick in ticks)
    if factor > 4:
        assert len(ticks) >= 2


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_nice_ticks_are_even_multiples_of_1_2_or_5(low, width):
    ticks = nice_ticks(low, low + width)
    assert 1 <= len(ticks) <= 8
    steps = np.diff(ticks)
    if len(steps):
        assert np.allclose(steps, steps[0], rtol=1e-3)
        digit = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
        assert min(abs(digit - nice) for nice in (1, 2, 5, 10)) < 1e-2


def test_ticks_of_known_ranges():
    assert nice_ticks(0, 30) == [0, 5, 10, 15, 20, 25, 30]
    assert nice_ticks(3, 3) == [3]
    assert log_ticks(40, 900) == [50, 100, 200, 500]
    assert log_ticks(100, 800) == [100, 200, 300, 500, 700]
    assert log_ticks(100, 150) == [100, 120, 140]


@given(sizes, st.floats(1.01, 1e6), st.floats(0, 1))
def test_a_scale_keeps_shares(low, factor, share):
    """A value at a share of the range (of its logarithm) is at that share of the length."""
    high = low * factor
    assume(math.isfinite(high))
    assert Scale(low, high, 10, 110)(low + share * (high - low)) == pytest.approx(10 + 100 * share, abs=1e-4)
    assert Scale(low, high, 10, 110, log=True)(low * factor**share) == pytest.approx(10 + 100 * share, abs=1e-4)


def test_a_panel_places_what_it_draws():
    panel = Panel("x", "y <unit>", (0.0, 10.0), (1.0, 100.0), log_y=True)
    panel.arm(pens(["a"])["a"], [panel.line([0, 5, 10], [1, 10, 100]), panel.mark(5, 10, "o", 'a <b> & "c"')], shift=5)
    svg = panel.svg(plain)
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    middle = ((LEFT + right) / 2, (TOP + bottom) / 2)
    assert lines(svg)[0] == [pytest.approx(place, abs=0.11) for place in ((LEFT, bottom), middle, (right, TOP))]
    assert titles(svg) == ['a <b> & "c"']
    texts = [element.text for element in parsed(svg).iter(f"{SVG}text")]
    assert {"x", "y <unit>", "1", "10", "100", "0"} <= set(texts)
    # Without its pretraining of 5 the arm starts half the axis further to the left.
    (shift,) = re.findall(r"--shift: (-?[\d.]+)px", svg)
    assert float(shift) == pytest.approx(-(right - LEFT) / 2, abs=0.1)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=2, max_size=60))
def test_short_paths_do_not_drift(places):
    panel = Panel("x", "y", (0.0, 10.0), (0.0, 10.0))
    xs, ys = zip(*places, strict=True)
    drawn = points(re.search(r'd="([^"]*)"', panel.line(xs, ys))[1])
    assert drawn == [pytest.approx((panel.x(x), panel.y(y)), abs=0.11) for x, y in places]


def test_a_sheet_holds_panels_beside_and_below_each_other():
    svg = Panel("x", "y", (0, 1), (0, 1)).svg(plain)
    root = parsed(make_sheet([Row([svg, svg], "counted"), Row([svg], "not", uncounted=True)], [("<svg />", "a & b")]))
    places = [(float(e.get("x")), float(e.get("y"))) for e in root.iter(f"{SVG}svg") if e.get("width") == str(WIDTH)]
    assert [x for x, _ in places] == [0, WIDTH, 0]
    assert places[2][1] - places[0][1] >= HEIGHT
    assert float(root.get("viewBox").split()[3]) >= places[2][1] + HEIGHT
    assert [group.get("class") for group in root.findall(f"{SVG}g")] == ["counted", "uncounted"]


# Colours.


def luminance(colour):
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("colours", "paper"), [(COLOURS, "#ffffff"), (DARK_COLOURS, "#15171a")])
def test_colours_stand_out_from_the_page(colours, paper):
    for colour in colours:
        light, dark = sorted((luminance(colour), luminance(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, colour


def test_two_dozen_arms_differ():
    assert len(set(pens([str(i) for i in range(24)]).values())) == 24


def test_an_arm_keeps_its_look_when_others_are_left_out(make_run):
    everything, some = read_run(make_run(FULL)), read_run(make_run({"masked": {0: None}}, name="some"))
    assert look(everything.plan)[0]["masked"] == look(some.plan)[0]["masked"]
    assert markers(everything.plan)["masked"] == markers(some.plan)["masked"]


def test_drawn_colours_become_the_pages():
    assert themed(f"<g fill='{INK}' stroke='{COLOURS[2]}'/>") == "<g fill='currentColor' stroke='var(--arm-2)'/>"


# Convergence.


def test_convergence_draws_the_mean_over_seeds(make_run):
    (drawing,) = convergence(results_of(make_run(FULL)))
    assert [panel.css for panel in drawing.panels] == [f"by-{x}" for x in ("epoch", "step", "seconds") for _ in (0, 1)]
    assert [name for _, name in drawing.legend] == list(FULL)
    force = drawing.panels[0]
    # A curve falls geometrically from 800 to 0.9 times the test error, over 4 epochs (6 where extended).
    ends = {name: mean(0.9 * pair[0] for pair in seeds.values()) for name, seeds in FULL.items()}
    assert (
        f"masked from 800.0 at epoch 1 to {number(ends['masked'])} at epoch 4 after 2 of pretraining (3 seeds)"
        in force.alt
    )
    assert (
        f"scratch-extended from 800.0 at epoch 1 to {number(ends['scratch-extended'])} at epoch 6 (3 seeds)"
        in force.alt
    )
    drawn = dict(zip(FULL, lines(force.svg), strict=True))
    assert {name: len(found) for name, found in drawn.items()} == dict(zip(FULL, (4, 6, 4, 4), strict=True))
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


def test_points_carry_the_numbers_of_the_curves(make_run):
    (drawing,) = convergence(results_of(make_run(FULL)))
    seeds = [0.9 * pair[0] for pair in FULL["masked"].values()]
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
    results = results_of(make_run({"scratch": {0: outcome}, "masked": {0: outcome}}))
    # Errors of zero have no logarithm; their curves start at 800.
    assert len(convergence(results)) == (outcome == (0.0, 0.0))
    assert comparisons(results) == parity(results) == distributions(results) == []


# The paper's comparisons.


def test_the_papers_figures_show_their_arms(make_run):
    run = read_run(make_run(FULL, config=CONFIG))
    longer, side_by_side = comparisons(Results(run))
    assert [name for _, name in longer.legend] == ["scratch", "scratch-extended", "masked"]
    assert [name for _, name in side_by_side.legend] == ["masked", "denoised"]
    masked = Results(run).mean(Arm("tip3p", "egnn", "masked"), "force_rmse_mev_per_A")
    assert f"masked {number(masked.mean)} ± {number(masked.sd, 1)}" in longer.panels[0].alt
    for name in ("masked", "denoised"):
        colour = look(run.plan)[0][name]
        assert f"var(--arm-{COLOURS.index(colour)})" in side_by_side.panels[0].svg
    assert "#" not in re.sub(r'(href="|url\()#', "", side_by_side.panels[0].svg), "every colour is the page's"
    assert parsed(side_by_side.file).tag == f"{SVG}svg"


def test_without_denoising_there_is_no_comparison_of_masking_and_denoising(make_run):
    without = {name: seeds for name, seeds in FULL.items() if name != "denoised"}
    (longer,) = comparisons(results_of(make_run(without, config=CONFIG)))
    assert longer.name == "longer-or-pretrained"


def test_models_of_one_name_stay_apart(make_run):
    outcomes = {("tip3p", model, name): seeds for model in ("a", "b") for name, seeds in FULL.items()}
    labels = {"models": {"a": "EGNN", "b": "EGNN"}}
    longer, _ = comparisons(results_of(make_run(outcomes, config=CONFIG, labels=labels)))
    texts = [text for element in parsed(longer.panels[0].svg).iter(f"{SVG}text") if (text := element.text)]
    assert {"tip3p / a", "tip3p / b"} <= set(texts)


CONFIG = {
    "strategies": {
        "scratch": {"pretext": None, "extended": False},
        "scratch-extended": {"pretext": None, "extended": True},
        "masked": {"pretext": {"kind": "masking"}, "extended": False},
        "denoised": {"pretext": {"kind": "denoising"}, "extended": False},
    }
}


# Predictions.


@pytest.fixture
def predicted(make_run, key_of):
    """Results of a run with made-up predictions: every error is the strategy's own number."""
    run = read_run(make_run(FULL))
    offsets = dict(zip(FULL, (8.0, 6.0, 2.0, 4.0), strict=True))
    rows = [
        (key_of(name, seed), quantity, frame, None, 10.0 * frame, 10.0 * frame + (-1) ** frame * offset * (1 + seed))
        for name, offset in offsets.items()
        for seed in (0, 1)
        for quantity in ("force", "energy")
        for frame in range(400)
    ]
    run.__dict__["predictions"] = pd.DataFrame(rows, columns=PREDICTION_SCHEMA.names)
    return Results(run), offsets


def test_parity_shows_the_smallest_seed_of_each_arm(predicted):
    results, offsets = predicted
    (drawing,) = parity(results)
    assert len(drawing.panels) == 2 * len(FULL)
    for panel, (name, offset) in zip(drawing.panels, offsets.items(), strict=False):
        assert (
            f"{name}, seed 0: mean absolute error {number(offset)} meV/Å over a sample of 400, 150 of them drawn"
            in panel.alt
        )
        (dots,) = (e.get("d") for e in parsed(panel.svg).iter(f"{SVG}path") if e.get("class") == "dots")
        assert dots.count("h0") == 150


def test_distributions_show_the_quantiles(predicted):
    results, offsets = predicted
    (drawing,) = distributions(results)
    for name, offset in offsets.items():
        # All errors are alike, so the median and the 95 % quantile are that one number.
        assert f"{name} {number(offset)} and {number(offset)}" in drawing.panels[0].alt
        assert f"{name}: 50 % of the errors are at most {number(offset)} meV/Å" in titles(drawing.panels[0].svg)


def test_hostile_names_stay_text(make_run):
    hostile = '</svg><script>alert("1")</script>&'
    run = read_run(make_run({"scratch": {0: (100.0, 100.0)}}))
    frame = run.records.assign(strategy=hostile)
    plan = json.loads(run.plan.model_dump_json(by_alias=True))
    plan["cells"][0]["strategy"] = hostile
    changed = type(run)(**{**run.__dict__, "records": frame, "plan": type(run.plan).model_validate(plan)})
    (drawing,) = convergence(Results(changed))
    assert any(title.startswith(hostile) for title in titles(drawing.panels[0].svg))
    assert hostile in [element.text for element in parsed(drawing.file).iter(f"{SVG}text")]


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
