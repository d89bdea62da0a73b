"""Published numbers: as in their sources, matched by what a dataset, model and arm are, never by their names."""

import pytest
from pydantic import ValidationError

from reports.analysis.published import AnchorRow, anchors, paper_notes, paper_value, published
from reports.records.plan import Arm, Plan

FORCE, ENERGY = "force_rmse_mev_per_A", "energy_rmse_mev"


def plan_of(kind="tip3p", options=None, model="egnn", strategies=None, **dataset):
    """A plan with one dataset `d`, one model `m` and these strategies, by default one from scratch."""
    strategies = strategies or {"s": {}}
    cells = [
        {"key": f"{at:012x}", "dataset": "d", "model": "m", "strategy": name, "seed": 0}
        | {"pretrain_epochs": 0, "finetune_epochs": 1}
        for at, name in enumerate(strategies)
    ]
    return Plan.model_validate(
        {
            "suite": "s",
            "title": "t",
            "scale": "q",
            "command": "c",
            "baselines": [],
            "datasets": {"d": {"label": "d", "kind": kind, "options": options or {}, **dataset}},
            "models": {"m": {"label": "m", "kind": model}},
            "strategies": {name: {"label": name, **entry} for name, entry in strategies.items()},
            "cells": cells,
        }
    )


def pretrained(pretext, *ratios):
    """Strategies of one pretext: `s`, or one for each of these ratios."""
    if not ratios:
        return {"s": {"pretext": pretext}}
    return {f"{pretext}-{ratio}": {"pretext": pretext, "options": {"ratio": ratio}} for ratio in ratios}


def molecule(name, **options):
    return {"kind": "rmd17", "options": {"molecule": name, **options}, "member": name}


def look_up(plan, metric=FORCE, strategy="s"):
    return paper_value(plan, Arm("d", "m", strategy), metric)


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
        (plan_of(strategies=pretrained("masking")), FORCE, 39.3, 2.0, 0.9),
        (plan_of("rpbe", model="gns", strategies=pretrained("masking")), ENERGY, 2216.4, 76.9, 0.5),
        (plan_of(strategies=pretrained("denoising")), ENERGY, 2442.75, None, None),
        (plan_of(**molecule("aspirin")), "force_mae_mev_per_A", 46.7, None, None),
        (plan_of(**molecule("salicylic"), strategies=pretrained("masking")), "energy_mae_mev", 13.2, None, 0.5),
    ],
)
def test_values_are_matched_by_kind(plan, metric, mean, sd, ratio):
    found = look_up(plan, metric)
    assert (found.mean, found.sd, found.ratio) == (mean, sd, ratio)


@pytest.mark.parametrize(
    ("plan", "metric"),
    [
        (plan_of(strategies=pretrained("other-pretext")), FORCE),
        (plan_of(strategies=pretrained("denoising")), FORCE),
        (plan_of(model="tensornet"), FORCE),
        (plan_of("extxyz"), FORCE),
        (plan_of(**molecule("azobenzene")), "force_mae_mev_per_A"),
        (plan_of(), "force_mae_mev_per_A"),
    ],
)
def test_what_was_not_published_is_none(plan, metric):
    assert look_up(plan, metric) is None


def test_an_extended_arm_has_no_published_value():
    assert look_up(plan_of(strategies={"s": {"extended": True}})) is None


def test_a_value_for_a_ratio_is_that_of_the_arm_with_this_ratio():
    ablation = plan_of(strategies={"s": {}} | pretrained("masking", 0.25, 0.5, 0.9))
    found = {name: look_up(ablation, strategy=name) for name in ablation.strategies}
    assert {name: value and value.mean for name, value in found.items()} == {
        "s": 61.5,
        "masking-0.25": None,
        "masking-0.5": None,
        "masking-0.9": 39.3,
    }
    # Where no arm has the published ratio, each is shown beside it, and the ratio is named.
    others = plan_of(strategies=pretrained("masking", 0.25, 0.5))
    assert [look_up(others, strategy=name).ratio for name in others.strategies] == [0.9, 0.9]
    # An arm of another model does not count: GNS was published with 0.5.
    gns = plan_of(model="gns", strategies=pretrained("masking", 0.5, 0.9))
    assert [look_up(gns, strategy=name) and 1 for name in gns.strategies] == [1, None]


def test_no_convergence_is_said_in_words():
    found = look_up(plan_of("rpbe", model="forcenet"))
    assert (found.mean, found.text) == (None, "did not converge")


def test_a_stand_in_or_another_box_is_other_data():
    assert look_up(plan_of("rpbe")).same_data
    assert not look_up(plan_of("rpbe", stand_in=True)).same_data
    assert look_up(plan_of("tip3p", {"molecules": 258})).same_data
    assert not look_up(plan_of("tip3p", {"molecules": 16})).same_data
    assert [anchor.same_data for anchor in anchors(plan_of("rpbe", stand_in=True))] == [False]


def test_another_amount_of_data_is_other_data():
    mae = "force_mae_mev_per_A"
    assert look_up(plan_of(**molecule("aspirin", frames="all")), mae).same_data
    assert not look_up(plan_of(**molecule("aspirin", frames="official")), mae).same_data
    for frames, same in (("all", False), ("official", True)):
        found = anchors(plan_of(**molecule("aspirin", frames=frames)))
        assert {anchor.same_data for anchor in found} == {same}
    for part in (plan_of("rpbe", {"structures": 400}), plan_of("rpbe", labelled=0.1)):
        assert not look_up(part).same_data
        assert not anchors(part)[0].same_data


def test_anchors_stand_for_their_own_data_only():
    (hdnnp,) = anchors(plan_of("rpbe"))
    assert hdnnp.row.force_rmse_mev_per_A == [36.3]
    assert hdnnp.row.energy_rmse_mev_per_atom == [0.86]
    aspirin = anchors(plan_of(**molecule("aspirin")))
    assert {anchor.row.method: anchor.row.force_mae_mev_per_A[0] for anchor in aspirin} == {
        "MACE": 6.6,
        "NequIP": 8.2,
        "PaiNN": 16.1,
        "TensorNet": 8.9,
    }
    assert anchors(plan_of("tip3p")) == []


def test_every_source_is_used_and_has_an_address():
    used = {row.source for block in published().anchors for row in block.rows} | {"paper"}
    assert used == set(published().sources)
    assert all(source.url.startswith("https://") for source in published().sources.values())


@pytest.mark.parametrize(
    ("value", "fine"), [([], False), ([1.0], True), ([1.0, 0.1], True), ([1.0, 0.1, 0.0], False), (["x"], False)]
)
def test_a_published_value_is_a_mean_and_perhaps_a_spread(value, fine):
    row = {"method": "m", "source": "s", "energy_mae_mev": value}
    if fine:
        assert AnchorRow(**row).energy_mae_mev == value
    else:
        with pytest.raises(ValidationError):
            AnchorRow(**row)


def test_mistyped_names_are_refused_and_nothing_can_be_changed():
    with pytest.raises(ValidationError, match="energy_mae"):
        AnchorRow(method="m", source="s", energy_mae=[1.0])
    with pytest.raises(ValidationError, match="frozen"):
        AnchorRow(method="m", source="s").method = "other"


def test_notes_and_anchors_are_of_the_planned_datasets():
    (note,) = paper_notes(plan_of("rpbe"), ["d"])
    (block,) = (block for block in published().paper if block.dataset == "rpbe")
    assert note == f"{block.table}: {block.note}"
    assert paper_notes(plan_of("extxyz"), ["d"]) == []
    for anchor in anchors(plan_of(**molecule("aspirin"))):
        assert anchor.dataset == "d"
        assert anchor.source == published().sources[anchor.row.source]
        assert anchor.data
