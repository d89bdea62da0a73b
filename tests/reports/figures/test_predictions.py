"""Predictions against references: what is drawn and said is what the samples hold."""

from dataclasses import replace

import pandas as pd
import pytest

from reports.analysis.results import Results
from reports.figures.predictions import distributions, parity
from reports.records.run import read_run
from reports.records.samples import PREDICTION_SCHEMA
from reports.text.formatting import number
from tests.reports.svg import SVG, parsed, titles

pytestmark = pytest.mark.slow


@pytest.fixture
def predicted(make_run, key_of, four_arms):
    """Results of a run with made-up predictions: every error is the strategy's own number."""
    run = read_run(make_run(four_arms))
    offsets = dict(zip(four_arms, (8.0, 6.0, 2.0, 4.0), strict=True))
    rows = [
        (key_of(name, seed), quantity, frame, None, 10.0 * frame, 10.0 * frame + (-1) ** frame * offset * (1 + seed))
        for name, offset in offsets.items()
        for seed in (0, 1)
        for quantity in ("force", "energy")
        for frame in range(400)
    ]
    columns = ("cell_key", "quantity", "frame", "element", "reference", "predicted")
    predictions = pd.DataFrame(rows, columns=columns).reindex(columns=PREDICTION_SCHEMA.names)
    return Results(replace(run, predictions=predictions)), offsets


def test_parity_shows_the_smallest_seed_of_each_arm(predicted, four_arms):
    results, offsets = predicted
    (drawing,) = parity(results)
    assert len(drawing.panels) == 2 * len(four_arms)
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


def test_without_predictions_there_is_no_figure(make_run):
    results = Results(read_run(make_run({"scratch": {0: (1.0, 1.0)}})))
    assert parity(results) == distributions(results) == []
