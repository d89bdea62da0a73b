"""How many cells are still on the plateau on which training begins, against epochs."""

from __future__ import annotations

import pandas as pd

from reports.analysis.escape import plateau_shares
from reports.analysis.results import Results
from reports.analysis.statistics import ARM
from reports.figures.drawing import Drawing, Picture
from reports.figures.palette import Pen, pens
from reports.figures.svg import Panel, Row, sample, sheet
from reports.records.plan import Arm
from reports.text.formatting import listing, plain

MOST_DRAWINGS = 12
"""Datasets and models that are drawn."""

TIMES = {"epoch": "finetuning epochs", "total_epoch": "epochs, pretraining counted"}
"""What is counted -> title of the axis."""


def _steps(shares: pd.DataFrame, end: float) -> tuple[list[float], list[float]]:
    """A staircase through the shares in %, up to `end`."""
    xs, ys = [0.0], [100.0]
    for time, share in zip(shares["time"], 100 * shares["share"], strict=True):
        if share < ys[-1]:
            xs += [float(time), float(time)]
            ys += [ys[-1], float(share)]
    return [*xs, end], [*ys, ys[-1]]


def _panel(shares: dict[str, pd.DataFrame], ends: dict[str, float], time: str, look: dict[str, Pen]) -> Panel:
    panel = Panel(TIMES[time], "cells still on the plateau (%)", (0.0, max(ends.values())), (0.0, 100.0))
    for name, found in shares.items():
        xs, ys = _steps(found, ends[name])
        title = f"{name}: {plain(round(ys[-1]))} % have not left the plateau after {plain(xs[-1])} {TIMES[time]}"
        panel.arm(look[name], [panel.line(xs, ys), panel.mark(xs[-1], ys[-1], look[name].marker, title)])
    return panel


def escapes(results: Results) -> list[Drawing]:
    """Share of cells on the plateau against epochs (Kaplan and Meier 1958), a drawing for each dataset and model.

    At most `MOST_DRAWINGS`; none where the null's error is not known.
    """
    plan, escaped = results.run.plan, results.escaped
    look = pens(plan.strategies)
    shares = {time: _by_arm(plateau_shares(escaped, time)) for time in TIMES} if len(escaped) else {}
    ends = {
        time: {Arm(*map(str, arm)): float(cells[f"{time}s"].max()) for arm, cells in escaped.groupby(ARM, sort=False)}
        for time in TIMES
    }
    drawings: list[Drawing] = []
    for i, (dataset, model) in enumerate(plan.pairs, start=1):
        arms = {name: Arm(dataset, model, name) for name in plan.strategies}
        arms = {name: arm for name, arm in arms.items() if shares and arm in shares["epoch"]}
        if not arms or len(drawings) == MOST_DRAWINGS:
            continue
        pictures = []
        for time in TIMES:
            found = {name: shares[time][arm] for name, arm in arms.items()}
            until = {name: ends[time][arm] for name, arm in arms.items()}
            words = [f"{name} {plain(round(100 * float(one['share'].iloc[-1])))} %" for name, one in found.items()]
            alt = f"Share of cells on the plateau against {TIMES[time]}; at the end: {listing(words)}."
            pictures.append(Picture(_panel(found, until, time, look).svg(plain), alt))
        legend = tuple((sample(look[name]), name) for name in arms)
        file = sheet([Row([picture.svg for picture in pictures])], legend)
        title = f"{plan.heading(dataset, model)}: cells that have not left the plateau"
        drawings.append(Drawing(f"escape-{i}", title, tuple(pictures), file, legend))
    return drawings


def _by_arm(shares: pd.DataFrame) -> dict[Arm, pd.DataFrame]:
    return {Arm(*map(str, place)): found for place, found in shares.groupby(ARM, sort=False)}
