"""The share of cells on the plateau against epochs: what is drawn is what the curves hold."""

import pytest

from reports.analysis.results import Results
from reports.figures.escape import escapes
from reports.figures.svg import HEIGHT, LEFT, RIGHT, TOP, WIDTH
from reports.records.record import write_curves
from reports.records.run import read_run
from tests.reports.made_up import SURE, results_of
from tests.reports.svg import lines, titles


def test_lines_fall_where_cells_leave_the_plateau(make_run, curve, key_of):
    folder = make_run(SURE, references={"null": (800.0, 300.0)})
    for seed in range(3):
        falls = [700.0] * seed + [300.0] * (4 - seed)
        write_curves(curve("masked", seed, falls), folder / "cells" / key_of("masked", seed) / "curves.parquet")
        stays = curve("scratch", seed, [700.0] * 4)
        write_curves(stays, folder / "cells" / key_of("scratch", seed) / "curves.parquet")
    (drawing,) = escapes(Results(read_run(folder)))
    own, counted = drawing.panels
    scratch, masked = lines(own.svg)
    assert {y for _, y in scratch} == {TOP}
    # Of three cells one leaves at each of the epochs 1, 2 and 3; four epochs span the panel.
    width, height = WIDTH - LEFT - RIGHT, max(y for _, y in masked) - TOP
    corners = [(round(4 * (x - LEFT) / width, 2), round(100 * (1 - (y - TOP) / height))) for x, y in masked]
    assert corners == [(0, 100), (1, 100), (1, 67), (2, 67), (2, 33), (3, 33), (3, 0), (4, 0)]
    assert max(y for _, y in masked) < HEIGHT
    assert "scratch 100 % and masked 0 %" in own.alt
    assert "pretraining counted" in counted.alt
    assert "masked: 0 % have not left the plateau after 6 epochs, pretraining counted" in titles(counted.svg)


@pytest.mark.parametrize("outcomes", [SURE, {}])
def test_without_the_error_of_no_force_there_is_no_figure(make_run, outcomes):
    assert escapes(results_of(make_run, outcomes)) == []
