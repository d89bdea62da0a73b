"""The small SVG writer: values stand where they belong, and ticks are few and even."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reports.figures.palette import pens
from reports.figures.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Panel, Row, Scale, log_ticks, nice_ticks, sheet
from reports.text.formatting import plain
from tests.reports.svg import SVG, lines, parsed, points, texts, titles

pytestmark = pytest.mark.slow

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
    assert {"x", "y <unit>", "1", "10", "100", "0"} <= set(texts(svg))
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
    root = parsed(sheet([Row([svg, svg], "counted"), Row([svg], "not", uncounted=True)], [("<svg />", "a & b")]))
    places = [(float(e.get("x")), float(e.get("y"))) for e in root.iter(f"{SVG}svg") if e.get("width") == str(WIDTH)]
    assert [x for x, _ in places] == [0, WIDTH, 0]
    assert places[2][1] - places[0][1] >= HEIGHT
    assert float(root.get("viewBox").split()[3]) >= places[2][1] + HEIGHT
    assert [group.get("class") for group in root.findall(f"{SVG}g")] == ["counted", "uncounted"]
