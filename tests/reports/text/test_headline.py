"""The finding at the top: what a chemist would say aloud, right for every state that a run can be in."""

import math
from dataclasses import replace

import pytest

from reports.analysis.results import Results
from reports.records.run import read_run
from reports.text.formatting import brief
from reports.text.headline import UNDECLARED, compared, headline, rules
from tests.reports.made_up import LOST, REFERENCES, SURE, interval, molecules, primary, results_of, seeds

PLACE = "EGNN on TIP3P water, flexible"


def told(make_run, outcomes, *baselines, name="run", **plan):
    """The paragraphs of a run whose one arm is declared against these baselines."""
    declared = [primary(baselines=baselines or ("scratch",))]
    return headline(results_of(make_run, outcomes, name=name, primary=declared, **plan))


def test_lower_is_said_with_its_size_interval_and_seeds(make_run):
    (said,) = told(make_run, SURE)
    (percent, low, high), _ = interval([math.log(50 / 100), math.log(55.2 / 110), math.log(59.9 / 120)])
    assert said == (
        f"Pretraining by masking lowered the force errors of {PLACE} by {-percent:.0f} % ({-high:.0f} to {-low:.0f} %; "
        "3 seeds) against scratch with the same finetuning."
    )


def test_higher_is_said_too_and_a_second_baseline_follows(make_run):
    outcomes = {"scratch": SURE["masked"], "scratch-extended": seeds(95, 90, 126), "masked": SURE["scratch"]}
    (said,) = told(make_run, outcomes, "scratch", "scratch-extended")
    assert said.startswith(f"Pretraining by masking raised the force errors of {PLACE} by ")
    assert "against scratch with the same finetuning. It made no difference that 3 seeds could show" in said
    assert "against scratch-extended at equal compute: +" in said


def test_what_the_arms_of_the_verdicts_are_is_said_once_each(make_run):
    outcomes = {"scratch": SURE["masked"], "scratch-extended": seeds(95, 90, 126), "masked": SURE["scratch"]}
    results = results_of(make_run, outcomes, primary=[primary(baselines=["scratch", "scratch-extended"])])
    labels = {name: arm.label for name, arm in results.run.plan.strategies.items()}
    assert compared(results) == [(name, labels[name]) for name in ("masked", "scratch", "scratch-extended")]
    assert compared(results_of(make_run, {"scratch": SURE["scratch"]}, name="part", primary=[primary()])) == []


def test_nothing_told_says_what_would_have_been_missed(make_run):
    results = results_of(
        make_run, {"scratch": seeds(100, 110, 120), "masked": seeds(90, 118, 115)}, primary=[primary()]
    )
    (change,) = (change for change in results.changes.values() if change.primary)
    low, high = change.seen
    assert headline(results) == [
        f"Pretraining by masking made no difference to the force errors of {PLACE} that 3 seeds could show against "
        f"scratch with the same finetuning: {brief(change.percent)} % ({brief(change.low)} to {brief(change.high)} %); "
        f"a change between {brief(low)} and {brief(high)} % would have been missed."
    ]
    assert -50 < low < 0 < high < 100


def test_two_seeds_see_hardly_anything(make_run):
    (said,) = told(make_run, {"scratch": seeds(100, 110), "masked": seeds(90, 250)})
    assert "(not determined); hardly any change could have been seen with 2 seeds." in said


def test_an_interval_that_only_the_correction_widens_says_so(make_run):
    names = ("masked", "denoised", "other")
    # Equal effects and spreads: p = 0.03 or so each, three times that after the correction.
    outcomes = {"scratch": seeds(100, 100, 100)} | {
        name: seeds(*(88 + 5 * ((at + seed) % 3 - 1) for seed in range(3))) for at, name in enumerate(names)
    }
    results = results_of(make_run, outcomes, primary=[primary(name) for name in names])
    changes = [results.changes[place] for place in results.primaries]
    assert all(change.high < 0 and 0.05 / 3 < change.p < 0.05 for change in changes)
    assert not any(change.verdict for change in changes)
    assert all("outside 0 only before the correction for 3 comparisons" in text for text in headline(results))


@pytest.mark.parametrize(
    ("masked", "hangs"),
    [
        ((80, 81, 79, 80.5), None),
        ((90, 91, 78, 94, 82), "seed 4"),
        ((88, 97, 85, 83, 97), "any one of 3 of these seeds"),
        ((84, 94, 78, 96, 94), "any one of these seeds"),
    ],
)
def test_a_verdict_that_hangs_on_single_seeds_says_so(make_run, masked, hangs):
    (said,) = told(make_run, {"scratch": seeds(*[100] * len(masked)), "masked": seeds(*masked)})
    assert said.startswith("Pretraining by masking lowered")
    if hangs is None:
        assert "hangs" not in said
    else:
        assert said.endswith(f" That hangs on single seeds: without {hangs} no difference can be told.")


def test_one_seed_is_an_anecdote(make_run):
    (said,) = told(make_run, {"scratch": seeds(100), "masked": seeds(50)})
    assert said == (
        f"Pretraining by masking changed the force errors of {PLACE} by −50 % against scratch with the same finetuning "
        "with 1 seed: an anecdote, which tells nothing."
    )


def test_losses_are_said(make_run):
    outcomes = SURE | {"masked": SURE["masked"] | {2: ("diverged", "loss is nan")}}
    (said,) = told(make_run, outcomes)
    assert said.endswith("Cells were lost, which flatters an arm (masked: 1 diverged).")
    # Where the error of no force is known, the verdict is made again with it.
    (said,) = told(make_run, outcomes, name="known", references=REFERENCES)
    assert "lost and stuck cells count as having learned nothing (masked: 1 diverged" in said


STUCK = {name: {**cells, 3: (800.0 if name == "masked" else 130.0, 100.0)} for name, cells in SURE.items()}
"""Masked halves the errors but for one seed, which never left the plateau."""


def test_a_verdict_that_does_not_survive_the_losses_says_so(make_run):
    lost = {name: {**cells, 3: ("diverged", "nan") if name == "masked" else cells[3]} for name, cells in STUCK.items()}
    (said,) = told(make_run, lost, references={"null": (800.0, 300.0)})
    assert "lowered the force errors" in said
    assert (
        "But the verdict changes if lost and stuck cells count as having learned nothing (masked: 1 diverged): then no "
        "difference can be told ("
    ) in said


def test_stuck_cells_are_named(make_run):
    (said,) = told(make_run, STUCK, references={"null": (800.0, 300.0)})
    assert "(masked: 1 never left the plateau" in said


def test_arms_below_the_references_get_no_verdict(make_run):
    weak = {
        name: {seed: (8 * force, energy) for seed, (force, energy) in cells.items()} for name, cells in SURE.items()
    }
    (first,) = told(make_run, weak, references={"null": (300.0, 1e6), "one molecule": (250.0, 1e6)})
    assert first == (
        "Nothing was learned yet: no arm beats the references that need no network (no force, mean energy; one "
        "molecule at a time) in its force errors, so that comparisons say nothing. Train longer first."
    )
    # Another arm has learned, and these two have not.
    (said,) = told(make_run, SURE | {"denoised": seeds(30, 30, 30)}, name="third", references={"null": (45.0, 1e6)})
    assert said == (
        "Neither masked nor scratch beats the references that need no network (no force, mean energy) in the force "
        f"errors of {PLACE}: to compare them says nothing."
    )
    # One side that has learned is enough for a verdict, and nothing is said before it.
    (said,) = told(make_run, SURE, name="one", references={"null": (80.0, 1e6)})
    assert said.startswith("Pretraining by masking lowered")


def test_an_average_over_molecules(make_run):
    logs = (-0.02, 0.0, 0.03)
    declared = [primary(dataset=None, metric="force_mae_mev_per_A")]
    (said,) = headline(molecules(make_run, ["aspirin", "ethanol", "uracil"], logs, primary=declared))
    (percent, low, high), _ = interval([math.log(0.5) + log for log in logs])
    assert said == (
        "Pretraining by masking lowered the force errors of EGNN, averaged over 3 molecules of my-molecules by "
        f"{-percent:.0f} % ({-high:.0f} to {-low:.0f} %; 3 seeds, lower in 3 of 3 molecules) against scratch with the "
        "same finetuning."
    )


def test_an_older_plan_has_no_verdicts(make_run):
    results = results_of(make_run, SURE, schema=2)
    assert headline(results) == [UNDECLARED]
    assert rules(results) == ""
    assert not any(change.verdict for change in results.changes.values())


def test_ways_of_computing_that_are_mixed_are_said(make_run):
    run = read_run(make_run(SURE, primary=[primary()]))
    ways = run.records["strategy"].map({"scratch": "eager", "masked": "compiled"})
    (said,) = headline(Results(replace(run, records=run.records.assign(computed=ways))))
    assert said.endswith(
        "The cells compared were computed in different ways (compiled and eager), which may add to a difference."
    )
    longer = SURE | {"scratch-extended": seeds(90, 105, 110)}
    run = read_run(make_run(longer, name="two", primary=[primary(baselines=("scratch", "scratch-extended"))]))
    ways = run.records["strategy"].map({"masked": "compiled"}).fillna("eager")
    (both,) = headline(Results(replace(run, records=run.records.assign(computed=ways))))
    assert both.count("different ways") == 1
    assert both.endswith(
        "The cells compared were computed in different ways (compiled and eager), which may add to a difference."
    )
    (said,) = headline(Results(replace(run, records=run.records.assign(computed="eager"))))
    assert "different ways" not in said


def test_a_side_that_lost_every_seed_is_named_with_its_end(make_run):
    assert told(make_run, SURE | {"scratch": LOST}) == [
        f"{PLACE}, masked against scratch: scratch diverged in 3 of 3 seeds, so there is nothing to compare."
    ]


def test_what_is_not_there_yet_is_said(make_run):
    assert told(make_run, SURE | {"scratch": dict.fromkeys(range(3))}) == [
        f"{PLACE}, masked against scratch: nothing can be said yet, for no seed of both has finished."
    ]


def test_comparisons_that_were_left_out_still_count(make_run):
    declared = [primary(), primary(model="gns")]
    results = results_of(make_run, SURE, primary=declared, models={"gns": {"label": "GNS"}})
    assert len(headline(results)) == 1
    assert "These 2 comparisons were declared before the run (1 of them has no cells in it)" in rules(results)
    assert all(change.family == 2 for change in results.changes.values() if change.primary)


@pytest.mark.parametrize(
    ("outcomes", "plan", "sentence"),
    [
        ({}, {}, "No cell was planned: there is nothing to compare."),
        ({"masked": seeds(1, 2)}, {"baselines": []}, "No baseline was planned: nothing is compared."),
        ({"scratch": seeds(1, 2)}, {}, UNDECLARED),
    ],
)
def test_nothing_to_compare_is_said(make_run, outcomes, plan, sentence):
    assert headline(results_of(make_run, outcomes, **plan)) == [sentence]


def test_arms_of_one_pretext_go_by_their_names(make_run):
    strategies = {name: {"pretext": "my-own"} for name in ("light", "heavy")}
    outcomes = {"scratch": SURE["scratch"], "light": SURE["masked"], "heavy": SURE["masked"]}
    declared = [primary("light"), primary("heavy")]
    said = headline(results_of(make_run, outcomes, strategies=strategies, primary=declared))
    assert [text.split(" lowered")[0] for text in said] == ["The arm light", "The arm heavy"]
