"""What the figures of simulations draw, and say: each arm its own seeds, the reference beside them."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from reports.analysis.results import Results
from reports.analysis.simulations import used
from reports.figures import simulations
from reports.figures.palette import COLOURS, INK
from reports.records.run import read_run
from tests.reports.made_up import seeds
from tests.reports.simulated import PEAK, simulate

ERRORS = {"scratch": {0: 0.4, 1: 0.5, 2: 0.6}, "masked": {0: 0.2, 1: None, 2: 0.3}}


@pytest.fixture
def found(make_run, key_of):
    return simulated(make_run, key_of, ERRORS)


def simulated(make_run, key_of, errors, name="run"):
    folder = make_run({"scratch": seeds(100, 110, 120), "masked": seeds(50, 55, 60)}, name=name, baselines=["scratch"])
    simulate(folder, key_of, errors)
    return used(Results(read_run(folder)))


def drawn(found, quantity):
    """Of the first panel of a quantity, the line of each colour."""
    series = found.simulations.series
    rows = series[series["quantity"] == quantity]
    own, reference = (simulations._on_one_grid(rows[rows["kind"] == kind]) for kind in ("cell", "own model"))
    axes = Figure().subplots()
    simulations._panel(axes, found, found.arms, own, reference)
    return {line.get_color(): line.get_xydata().tolist() for line in axes.lines}


def test_each_arm_has_the_mean_of_its_seeds_and_the_reference_its_own(found):
    lines = drawn(found, "rdf")
    strategies = [*found.results.run.plan.strategies]
    peaks = {name: lines[COLOURS[strategies.index(name)]][1] for name in ERRORS}
    assert peaks["scratch"] == pytest.approx([2.8, PEAK + 0.5])
    assert peaks["masked"] == pytest.approx([2.8, PEAK + (0.2 + 0.0 + 0.3) / 3])
    assert lines[INK][1] == pytest.approx([2.8, PEAK])


def test_scans_that_begin_elsewhere_are_averaged_step_by_step(found):
    """Seeds with data of their own move an atom by the same steps from another place."""
    (line, _) = drawn(found, "scan").values()
    assert [x for x, _ in line] == pytest.approx([0.91, 1.01, 1.11])
    assert [y for _, y in line] == pytest.approx([10.0, 11.0, 12.0])


def test_seeds_that_could_not_be_measured_are_counted_in_words_and_tables(found, make_run, key_of):
    from reports.tables.simulations import simulation_tables

    (rdf,) = [figure for figure in simulations.simulation_figures(found) if figure.name == "rdf-0"]
    assert [name for _, name in rdf.legend] == ["scratch", "masked", "the data's own model"]
    table = next(table for table in simulation_tables(found.results) if table.name == "simulations")
    ((_, rows),) = table.groups
    place = [column.title for column in table.columns].index("g(r), error")
    cells = {row[0]: row[place] for row in rows}
    assert (cells["scratch"], cells["masked"]) == ("0.500 ± 0.100", "0.250 ± 0.071 (2 of 3)")
    assert any("(2 of 6): a mean over so many seeds alone" in note for note in table.notes)
    # Where all were measured no cell has the mark, and nothing explains it.
    everywhere = simulated(make_run, key_of, ERRORS | {"masked": {0: 0.2, 1: 0.25, 2: 0.3}}, name="everywhere")
    table = next(table for table in simulation_tables(everywhere.results) if table.name == "simulations")
    assert not any("so many seeds alone" in note for note in table.notes)
