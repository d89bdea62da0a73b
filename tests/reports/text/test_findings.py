"""The finding at the top: at most three sentences, right for every state that a run can be in."""

import json
import math

import pytest

from reports.analysis.results import Results
from reports.records.record import write_records
from reports.records.run import read_run
from reports.tables.every import report_tables
from reports.text.findings import cautions, data_warnings, findings
from reports.text.formatting import p_value, signed
from reports.text.glossary import READING
from reports.text.headline import headline

CONFIG = {
    "datasets": {"tip3p": {"kind": "tip3p", "options": {}}},
    "models": {"egnn": {"kind": "egnn"}},
    "strategies": {
        "scratch": {"pretext": None},
        "scratch-extended": {"pretext": None, "extended": True},
        "masked": {"pretext": {"kind": "masking"}},
        "denoised": {"pretext": {"kind": "denoising"}},
    },
}


def seeds(*forces, energy=100.0):
    """Outcomes of seeds with these force errors, and energies that differ little."""
    return {seed: (force, energy * (1 + seed / 100)) for seed, force in enumerate(forces)}


def results_of(make_run, outcomes, **plan):
    return Results(read_run(make_run(outcomes, **{"config": CONFIG} | plan)))


def interval(logs):
    """Estimate and 95 % interval in % of three log ratios, by the closed form for two degrees of freedom."""
    mean = sum(logs) / 3
    error = math.sqrt(sum((x - mean) ** 2 for x in logs) / 2 / 3)
    t = 0.95 * math.sqrt(2 / (1 - 0.95**2))
    return [100 * (math.exp(x) - 1) for x in (mean, mean - t * error, mean + t * error)], mean / error


SURE = {"scratch": seeds(100, 110, 120), "masked": seeds(50, 55.2, 59.9)}


def test_one_arm_is_told_with_its_numbers(make_run):
    results = results_of(make_run, SURE)
    force, energy, *rest = headline(results)
    (percent, low, high), t = interval([math.log(50 / 100), math.log(55.2 / 110), math.log(59.9 / 120)])
    # Two comparisons, force and energy; energies are equal in both arms, so their p is 1.
    p = 2 * (1 - abs(t) / math.sqrt(2 + t * t))
    assert force == (
        f"Masked pretraining lowers the force RMSE of EGNN on TIP3P water, flexible by {-percent:.1f} % against "
        f"scratch with the same 4 epochs of finetuning (95 % CI {-high:.1f} to {-low:.1f} %, corrected p "
        f"{p_value(p)}, 3 seeds)."
    )
    assert energy.startswith(
        "Masked pretraining, energy RMSE of EGNN on TIP3P water, flexible: no difference can be told"
    )
    assert "(0.0 %, 95 % CI 0.0 to 0.0 %, corrected p 1.000, 3 seeds)" in energy
    assert rest == []


def test_higher_is_told_too_and_the_second_baseline_follows(make_run):
    outcomes = {"scratch": SURE["masked"], "scratch-extended": seeds(55, 40, 66), "masked": SURE["scratch"]}
    force, *_ = headline(results_of(make_run, outcomes))
    assert force.startswith("Masked pretraining raises the force RMSE of EGNN")
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
        "one seed, which tells nothing, for masked pretraining (−50.0 %) and denoising pretraining (−40.0 %)"
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
    assert force.startswith("Masked pretraining lowers")
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
    assert "lower for masked" in sentences[0]
    percents = [
        interval([math.log((95 + at) / 100), math.log((112 - at) / 110), math.log(121 / 120)])[0][0] for at in range(5)
    ]
    assert (
        f"no difference can be told for 5 (changes between {signed(min(percents))} and {signed(max(percents))} %)"
        in sentences[0]
    )
    assert "Holm's correction over 12 comparisons of arms" in sentences[2]


def rmd17(make_run, molecules, logs=(0.0,), **more):
    """A run on rMD17: masked halves the force errors, times exp of the logarithm of its seed."""
    names = ["aspirin", "ethanol", "uracil", "toluene"][:molecules]
    config = CONFIG | {"datasets": {n: {"kind": "rmd17", "options": {"molecule": n}} for n in names}}
    outcomes = {
        (name, "egnn", strategy): {
            seed: (base * factor * math.exp(log * (strategy == "masked")), 10.0 * base) for seed, log in enumerate(logs)
        }
        for at, name in enumerate(names)
        for strategy, factor, base in (("scratch", 1.0, 20.0 + at), ("masked", 0.5, 20.0 + at))
    }
    return results_of(make_run, outcomes, config=config, **more)


def test_molecules_are_pooled_and_judged_by_mae(make_run):
    logs = (-0.02, 0.0, 0.03)
    results = rmd17(make_run, 3, logs)
    force, energy, *rest = headline(results)
    (percent, low, high), _ = interval([math.log(0.5) + log for log in logs])
    assert force.startswith(
        "Masked pretraining lowers the force MAE of EGNN averaged over 3 molecules of rMD17 by "
        f"{-percent:.1f} % against scratch"
    )
    assert f"95 % CI over seeds {-high:.1f} to {-low:.1f} %" in force
    assert "lower in 3 of 3 molecules, 3 seeds)" in force
    assert "no difference can be told" in energy
    assert len(rest) <= 1
    table = report_tables(results)["pooled"]
    assert "over 2 rows of this table" in table.caption
    assert table.groups[0][1][0][2:5] == ["3", "3", "3 of 3"]


def test_molecules_of_one_seed_each_are_not_tested(make_run):
    results = rmd17(make_run, 3)
    force, *_ = headline(results)
    assert "no difference can be told against scratch" in force
    assert "(−50.0 %, lower in 3 of 3 molecules, one seed each: not tested)" in force
    assert "CI" not in force
    table = report_tables(results)["pooled"]
    assert "over 0 rows of this table" in table.caption
    assert [row[6:] for row in table.groups[0][1]] == [["–", "–", "–", "one seed each: not tested"]] * 2


def test_a_single_molecule_is_not_pooled(make_run):
    results = rmd17(make_run, 1)
    assert results.pooled == []
    assert "one seed is an anecdote" in headline(results)[0]


def test_findings_give_interval_p_and_verdict(make_run):
    ((heading, (masked,)),) = findings(results_of(make_run, SURE))
    assert heading == "EGNN on TIP3P water, flexible"
    (percent, low, high), t = interval([math.log(50 / 100), math.log(55.2 / 110), math.log(59.9 / 120)])
    raw = 1 - abs(t) / math.sqrt(2 + t * t)
    assert (
        f"({signed(percent)} %, 95 % CI {signed(low)} to {signed(high)} %, 3 seeds, p {p_value(raw)}, "
        f"{p_value(2 * raw)} corrected: lower)"
    ) in masked.sentences[0]


def test_warnings_of_the_data_are_passed_on_once(make_run, key_of):
    folder = make_run(SURE)
    for strategy in SURE:
        for seed in range(3):
            path = folder / "cells" / key_of(strategy, seed) / "provenance.json"
            content = json.loads(path.read_text()) | {"dataset": {"warnings": ["a surrogate, not DFT"]}}
            path.write_text(json.dumps(content))
    results = Results(read_run(folder))
    assert data_warnings(results) == ["TIP3P water, flexible: a surrogate, not DFT"]
    assert data_warnings(results_of(make_run, SURE, name="none")) == []


def test_cautions_name_few_seeds_and_unequal_splits(make_run, record, key_of):
    folder = make_run(SURE)
    assert any("reaches 4.3 standard errors" in caution for caution in cautions(Results(read_run(folder))))
    path = folder / "cells" / key_of("masked", 0) / "record.parquet"
    write_records([record("masked", 0, split_hash="another")], path)
    assert any("leave this seed out" in caution for caution in cautions(Results(read_run(folder))))


@pytest.mark.parametrize(("gap", "near"), [(1, True), (10, True), (11, False), (None, False)])
def test_test_frames_near_to_training_frames_are_a_caution(make_run, record, key_of, gap, near):
    folder = make_run(SURE)
    for seed, frames in ((0, gap), (1, gap and gap + 5)):
        path = folder / "cells" / key_of("masked", seed) / "record.parquet"
        write_records([record("masked", seed, audit_nearest_frames=frames)], path)
    found = [caution for caution in cautions(Results(read_run(folder))) if "other trajectories" in caution]
    assert len(found) == near
    if near:
        assert f"as near as {gap} frame{'s' if gap > 1 else ''} of the simulation" in found[0]


def test_the_words_on_test_frames_do_not_promise_other_trajectories():
    (meaning,) = (meaning for term, meaning in READING if term == "Test frames")
    assert "Where the split is by trajectory" in meaning
    assert "rMD17" in meaning


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "< 0.001"), (0.0449, "0.045"), (0.0496, "0.0496"), (0.0503, "0.0503"), (0.0551, "0.055"), (1.0, "1.000")],
)
def test_p_values_near_the_level_have_four_decimals(p, text):
    assert p_value(p) == text


def test_cells_of_several_commits_in_one_folder_are_a_caution(make_run):
    """A run that was gone on with after a change of the code compares more than arms."""
    folder = make_run({"scratch": {0: (100.0, 50.0)}, "masked": {0: (80.0, 40.0)}})
    assert not any("commits" in caution for caution in cautions(Results(read_run(folder))))
    path = sorted(folder.glob("cells/*/provenance.json"))[0]
    path.write_text(json.dumps({**json.loads(path.read_text()), "git_commit": "1" * 40}))
    assert any("made at 2 commits" in caution for caution in cautions(Results(read_run(folder))))
