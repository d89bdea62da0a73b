"""The finding at the top: at most three sentences, right for every state that a run can be in."""

import math

import pytest

from reports.text.findings import findings
from reports.text.formatting import p_value, signed
from reports.text.headline import headline
from tests.reports.made_up import SURE, interval, molecules, results_of, seeds


def test_one_arm_is_told_with_its_numbers(make_run):
    results = results_of(make_run, SURE)
    force, energy, *rest = headline(results)
    (percent, low, high), t = interval([math.log(50 / 100), math.log(55.2 / 110), math.log(59.9 / 120)])
    # Two comparisons, force and energy; energies are equal in both arms, so their p is 1.
    p = 2 * (1 - abs(t) / math.sqrt(2 + t * t))
    assert force == (
        f"Pretraining by masking lowers the force RMSE of EGNN on TIP3P water, flexible by {-percent:.1f} % against "
        f"scratch with the same 4 epochs of finetuning (95 % CI {-high:.1f} to {-low:.1f} %, corrected p "
        f"{p_value(p)}, 3 seeds)."
    )
    assert energy.startswith(
        "Pretraining by masking, energy RMSE of EGNN on TIP3P water, flexible: no difference can be told"
    )
    assert "(0.0 %, 95 % CI 0.0 to 0.0 %, corrected p 1.000, 3 seeds)" in energy
    assert rest == []


def test_higher_is_told_too_and_the_second_baseline_follows(make_run):
    outcomes = {"scratch": SURE["masked"], "scratch-extended": seeds(55, 40, 66), "masked": SURE["scratch"]}
    force, *_ = headline(results_of(make_run, outcomes))
    assert force.startswith("Pretraining by masking raises the force RMSE of EGNN")
    assert "; against scratch-extended at the same total of 6 epochs no difference can be told (+" in force


def test_an_interval_without_zero_that_does_not_survive_correction_is_not_told(make_run):
    outcomes = {"scratch": seeds(100, 100, 100)} | {
        name: seeds(80, 85, 78 + at) for at, name in enumerate(("masked", "denoised", "other"))
    }
    results = results_of(make_run, outcomes)
    frame = results.comparisons
    assert results.family_size == len(frame[frame["in_family"]]) == 6
    forces = frame[frame["in_family"] & (frame["metric"] == "force_rmse_mev_per_A")]
    assert (forces["high_percent"] < 0).all()
    assert (forces["p"] < 0.05).all()
    assert (forces["p_holm"] > 0.05).all()
    force, *_ = headline(results)
    assert "no difference can be told for" in force
    assert "lower" not in force


def test_one_seed_tells_nothing(make_run):
    force, energy = headline(results_of(make_run, {"scratch": seeds(100), "masked": seeds(50)}))
    assert "no difference can be told against scratch" in force
    assert "(−50.0 %, 1 seed: one seed is an anecdote)" in force
    assert "one seed is an anecdote" in energy
    sentences = headline(
        results_of(make_run, {"scratch": seeds(100), "masked": seeds(50), "denoised": seeds(60)}, name="b")
    )
    assert (
        "one seed, which tells nothing, for pretraining by masking (−50.0 %) and pretraining by denoising (−40.0 %)"
        in sentences[0]
    )
    assert "one seed, an anecdote: no difference can be told" in sentences[2]


def test_lost_seeds_are_in_the_sentence(make_run):
    outcomes = SURE | {"masked": SURE["masked"] | {2: ("diverged", "loss is nan")}}
    force, *_ = headline(results_of(make_run, outcomes))
    assert "2 of 3 seeds; masked: 1 diverged" in force
    # With several arms, the last sentence says it.
    several = outcomes | {"denoised": seeds(90, 95, 99)}
    *_, last = headline(results_of(make_run, several, name="several"))
    assert "Cells were lost, which flatters an arm (masked of EGNN on TIP3P water, flexible: 1 diverged)" in last
    assert "comparisons rest on 2 to 3 seeds" in last


LOST = dict.fromkeys(range(3), ("diverged", "loss is nan"))


def test_a_baseline_that_lost_every_seed_is_named_with_its_end(make_run):
    results = results_of(make_run, {"scratch": LOST, "masked": SURE["masked"]})
    assert headline(results) == [
        "Nothing can be compared: no arm has finished with a seed that a baseline has finished too (6 cells: 3 ok and "
        "3 diverged).",
        "scratch diverged in 3 of 3 seeds: nothing to compare with.",
    ]
    ((_, (masked,)),) = findings(results)
    assert "against scratch, which diverged in 3 of 3 seeds: nothing to compare with" in masked.sentences[0]
    force, *_ = headline(results_of(make_run, SURE | {"scratch-extended": LOST}, name="second"))
    assert "; scratch-extended diverged in 3 of 3 seeds: nothing to compare with." in force


def test_a_tally_names_the_models_that_have_no_baseline(make_run):
    outcomes = {
        ("tip3p", model, strategy): outcome
        for model in ("egnn", "gns", "painn")
        for strategy, outcome in SURE.items()
        if (model, strategy) != ("gns", "scratch")
    }
    force, *_ = headline(results_of(make_run, outcomes | {("tip3p", "gns", "scratch"): LOST}))
    assert "scratch of gns on TIP3P water, flexible diverged in 3 of 3 seeds: nothing to compare with" in force
    waiting = {("tip3p", "gns", "scratch"): dict.fromkeys(range(3))}
    force, *_ = headline(results_of(make_run, outcomes | waiting, name="waiting"))
    assert "against scratch of gns on TIP3P water, flexible nothing can be said yet" in force
    assert "of EGNN" not in force


def test_an_arm_that_lost_everything_is_named(make_run):
    outcomes = SURE | {"denoised": dict.fromkeys(range(3), ("diverged", "loss is nan"))}
    force, _, last = headline(results_of(make_run, outcomes))
    assert force.startswith("Pretraining by masking lowers")
    assert last == ("Cells were lost, which flatters an arm (denoised of EGNN on TIP3P water, flexible: 3 diverged).")


def test_a_baseline_without_results_is_named(make_run):
    outcomes = SURE | {"scratch-extended": {0: None, 1: None, 2: None}}
    force, _, last = headline(results_of(make_run, outcomes))
    assert "against scratch-extended nothing can be said yet" in force
    assert last == "3 of 9 cells have not finished yet."


@pytest.mark.parametrize(
    ("outcomes", "plan", "sentence"),
    [
        ({}, {}, "No cell was planned: there is nothing to compare."),
        ({"masked": seeds(1, 2)}, {"baselines": []}, "No baseline was planned: nothing is compared."),
        ({"scratch": seeds(1, 2)}, {}, "Only baselines were planned: there is nothing to compare."),
        (
            {"scratch": {0: None, 1: ("failed", "x")}, "masked": {0: None, 1: ("diverged", "y")}},
            {},
            "Nothing can be said yet: no arm has finished with a seed that a baseline has finished too (4 cells: "
            "1 diverged, 1 failed and 2 pending).",
        ),
    ],
)
def test_nothing_to_compare_is_said(make_run, outcomes, plan, sentence):
    assert headline(results_of(make_run, outcomes, **plan)) == [sentence]


def test_many_arms_are_counted_with_their_range(make_run):
    names = [f"masked-0.{at}" for at in range(1, 6)]
    outcomes = SURE | {name: seeds(95 + at, 112 - at, 121) for at, name in enumerate(names)}
    sentences = headline(results_of(make_run, outcomes))
    assert len(sentences) == 3
    assert sentences[0].startswith(
        "Force RMSE of EGNN on TIP3P water, flexible: against scratch with the same 4 epochs"
    )
    assert "lower for pretraining by masking" in sentences[0]
    percents = [
        interval([math.log((95 + at) / 100), math.log((112 - at) / 110), math.log(121 / 120)])[0][0] for at in range(5)
    ]
    assert (
        f"no difference can be told for 5 (changes between {signed(min(percents))} and {signed(max(percents))} %)"
        in sentences[0]
    )
    assert "Holm's correction over 12 comparisons of arms" in sentences[2]


def test_members_of_a_collection_are_averaged(make_run):
    logs = (-0.02, 0.0, 0.03)
    force, energy, *rest = headline(molecules(make_run, ["aspirin", "ethanol", "uracil"], logs))
    (percent, low, high), _ = interval([math.log(0.5) + log for log in logs])
    assert force.startswith(
        "Pretraining by masking lowers the force MAE of EGNN averaged over 3 molecules of my-molecules by "
        f"{-percent:.1f} % against scratch"
    )
    assert f"95 % CI over seeds {-high:.1f} to {-low:.1f} %" in force
    assert "lower in 3 of 3 molecules, 3 seeds)" in force
    assert "no difference can be told" in energy
    assert len(rest) <= 1


def test_members_of_one_seed_each_are_not_tested(make_run):
    force, *_ = headline(molecules(make_run, ["aspirin", "ethanol", "uracil"]))
    assert "no difference can be told against scratch" in force
    assert "(−50.0 %, lower in 3 of 3 molecules, one seed each: not tested)" in force
    assert "CI" not in force


def test_a_single_member_is_not_averaged(make_run):
    results = molecules(make_run, ["aspirin"])
    assert results.pooled == []
    assert "one seed is an anecdote" in headline(results)[0]


def test_the_last_sentence_names_the_families(make_run):
    names = ["aspirin", "ethanol"]
    more = {("tip3p", "egnn", name): outcome for name, outcome in SURE.items()}
    *_, last = headline(molecules(make_run, names, (-0.02, 0.0, 0.03), more=more))
    assert "Holm's correction over 6 comparisons of arms and 2 averages over molecules (each family apart)" in last


def test_arms_of_one_pretext_go_by_their_names(make_run):
    strategies = {name: {"pretext": "my-own"} for name in ("light", "heavy")}
    outcomes = SURE | dict.fromkeys(strategies, SURE["masked"])
    force, *_ = headline(results_of(make_run, outcomes, strategies=strategies))
    assert "lower for pretraining by masking (" in force
    assert "%) and heavy (" in force
    alone = {"scratch": SURE["scratch"], "light": SURE["masked"]}
    force, *_ = headline(results_of(make_run, alone, name="alone", strategies={"light": {"pretext": "my-own"}}))
    assert force.startswith("Pretraining by my-own lowers the force RMSE")
