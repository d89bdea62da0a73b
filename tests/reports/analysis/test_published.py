"""Published numbers: as in their sources, matched by what a dataset, model and arm are, never by their names."""

import pytest

from reports.analysis.kinds import surrogates
from reports.analysis.published import anchors, paper_value, published
from reports.records.plan import Arm, Plan

FORCE, ENERGY = "force_rmse_mev_per_A", "energy_rmse_mev"


def plan_of(kind="tip3p", options=None, model="egnn", label="", **strategies):
    """A plan with one dataset `d`, one model `m` and these strategies: pretext kind, or None."""
    strategies = strategies or {"s": None}
    cells = [
        {"key": f"{at:012x}", "dataset": "d", "model": "m", "strategy": name, "seed": 0}
        | {"pretrain_epochs": 0, "finetune_epochs": 1}
        for at, name in enumerate(strategies)
    ]
    return Plan.model_validate(
        {
            "schema": 1,
            "suite": "s",
            "title": "t",
            "scale": "q",
            "command": "c",
            "baselines": [],
            "labels": {"datasets": {"d": label}},
            "config": {
                "datasets": {"d": {"kind": kind, "options": options or {}}},
                "models": {"m": {"kind": model}},
                "strategies": {
                    name: {"pretext": pretext and {"kind": pretext}} for name, pretext in strategies.items()
                },
            },
            "cells": cells,
        }
    )


def look_up(plan, metric=FORCE, strategy="s"):
    return paper_value(plan, Arm("d", "m", strategy), metric, surrogates(plan, {}))


def anchors_of(plan):
    return anchors(plan, surrogates(plan, {}))


def test_the_papers_own_changes_follow_from_its_rows():
    # Table 1 gives these changes beside the means; Table 2 their mean over molecules.
    rows = {(b.dataset, r.molecule, r.model, r.arm): r for b in published().paper for r in b.rows}

    def change(metric, dataset, model, molecule=None):
        masked, scratch = (getattr(rows[dataset, molecule, model, arm], metric)[0] for arm in ("masking", "scratch"))
        return 100 * (masked / scratch - 1)

    for dataset, model, force, energy in (
        ("rpbe", "egnn", -58.9, -42.2),
        ("rpbe", "gns", -51.8, 20.3),
        ("tip3p", "egnn", -36.1, -64.7),
        ("tip3p", "gns", -5.6, -15.3),
    ):
        assert change(FORCE, dataset, model) == pytest.approx(force, abs=0.06)
        assert change(ENERGY, dataset, model) == pytest.approx(energy, abs=0.06)
    molecules = {name for dataset, name, _, _ in rows if dataset == "rmd17"}
    assert len(molecules) == 8
    for metric, mean in (("force_mae_mev_per_A", -30.02), ("energy_mae_mev", -30.75)):
        changes = [change(metric, "rmd17", "egnn", name) for name in molecules]
        assert sum(changes) / 8 == pytest.approx(mean, abs=0.3)


@pytest.mark.parametrize(
    ("plan", "metric", "mean", "sd", "ratio"),
    [
        (plan_of(s="masking"), FORCE, 39.3, 2.0, 0.9),
        (plan_of("rpbe", s="masking", model="gns"), ENERGY, 2216.4, 76.9, 0.5),
        (plan_of(s="denoising"), ENERGY, 2442.75, None, None),
        (plan_of("rmd17", {"molecule": "aspirin"}), "force_mae_mev_per_A", 46.7, None, None),
        (plan_of("rmd17", {"molecule": "salicylic_acid"}, s="masking"), "energy_mae_mev", 13.2, None, 0.5),
    ],
)
def test_values_are_matched_by_kind(plan, metric, mean, sd, ratio):
    found = look_up(plan, metric)
    assert (found.mean, found.sd, found.ratio) == (mean, sd, ratio)


@pytest.mark.parametrize(
    ("plan", "metric"),
    [
        (plan_of(s="other-pretext"), FORCE),
        (plan_of(s="denoising"), FORCE),
        (plan_of(model="tensornet"), FORCE),
        (plan_of("extxyz"), FORCE),
        (plan_of("rmd17", {"molecule": "azobenzene"}), "force_mae_mev_per_A"),
        (plan_of(), "force_mae_mev_per_A"),
    ],
)
def test_what_was_not_published_is_none(plan, metric):
    assert look_up(plan, metric) is None


def test_an_extended_arm_has_no_published_value():
    plan = plan_of()
    plan.config["strategies"]["s"]["extended"] = True
    assert look_up(plan) is None


def test_no_convergence_is_said_in_words():
    found = look_up(plan_of("rpbe", model="forcenet"))
    assert (found.mean, found.text) == (None, "did not converge")


def test_a_surrogate_or_another_box_is_other_data():
    assert look_up(plan_of("rpbe")).same_data
    assert not look_up(plan_of("rpbe", label="Surrogate of RPBE-D3 water")).same_data
    assert look_up(plan_of("tip3p", {"molecules": 258})).same_data
    assert not look_up(plan_of("tip3p", {"molecules": 16})).same_data
    assert [anchor.same_data for anchor in anchors_of(plan_of("rpbe", label="RPBE surrogate"))] == [False]


def test_another_amount_of_data_is_other_data():
    aspirin = {"molecule": "aspirin"}
    mae = "force_mae_mev_per_A"
    assert look_up(plan_of("rmd17", aspirin | {"frames": "all"}), mae).same_data
    assert not look_up(plan_of("rmd17", aspirin | {"frames": "official"}), mae).same_data
    for frames, same in (("all", False), ("official", True)):
        found = anchors_of(plan_of("rmd17", aspirin | {"frames": frames}))
        assert {anchor.same_data for anchor in found} == {same}
    few = plan_of("rpbe", {"structures": 400})
    assert not look_up(few).same_data
    assert not anchors_of(few)[0].same_data
    part = plan_of("rpbe")
    part.config["datasets"]["d"]["labelled"] = 0.1
    assert not look_up(part).same_data
    assert not anchors_of(part)[0].same_data


@pytest.mark.parametrize(("structures", "stands_in"), [(7241, True), (3, True), (0, False), (None, False)])
def test_a_surrogate_is_known_from_its_provenance(structures, stands_in):
    plan = plan_of("rpbe", label="RPBE-D3 water")
    dataset = {} if structures is None else {"surrogate_structures": structures}
    found = surrogates(plan, {plan.cells[0].key: {"dataset": dataset}})
    assert found == ({"d"} if stands_in else set())
    assert paper_value(plan, Arm("d", "m", "s"), FORCE, found).same_data is not stands_in


def test_anchors_stand_for_their_own_data_only():
    (hdnnp,) = anchors_of(plan_of("rpbe"))
    assert hdnnp.row.force_rmse_mev_per_A == [36.3]
    assert hdnnp.row.energy_rmse_mev_per_atom == [0.86]
    aspirin = anchors_of(plan_of("rmd17", {"molecule": "aspirin"}))
    assert {anchor.row.method: anchor.row.force_mae_mev_per_A[0] for anchor in aspirin} == {
        "MACE": 6.6,
        "NequIP": 8.2,
        "PaiNN": 16.1,
        "TensorNet": 8.9,
    }
    assert anchors_of(plan_of("tip3p")) == []


def test_every_source_is_used_and_has_an_address():
    used = {row.source for block in published().anchors for row in block.rows} | {"paper"}
    assert used == set(published().sources)
    assert all(source.url.startswith("https://") for source in published().sources.values())
