"""The primary comparisons in one figure: its numbers in words, what is drawn, and what stands at the edge."""

import pytest
from matplotlib.figure import Figure

from reports.figures.forest import MOST_ROWS, _draw_row, _range, forest
from reports.text.formatting import brief
from tests.reports.made_up import KNOWN, SURE, primary, results_of, seeds
from tests.reports.svg import SVG, parsed, texts

pytestmark = pytest.mark.slow


def test_the_primary_comparisons_are_drawn_with_their_numbers(make_run):
    outcomes = KNOWN | {"scratch-extended": {0: (90.0, 400.0), 1: (100.0, 500.0), 2: (105.0, 450.0)}}
    results = results_of(make_run, outcomes, primary=[primary(baselines=["scratch", "scratch-extended"])])
    (drawing,) = forest(results)
    assert drawing.title.startswith("The primary comparisons (EGNN, TIP3P water, flexible, force errors): change, 95 %")
    assert [name for _, name in drawing.legend] == ["against scratch", "against scratch-extended"]
    (panel,) = drawing.panels
    for place in results.primaries:
        change = results.changes[place]
        estimate = f"{brief(change.percent)} % ({brief(change.low)} to {brief(change.high)})"
        assert f"masked against {place.baseline} {estimate}, single seeds " in panel.alt
        assert estimate in texts(panel.svg)
        assert all(brief(seed) in panel.alt for seed in results.single_seeds(change).values())
    assert {"masked", "0"} <= set(texts(panel.svg))
    assert parsed(drawing.file).tag == f"{SVG}svg"
    assert "#1b1c1d" not in panel.svg, "the theme gives the colours"


def test_without_primaries_the_force_errors_are_drawn_as_exploratory(make_run):
    (drawing,) = forest(results_of(make_run, KNOWN))
    assert drawing.title.startswith("Exploratory comparisons")
    assert {"masked", "denoised"} <= set(texts(drawing.panels[0].svg))
    many = {f"masked-{at}": SURE["masked"] for at in range(MOST_ROWS + 3)} | {"scratch": SURE["scratch"]}
    (drawing,) = forest(results_of(make_run, many, name="many"))
    assert sum(text.startswith("masked-") for text in texts(drawing.panels[0].svg)) == MOST_ROWS
    assert f"{MOST_ROWS} of {MOST_ROWS + 3}: the tables have all" in drawing.title


def test_seeds_beyond_the_axis_stand_at_its_edge(make_run):
    wild = {"scratch": seeds(100, 100, 100), "masked": seeds(5, 100, 900)}
    (drawing,) = forest(results_of(make_run, wild, primary=[primary()]))
    assert "not determined" in drawing.panels[0].alt
    ticks = [text.replace("−", "-") for text in texts(drawing.panels[0].svg)]
    percents = [int(text) for text in ticks if text.lstrip("+-").isdigit()]
    assert 0 in percents
    assert -80 <= min(percents) < -50
    assert 100 < max(percents) <= 300


@pytest.mark.parametrize(
    ("masked", "shape", "whole"),
    [(seeds(590, 600, 610), ">", False), (seeds(9, 10, 11), "<", False), (seeds(49, 50, 51), "o", True)],
)
def test_estimates_beyond_the_axis_do_too(make_run, masked, shape, whole):
    """Without it a row would show a text alone, as if there were nothing to draw."""
    results = results_of(make_run, {"scratch": seeds(100, 100, 100), "masked": masked}, primary=[primary()])
    (change,) = (results.changes[place] for place in results.primaries)
    axes = Figure().subplots()
    axes.set(xscale="log", xlim=_range(results, [change]))
    first, last = axes.get_xlim()
    _draw_row(axes, change, 0.0, "#000000", "o", [])
    *_, estimate = axes.lines
    assert estimate.get_marker() == shape
    assert first <= estimate.get_xdata()[0] <= last
    assert estimate.get_clip_on() is False
    interval = axes.lines[0].get_xdata()
    assert all(first <= end <= last for end in interval)
    assert (len(axes.lines) == 2) == whole, "an arrow at each end of the interval that is cut"


def test_one_seed_or_none_is_no_figure_of_its_own(make_run):
    assert forest(results_of(make_run, {"scratch": seeds(1), "masked": seeds(2)})) == []
    assert forest(results_of(make_run, {"scratch": {0: None}, "masked": {0: None}}, name="none")) == []
