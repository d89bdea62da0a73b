"""The section on simulations with the potentials, and its sentence on the first screen."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any, NamedTuple

from reports.analysis.simulations import Used
from reports.figures.drawing import Drawing
from reports.figures.simulations import MOST_PAIRS, simulation_figures
from reports.records.plan import Arm
from reports.tables.simulations import correlation_rows, lasting
from reports.text.formatting import listing, plural, signed

TITLE = "In use"
SAID = {
    "rdf_error": "error of g(r)",
    "distances_error": "error of h(r)",
    "force_rmse_mev_per_A": "force error at the highest temperature",
}
"""Measures that are compared, in the middle of a sentence."""
TABLES = ("simulations", "simulation-changes", "elsewhere", "scans")
DONE = {
    "nvt": "simulated with a thermostat from test frames of its own seed",
    "nve": "simulated without a thermostat",
    "elsewhere": "asked about structures of other conditions",
    "scans": "asked for energies along scans",
}
"""What a test does with each potential."""
ABOUT = (
    "Lines are means over seeds, bands one standard deviation; the thin line is the reference: the data's own model "
    "or, where there is none, frames of the data. What each number is, and what it hides: docs/design/in-use.md."
)


class Pieces(NamedTuple):
    """What the section shows beside its tables: text before them, figures and notes after them."""

    text: str
    figures: list[Drawing]
    notes: list[str]


def pieces(used: Used) -> Pieces:
    """All of the section."""
    notes = []
    told = correlation_rows(used)
    if told:
        notes.append(
            "Did the test force error predict it? Spearman's rank correlation over all potentials, ranks within each "
            f"dataset: {'; '.join(told)}."
        )
    if used.simulations.failed:
        notes.append(f"Simulations failed, and are missing here: {'; '.join(used.simulations.failed)}.")
    pairs = len({(arm.dataset, arm.model) for arm in used.arms})
    if pairs > MOST_PAIRS:
        notes.append(f"Of {pairs} datasets and models, {MOST_PAIRS} are drawn. The tables have the numbers of all.")
    done = listing([what for test, what in DONE.items() if test in used.tests])
    return Pieces(f"Each potential was {done}. {ABOUT}", simulation_figures(used), notes)


def sentence(used: Used) -> str:
    """For the first screen: how long simulations last, and what can be told of the arms."""
    arms = [arm for arm in used.arms if len(used.ends(arm))]
    return f"In use, {_how_long(used, arms)}{_what_is_told(used)}"


def _how_long(used: Used, arms: Sequence[Arm]) -> str:
    if not arms:
        return ""
    settings: Any = used.simulations.settings
    if len(arms) <= 4:
        words = listing([f"{lasting(used, arm)} ({arm.strategy})" for arm in arms])
    else:
        counts = [used.ends(arm) for arm in arms]
        whole, every = sum(int(e["cause"].isna().sum()) for e in counts), sum(map(len, counts))
        words = f"{whole} of {every}, of {len(arms)} arms"
    return f"simulations of {settings['nvt_ps']:g} ps reached their end: {words}. "


def _what_is_told(used: Used) -> str:
    compared = [change for arm in used.arms for change in used.changes(arm) if not isnan(change.p)]
    if not compared:
        return "No arms could be compared: too few seeds have values."
    several = len({(arm.dataset, arm.model) for arm in used.arms}) > 1
    told = [
        f"{change.verdict} {SAID[at.metric]} of {at.strategy}"
        f"{f' ({used.results.run.plan.heading(at.dataset, at.model)})' if several else ''} than of {at.baseline} "
        f"({signed(change.percent)} %)"
        for change in compared
        for at in [change.place]
        if change.verdict
    ]
    over = f"Of {plural(len(compared), 'comparison')} that could be tested"
    return f"{over} {len(told)} can be told: {listing(told)}." if told else f"{over} none can be told."
