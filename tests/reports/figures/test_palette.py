"""Colours and markers: seen on both pages, and an arm keeps its own."""

import pytest

from reports.figures.palette import COLOURS, DARK_COLOURS, INK, look, markers, pens, themed
from reports.records.run import read_run

pytestmark = pytest.mark.slow


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


def test_an_arm_keeps_its_look_when_others_are_left_out(make_run, four_arms):
    everything, some = read_run(make_run(four_arms)), read_run(make_run({"masked": {0: None}}, name="some"))
    assert look(everything.plan)[0]["masked"] == look(some.plan)[0]["masked"]
    assert markers(everything.plan)["masked"] == markers(some.plan)["masked"]


def test_drawn_colours_become_the_pages():
    assert themed(f"<g fill='{INK}' stroke='{COLOURS[2]}'/>") == "<g fill='currentColor' stroke='var(--arm-2)'/>"
