"""Predictions against references, and how errors are distributed: from the samples that the cells left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from reports.analysis.results import Results
from reports.figures.drawing import Drawing, Picture
from reports.figures.palette import Pen, pens
from reports.figures.svg import Panel, Row, sample, sheet
from reports.records.samples import QUANTITY_UNITS
from reports.text.formatting import listing, number, plain

QUANTITIES = {"force": "force component", "energy": "energy"}
MOST_DRAWINGS = 12
"""Datasets and models that are drawn."""
MOST_DOTS = 150
"""Predictions in one parity plot."""
STEPS = np.array([0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])
"""Shares of the predictions at which a distribution is drawn."""
MEDIAN, HIGH = STEPS.tolist().index(0.5), STEPS.tolist().index(0.95)

Spans = tuple[tuple[float, float], tuple[float, float]]
"""Ranges of x and y."""


def _predictions(results: Results) -> pd.DataFrame:
    """Predictions of the smallest seed of every arm that has any, with its dataset, model, strategy and seed."""
    cells = pd.DataFrame(
        [(cell.key, *cell.arm, cell.seed) for cell in results.run.plan.cells],
        columns=["cell_key", "dataset", "model", "strategy", "seed"],
    )
    kept = set(results.run.predictions["cell_key"].unique())
    cells = cells[cells["cell_key"].isin(kept)].sort_values("seed", kind="stable")
    first = cells.drop_duplicates(["dataset", "model", "strategy"])
    return results.run.predictions.merge(first, on="cell_key")


def _units(quantity: str) -> str:
    return f"{QUANTITIES[quantity]} ({QUANTITY_UNITS[quantity]})"


def _span(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _pairs(results: Results) -> Iterator[tuple[int, tuple[str, str], pd.DataFrame]]:
    """Number, (dataset, model) and predictions of those that are drawn."""
    groups = dict(list(_predictions(results).groupby(["dataset", "model"], sort=False)))
    there = [(at, pair) for at, pair in enumerate(results.run.plan.pairs, start=1) if pair in groups]
    for at, pair in there[:MOST_DRAWINGS]:
        yield at, pair, groups[pair]


def _by_quantity(predictions: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    groups = dict(list(predictions.groupby("quantity", sort=False)))
    return [(name, groups[name]) for name in QUANTITIES if name in groups]


def _parity_panel(arm: pd.DataFrame, name: str, quantity: str, pen: Pen, spans: Spans) -> Picture:
    thin = arm.iloc[np.unique(np.linspace(0, len(arm) - 1, min(len(arm), MOST_DOTS)).astype(int))]
    unit = QUANTITY_UNITS[quantity]
    panel = Panel(f"reference {_units(quantity)}", f"{name}: predicted ({unit})", *spans, width=260, height=230)
    panel.diagonal()
    panel.arm(pen, [panel.dots(thin["reference"].to_numpy(), thin["predicted"].to_numpy())])
    error = number(float((arm["predicted"] - arm["reference"]).abs().mean()))
    alt = (
        f"Predicted against reference {_units(quantity)}, {name}, seed {arm['seed'].iloc[0]}: mean absolute error "
        f"{error} {unit} over a sample of {len(arm)}, {len(thin)} of them drawn."
    )
    return Picture(panel.svg(plain), alt, "small")


def parity(results: Results) -> list[Drawing]:
    """Predicted against reference forces and energies: one seed, a panel for each arm; a drawing a dataset and model.

    Arms of a drawing share their range. At most `MOST_DOTS` of the predictions, evenly through the sample, and at
    most `MOST_DRAWINGS` drawings.
    """
    plan, look = results.run.plan, pens(results.run.plan.strategies)
    drawings = []
    for at, pair, predictions in _pairs(results):
        rows = []
        for quantity, values in _by_quantity(predictions):
            spans = _span(values["reference"].to_numpy()), _span(values[["reference", "predicted"]].to_numpy())
            arms = dict(list(values.groupby("strategy", sort=False)))
            rows.append(
                [
                    _parity_panel(arms[name], name, quantity, look[name], spans)
                    for name in plan.strategies
                    if name in arms
                ]
            )
        title = f"{plan.heading(*pair)}: predictions against references on the test set"
        file = sheet([Row([picture.svg for picture in row]) for row in rows])
        drawings.append(Drawing(f"parity-{at}", title, tuple(picture for row in rows for picture in row), file))
    return drawings


def _distribution_panel(errors: Mapping[str, np.ndarray], quantity: str, look: Mapping[str, Pen]) -> Picture:
    """`errors`: quantiles at `STEPS` of each arm, the last of them above 0."""
    unit = QUANTITY_UNITS[quantity]
    positive = np.concatenate([found[found > 0] for found in errors.values()])
    span = (float(positive.min()), max(float(positive.max()), 1.1 * float(positive.min())))
    label = f"absolute error of the {_units(quantity)}"
    panel = Panel(label, "share of test predictions (%)", span, (0.0, 100.0), log_x=True)
    for name, found in errors.items():
        drawn = found > 0
        parts = [panel.line(found[drawn], 100 * STEPS[drawn])]
        for i in (MEDIAN, HIGH):
            if drawn[i]:
                title = f"{name}: {plain(100 * STEPS[i])} % of the errors are at most {number(found[i])} {unit}"
                parts.append(panel.mark(found[i], 100 * STEPS[i], look[name].marker, title))
        panel.arm(look[name], parts)
    words = [f"{name} {number(found[MEDIAN])} and {number(found[HIGH])}" for name, found in errors.items()]
    alt = f"Distribution of the {label}, logarithmic: median and 95 % quantile are {listing(words)}."
    return Picture(panel.svg(plain), alt)


def distributions(results: Results) -> list[Drawing]:
    """The share of test predictions with at most a given absolute error: one seed, all arms in a panel.

    At most `MOST_DRAWINGS` drawings.
    """
    plan, look = results.run.plan, pens(results.run.plan.strategies)
    drawings = []
    for at, pair, predictions in _pairs(results):
        pictures, shown = [], set()
        predictions = predictions.assign(error=(predictions["predicted"] - predictions["reference"]).abs())
        for quantity, values in _by_quantity(predictions):
            arms = dict(list(values.groupby("strategy", sort=False)["error"]))
            errors = {name: arms[name].quantile(STEPS).to_numpy() for name in plan.strategies if name in arms}
            errors = {name: found for name, found in errors.items() if found[-1] > 0}
            if errors:
                pictures.append(_distribution_panel(errors, quantity, look))
                shown |= set(errors)
        if pictures:
            title = f"{plan.heading(*pair)}: distribution of the test errors, one seed of each arm"
            legend = tuple((sample(look[name]), name) for name in plan.strategies if name in shown)
            file = sheet([Row([picture.svg for picture in pictures])], legend)
            drawings.append(Drawing(f"distribution-{at}", title, tuple(pictures), file, legend))
    return drawings
