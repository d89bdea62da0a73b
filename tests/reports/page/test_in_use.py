"""The section on simulations, its sentence on the first screen, and their absence."""

from __future__ import annotations

from tests.reports.made_up import seeds
from tests.reports.simulated import leave, simulate, subject_of

OUTCOMES = {"scratch": seeds(100, 110, 120), "masked": seeds(50, 55, 60)}
SURE = {"scratch": {0: 0.4, 1: 0.5, 2: 0.6}, "masked": {0: 0.2, 1: 0.252, 2: 0.298}}


def test_without_simulations_there_is_no_section(make_run, both):
    page, markdown = both(make_run(OUTCOMES, baselines=["scratch"]))
    assert "In use" not in page.plain
    assert "In use" not in markdown


def test_the_section_and_its_sentence(make_run, key_of, both):
    folder = make_run(OUTCOMES, baselines=["scratch"])
    simulate(folder, key_of, SURE, {"scratch": [(10.0, None), (3.0, "bond")]})
    leave(folder, subject_of(key_of("masked", 0), "masked", 0, "nve"), state="failed", reason="out of memory")
    page, markdown = both(folder)
    for text in (page.plain, markdown):
        assert "In use, simulations of 10 ps reached their end: 3 of 6 (scratch) and 6 of 6 (masked)" in text
        assert "Of 2 comparisons that could be tested 2 can be told: " in text
        assert "lower error of g(r) of masked than of scratch (−" in text
        assert "out of memory" in text
        assert "2 of each, 10 ps with a thermostat; mean ± sd" in text, "of those without one none was finished"
        assert (
            "of its own seed, asked about structures of other conditions and asked for energies along scans. " in text
        )
        assert "without a thermostat" not in text
        assert "Spearman's rank correlation" in text
    assert markdown.index("In use, simulations") < markdown.index("## Test errors")
    for name in ("survival-0", "rdf-0", "spectrum-0", "elsewhere-0"):
        assert (folder / "report" / "figures" / f"{name}.svg").exists()
    rows = (folder / "report" / "tables" / "simulations.csv").read_text(encoding="utf-8")
    assert "the data's own model" in rows


def test_several_arms_are_counted(make_run, key_of, both):
    arms = {name: seeds(100, 110) for name in ("scratch", "a", "b", "c", "d")}
    folder = make_run(arms, baselines=["scratch"])
    simulate(folder, key_of, {name: {0: 0.4, 1: 0.5} for name in arms})
    page, _ = both(folder)
    assert "reached their end: 20 of 20, of 5 arms. " in page.plain
    assert "Of 8 comparisons that could be tested none can be told." in page.plain
