"""Figures of simulations: survival, distribution functions, spectra, and errors under other conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.analysis.simulations import Used
from reports.figures.drawing import Drawing, compose
from reports.figures.palette import INK, look, pens
from reports.figures.svg import ink_sample, sample
from reports.records.plan import Arm
from reports.records.simulations import CELL
from reports.text.formatting import listing
from reports.text.simulated import mean_words

MOST_PAIRS = 6
"""Datasets and models that are drawn."""
WIDTH, HEIGHT = 3.6, 2.9


def simulation_figures(used: Used) -> list[Drawing]:
    """The figures of each dataset and model, at most `MOST_PAIRS` of these."""
    drawings = []
    pairs = list(dict.fromkeys((arm.dataset, arm.model) for arm in used.arms))[:MOST_PAIRS]
    for at, pair in enumerate(pairs):
        arms = [arm for arm in used.arms if (arm.dataset, arm.model) == pair]
        made = [
            _survival(used, arms, at),
            _curves(used, arms, "rdf", f"rdf-{at}", "radial distribution functions between molecules", "r (Å)", "g(r)"),
            _curves(used, arms, "distances", f"distances-{at}", "distances within the molecule", "r (Å)", "h(r) (1/Å)"),
            _curves(
                used, arms, "spectrum", f"spectrum-{at}", "vibrational spectra", "wavenumber (1/cm)", "density (cm)"
            ),
            _curves(used, arms, "scan", f"scan-{at}", "energies along scans of isolated molecules", "", "energy (meV)"),
            _elsewhere(used, arms, at),
        ]
        drawings += [drawing for drawing in made if drawing is not None]
    return drawings


def _legend(used: Used, arms: Sequence[Arm]) -> tuple[tuple[str, str], ...]:
    every = pens(used.results.run.plan.strategies)
    return tuple((sample(every[arm.strategy]), arm.strategy) for arm in arms)


def _title(used: Used, arms: Sequence[Arm], what: str) -> str:
    return f"{used.results.run.plan.heading(arms[0].dataset, arms[0].model)}: {what}"


def _survival(used: Used, arms: Sequence[Arm], at: int) -> Drawing | None:
    colours, dashes = look(used.results.run.plan)
    rows = [
        (arm.strategy, time, 100 * share)
        for arm in arms
        if len(used.ends(arm))
        for time, share in zip(*used.survival(arm), strict=True)
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows, columns=["strategy", "time", "share"])
    names = [arm.strategy for arm in arms if arm.strategy in set(frame["strategy"])]

    def draw(_: Sequence[str], size: tuple[float, float]) -> Figure:
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        sns.lineplot(
            frame, x="time", y="share", hue="strategy", style="strategy", hue_order=names, style_order=names,
            palette=colours, dashes=dashes, drawstyle="steps-post", errorbar=None, estimator=None, legend=False,
            ax=axes,
        )  # fmt: skip
        axes.set(xlabel="time (ps)", ylabel="simulations that still run (%)", ylim=(-3, 103))
        axes.grid(axis="y")
        return figure

    words = [f"{arm.strategy} {int(used.ends(arm)['cause'].isna().sum())} of {len(used.ends(arm))}" for arm in arms]
    alt = f"Share of simulations that have not ended early against time; to the end came {listing(words)}."
    return compose(
        f"survival-{at}", _title(used, arms, "how long simulations last (Kaplan–Meier, seeds and replicas)"),
        {"survival": alt}, draw, legend=_legend(used, arms),
    )  # fmt: skip


def _curves(used: Used, arms: Sequence[Arm], quantity: str, name: str, what: str, x: str, y: str) -> Drawing | None:
    """Mean of the seeds of each arm with their standard deviation, and the reference as a thin line."""
    series = used.simulations.series
    rows = series[(series["quantity"] == quantity) & (series["dataset"] == arms[0].dataset)]
    own = rows[(rows["kind"] == CELL) & (rows["model"] == arms[0].model)]
    reference = rows[rows["kind"].isin(["own model", "data"])]
    places = [str(place) for place in own["place"].unique()]
    if not places:
        return None
    frames = {
        f"{i}": (_on_one_grid(own[own["place"] == place]), _on_one_grid(reference[reference["place"] == place]))
        for i, place in enumerate(places)
    }
    title = dict(zip(frames, places, strict=True))
    alts = {
        panel: f"{what.capitalize()}{', ' if place else ''}{place}: {_describe(used, arms, quantity, place)}"
        for panel, place in title.items()
    }
    labels = {panel: (x or title[panel], y, title[panel] if x else "") for panel in frames}
    size = {"size": (WIDTH, HEIGHT)} if len(frames) > 1 else {}  # one alone is shown as large as other figures are
    return compose(
        name, _title(used, arms, what), alts, partial(_figure, used, arms, frames, labels),
        legend=(*_legend(used, arms), *_legend_of(reference)), **size,
    )  # fmt: skip


def _figure(
    used: Used,
    arms: Sequence[Arm],
    frames: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]],
    labels: Mapping[str, tuple[str, str, str]],
    panels: Sequence[str],
    size: tuple[float, float],
) -> Figure:
    figure = Figure(figsize=size, layout="constrained")
    for panel, axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        _panel(axes, used, arms, *frames[panel])
        x, y, title = labels[panel]
        axes.set(xlabel=x, ylabel=y)
        axes.set_title(title)
    return figure


def _on_one_grid(curves: pd.DataFrame) -> pd.DataFrame:
    """Curves whose points can be averaged: the first, second, ... of each at the mean of their places.

    Distributions and spectra are on one grid anyway. Scans move an atom by the same steps, from where it is in the
    first frame, which differs where seeds have data of their own.
    """
    point = curves.groupby(["subject", "seed"]).cumcount()
    return curves.assign(x=curves["x"].groupby(point).transform("mean").round(4))


def _legend_of(reference: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """What the thin line is, where there is one."""
    words = {"own model": "the data's own model", "data": "frames of the data"}
    return tuple((ink_sample(), words[str(kind)]) for kind in reference["kind"].unique())


def _panel(axes: Axes, used: Used, arms: Sequence[Arm], own: pd.DataFrame, reference: pd.DataFrame) -> None:
    colours, dashes = look(used.results.run.plan)
    names = [arm.strategy for arm in arms if arm.strategy in set(own["strategy"])]
    sns.lineplot(
        own, x="x", y="y", hue="strategy", style="strategy", hue_order=names, style_order=names, palette=colours,
        dashes=dashes, errorbar="sd" if own["seed"].nunique() > 1 else None, legend=False, linewidth=1.3, ax=axes,
    )  # fmt: skip
    if len(reference):
        sns.lineplot(reference, x="x", y="y", color=INK, errorbar=None, linewidth=0.9, zorder=5, ax=axes)


def _describe(used: Used, arms: Sequence[Arm], quantity: str, place: str) -> str:
    measure, place = {
        "rdf": ("rdf_error", place),
        "distances": ("distances_error", place),
        "spectrum": ("spectrum_error_per_cm", place),
        "scan": ("scan_rmse_mev", place),
    }[quantity]
    means = {arm.strategy: mean_words(used, arm, measure, place) for arm in arms}
    shown = [f"{name} {mean[0]}" for name, mean in means.items() if mean is not None]
    if not shown:
        return "mean over seeds, and their standard deviation; there is no reference."
    return f"mean over seeds, and their standard deviation. Errors against the reference: {listing(shown)}."


def _elsewhere(used: Used, arms: Sequence[Arm], at: int) -> Drawing | None:
    measures = used.simulations.measures
    rows = measures[
        (measures["quantity"] == "force_rmse_mev_per_A") & (measures["kind"] == CELL)
        & (measures["dataset"] == arms[0].dataset) & (measures["model"] == arms[0].model)
        & measures["place"].str.endswith(" K")
    ].dropna(subset=["value"])  # fmt: skip
    if rows.empty:
        return None
    rows = rows.assign(kelvin=rows["place"].str.removesuffix(" K").astype(float))
    colours, dashes = look(used.results.run.plan)
    names = [arm.strategy for arm in arms if arm.strategy in set(rows["strategy"])]

    def draw(_: Sequence[str], size: tuple[float, float]) -> Figure:
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        sns.lineplot(
            rows, x="kelvin", y="value", hue="strategy", style="strategy", hue_order=names, style_order=names,
            palette=colours, dashes=dashes, errorbar="sd" if rows["seed"].nunique() > 1 else None, legend=False,
            ax=axes,
        )  # fmt: skip
        axes.set(xlabel="temperature (K)", ylabel="force RMSE (meV/Å)")
        axes.grid(axis="y")
        return figure

    hot = used.hottest(arms[0].dataset)
    means = {arm.strategy: mean_words(used, arm, "force_rmse_mev_per_A", hot) for arm in arms}
    words = [f"{name} {mean[0]}" for name, mean in means.items() if mean is not None]
    alt = f"Force RMSE against the temperature of the structures; at {hot}: {listing(words)} meV/Å."
    return compose(
        f"elsewhere-{at}", _title(used, arms, "force errors at other temperatures"), {"temperature": alt}, draw,
        legend=_legend(used, arms),
    )  # fmt: skip
