"""Tables of simulations: every arm and its rivals, what arms differ by, conditions elsewhere, and scans."""

from __future__ import annotations

import pandas as pd

from reports.analysis.results import Results
from reports.analysis.simulations import PREDICTED, Used, used
from reports.records.plan import Arm
from reports.tables.table import Column, Number, Rows, Table, change_cell, p_cell, seen_cell, value
from reports.text.formatting import NONE, listing, number
from reports.text.simulated import mean_words

MEASURED = {
    ("stable_ps", ""): "stable (ps)",
    ("rdf_error", "mean"): "g(r), error",
    ("distances_error", ""): "h(r), error",
    ("drift_mev_per_atom_per_ps", ""): "drift (meV/atom/ps)",
    ("spectrum_error_per_cm", ""): "spectrum, error (1/cm)",
    ("stretch_peak_per_cm", ""): "stretch (1/cm)",
}
"""(quantity, place) -> title of its column; those that nothing was measured of have none."""
NAMES = {"rdf_error": "g(r), error", "distances_error": "h(r), error", "force_rmse_mev_per_A": "force RMSE"}


def simulation_tables(results: Results) -> list[Table]:
    """All tables; none where nothing was simulated, and those without rows are left out."""
    found = used(results)
    if found is None:
        return []
    tables = [use_table(found), change_table(found), elsewhere_table(found), scan_table(found)]
    return [table for table in tables if not table.empty]


def use_table(used: Used) -> Table:
    """Stability, structure, conservation of energy and vibrations."""
    measured = used.simulations.measures.dropna(subset=["value"])
    there = set(measured[["quantity", "place"]].itertuples(index=False, name=None))
    columns = {place: title for place, title in MEASURED.items() if place in there}

    groups: dict[tuple[str, str], Rows] = {}
    for arm in used.arms:
        ends = used.ends(arm)
        broken = int(ends["cause"].notna().sum())
        seeds = used.seeds(arm)
        row = [arm.strategy, Number(str(seeds), seeds), Number(f"{broken} of {len(ends)}", broken)]
        row += [_mean(used, arm, *place) for place in columns]
        groups.setdefault((arm.dataset, arm.model), []).append(row)
    for (dataset, _), rows in groups.items():
        for kind in used.rivals(dataset):
            found = [used.rival(dataset, kind, *place) for place in columns]
            if any(one is not None for one in found):
                rows.append([_rival(kind), NONE, NONE, *(NONE if one is None else value(one) for one in found)])
    settings = used.simulations.settings
    kinds = {"nvt": "with a thermostat", "nve": "without a thermostat"}
    made = listing([f"{settings[f'{test}_ps']:g} ps {how}" for test, how in kinds.items() if test in used.tests])
    caption = f"Simulations with the potentials: {settings['replicas']} of each, {made}; mean ± sd over seeds."
    notes = [
        "Ended early: of all simulations with a thermostat; a bond more than 0.5 Å off its mean length, a temperature "
        "out of bounds, or what is not finite. Errors are distances from the data's own model, or from frames of the "
        "data where it has none: what the model shows itself is the sampling error of simulations of this length, "
        "which a perfect potential would have, too.",
    ]
    if any(" of " in cell for rows in groups.values() for row in rows for cell in row[3:]):
        notes.append(
            "(2 of 6): a mean over so many seeds alone. Simulations of the others ended too early to measure it, so "
            "that it is one of those that lasted."
        )
    titles = [Column("arm", numeric=False), Column("seeds"), Column("ended early"), *map(Column, columns.values())]
    return Table(caption, titles, _headed(used, groups), tuple(notes), name="simulations")


def change_table(used: Used) -> Table:
    """The declared comparisons."""
    groups: dict[tuple[str, str], Rows] = {}
    for arm in used.arms:
        for change in used.changes(arm):
            quantity = change.place.metric
            where = f" at {used.hottest(arm.dataset)}" if quantity == "force_rmse_mev_per_A" else ""
            groups.setdefault((arm.dataset, arm.model), []).append(
                [
                    f"{arm.strategy} vs {change.place.baseline}",
                    f"{NAMES[quantity]}{where}",
                    Number(str(change.n), change.n),
                    change_cell(change),
                    p_cell(change.p),
                    p_cell(change.p_holm),
                    seen_cell(change),
                    change.verdict or NONE,
                ]
            )
    declared = len(used.comparisons)
    return Table(
        f"What pretraining changes in use, paired by seed; Holm's correction is over all {declared}, tested or not.",
        [
            Column("comparison", numeric=False),
            Column("measure", numeric=False),
            Column("common seeds"),
            Column("change (%)"),
            Column("p"),
            Column("p, corrected"),
            Column("seen with 80 % power (%)"),
            Column("verdict", numeric=False),
        ],
        _headed(used, groups),
        (
            "Change in %, with its 95 % interval in brackets, from one linear model for all arms of a dataset and "
            "model (a block for each seed). These measures were declared beforehand; how long simulations last is "
            "shown, and not tested: it is cut off at the planned length. Where a seed has no value, as its simulations "
            "ended too early, nothing is tested: which seeds are left was decided by what they lasted.",
        ),
        name="simulation-changes",
    )


def elsewhere_table(used: Used) -> Table:
    """Force errors under other conditions."""
    return _by_place(
        used,
        "force_rmse_mev_per_A",
        "Force RMSE in meV/Å on structures of the data's own model under other conditions; mean ± sd over seeds.",
        "elsewhere",
    )


def scan_table(used: Used) -> Table:
    """Errors of energies along scans."""
    return _by_place(
        used,
        "scan_rmse_mev",
        "Error of the energy in meV along scans of isolated molecules, rms; mean ± sd over seeds.",
        "scans",
    )


def _by_place(used: Used, quantity: str, caption: str, name: str) -> Table:
    places = used.places(quantity)
    groups: dict[tuple[str, str], Rows] = {}
    for arm in used.arms:
        cells = [_mean(used, arm, quantity, place) for place in places]
        if any(cell != NONE for cell in cells):
            groups.setdefault((arm.dataset, arm.model), []).append([arm.strategy, *cells])
    for (dataset, _), rows in groups.items():
        for kind in used.rivals(dataset):
            found = [used.rival(dataset, kind, quantity, place) for place in places]
            if any(one is not None for one in found):
                rows.append([_rival(kind), *(NONE if one is None else value(one) for one in found)])
    titles = [Column("arm", numeric=False), *(Column(place) for place in places)]
    return Table(caption, titles, _headed(used, groups), name=name)


def _mean(used: Used, arm: Arm, quantity: str, place: str) -> str:
    found = mean_words(used, arm, quantity, place)
    return NONE if found is None else Number(*found)


def _headed(used: Used, groups: dict[tuple[str, str], Rows]) -> list[tuple[str, Rows]]:
    return [(used.results.run.plan.heading(*pair), rows) for pair, rows in groups.items()]


def _rival(kind: str) -> str:
    return {"own model": "the data's own model", "null": "no forces at all"}.get(kind, kind)


def lasting(used: Used, arm: Arm) -> str:
    """`3 of 4 simulations`: how many of an arm reached their end."""
    ends = used.ends(arm)
    return f"{int(ends['cause'].isna().sum())} of {len(ends)}"


def correlation_rows(used: Used) -> list[str]:
    """What is said of each rank correlation."""
    return [
        f"{PREDICTED[one.quantity]} {number(one.rho, 2)} (95 % CI {number(one.low, 2)} to {number(one.high, 2)}, "
        f"{one.n} potentials)"
        for one in used.correlations
        if not pd.isna(one.rho)
    ]
