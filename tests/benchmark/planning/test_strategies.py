"""Arms: what a strategy may say, what is refused, and what it changes in keys."""

from __future__ import annotations

import pytest

from benchmark.errors import BenchmarkError
from benchmark.planning.planner import make_plan, pretraining_parts
from benchmark.planning.reading import load_suite
from benchmark.planning.strategies import is_variant
from tests.benchmark.own_suite import arms, cells_of, entry

WARM_UP = {"label": "w", "pretext": {"kind": "labels"}}
WATER = {"kind": "water"}


def strategies(**more):
    """Scratch and a masked arm, with others."""
    masked = {"label": "m", "pretext": {"kind": "masking", "options": {"target": "bonded"}}}
    return {"scratch": {"label": "s"}, "longer": {"label": "l", "extended": True}, "masked": masked, **more}


def planned(own, **more):
    return cells_of(own(strategies=strategies(**more)))


def test_a_warm_up_learns_the_labels_that_finetuning_may_use_and_no_others(own):
    datasets = {"a": entry(own.files["a"], split={"val": 0.2, "test": 0.2}, labelled=[0.25, 1])}
    cells = cells_of(own(datasets=datasets, strategies=strategies(warm=WARM_UP)))
    (few,), (all_,) = (cells[f"a@{share}%", "warm"].pretraining.parts for share in (25, 100))
    assert (few.labelled, all_.labelled) == (0.25, None)
    assert cells["a@25%", "warm"].pretraining.key != cells["a@100%", "warm"].pretraining.key
    # A pretext that sees no label sees all frames, whatever the share.
    assert cells["a@25%", "masked"].pretraining.key == cells["a@100%", "masked"].pretraining.key
    assert "labelled" not in cells["a@25%", "masked"].pretraining.parts[0].model_dump()
    assert cells["a@25%", "longer"].phase.epochs == 3 + 2


def test_labels_by_others_are_of_the_frames_that_any_pretext_sees(own):
    cells = planned(own, cheap={**WARM_UP, "labels_from": {"kind": "xtb"}})
    cheap, masked = cells["a", "cheap"].pretraining, cells["a", "masked"].pretraining
    (part,), (plain,) = cheap.parts, masked.parts
    assert part.split == plain.split
    assert part.kind == "relabelled"
    assert part.options["source"] == {"kind": plain.kind, "options": plain.options}
    assert part.options["labeller"]["options"]["method"] == "GFN2-xTB"
    assert cheap.phase == masked.phase
    suite = load_suite(str(own(strategies=strategies(cheap={**WARM_UP, "labels_from": {"kind": "xtb"}}))), "tiny")
    assert {part.kind for part in pretraining_parts(suite, ["a"], [0])} == {"extxyz", "relabelled"}


def test_arms_that_take_over_less_share_their_pretraining(own):
    masking = strategies()["masked"]
    cells = planned(own, reset={**masking, "transfer": "body"}, scaled={**masking, "transfer": "scaled"})
    three = [cells["a", arm] for arm in ("masked", "reset", "scaled")]
    assert len({cell.pretraining.key for cell in three}) == 1
    assert len({cell.key for cell in three}) == 3
    assert "transfer" not in cells["a", "masked"].model_dump()


def test_what_an_arm_trains_with_is_its_own(own):
    masking = strategies()["masked"]
    other = {"pretrain": {"lr": 2e-3}, "finetune": {"lr": 3e-3}}
    before, cells = planned(own), planned(own, tuned={**masking, "training": other})
    tuned = cells["a", "tuned"]
    assert (tuned.pretraining.phase.lr, tuned.phase.lr) == (2e-3, 3e-3)
    assert tuned.phase.epochs == cells["a", "masked"].phase.epochs
    assert {name: cell.key for name, cell in cells.items() if name[1] != "tuned"} == {
        name: cell.key for name, cell in before.items()
    }
    with pytest.raises(BenchmarkError, match=r"strategy 'tuned'.*finetune.lrr: unknown key"):
        planned(own, tuned={**masking, "training": {"finetune": {"lrr": 1}}})


def test_arms_that_pretrain_for_other_numbers_of_epochs_need_a_match_by_name(own):
    masking = {**strategies()["masked"], "training": {"pretrain": {"epochs": 7}}}
    with pytest.raises(BenchmarkError, match=r"different numbers of epochs.*'longer'"):
        planned(own, more=masking)
    longer = {"longer": {"label": "l", "extended": "more"}}
    assert planned(own, more=masking, **longer)["a", "longer"].phase.epochs == 3 + 7


def test_beside_a_body_from_a_file_an_extended_arm_needs_a_match_by_name(own):
    with pytest.raises(BenchmarkError, match=r"on different structures.*'longer'"):
        planned(own, given={"label": "g", "pretext": FILE})


def test_an_auxiliary_task_sees_every_frame_again_and_can_be_matched(own):
    noisy = {"label": "n", "auxiliary": {"kind": "denoising", "options": {"sd_A": 0.05}}}
    both = {**strategies()["masked"], "auxiliary": noisy["auxiliary"]}
    cells = planned(own, noisy=noisy, both=both, longer={"label": "l", "extended": "noisy"},
                    longest={"label": "x", "extended": "both"})  # fmt: skip
    assert cells["a", "noisy"].auxiliary.weight == 0.1
    assert cells["a", "noisy"].key != cells["a", "scratch"].key
    assert cells["a", "noisy"].pretraining is None
    assert "auxiliary" not in cells["a", "scratch"].model_dump()
    assert cells["a", "longer"].phase.epochs == 3 + 3
    assert cells["a", "longest"].phase.epochs == 3 + 3 + 2


MASKING = {"kind": "masking", "options": {"target": "bonded"}}
FILE = {"kind": "file", "options": {"path": "body.pt"}}


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"pretext": MASKING, "labels_from": WATER}, "'masking' learns no labels; take"),
        ({"pretext": {"kind": "labels"}, "pretrain_on": "pooled"}, r"only on the labelled training frames"),
        ({"pretext": {"kind": "labels"}, "pretrain_on": ["b"]}, r"only on the labelled training frames"),
        ({"pretext": {"kind": "labels"}, "pretrain_on": ["t"]}, r"structures 't', but kind 'trajectory' has none"),
        ({"pretext": {"kind": "labels"}, "labels_from": {"kind": "watr"}}, "unknown labeller kind 'watr'"),
        ({"pretext": {"kind": "labels", "options": {"head": "coordinate"}}}, "labels train the forces"),
        ({"auxiliary": {"kind": "labels"}}, "the auxiliary task 'labels' learns labels"),
        ({"auxiliary": {"kind": "denoising", "weight": 0}}, "auxiliary.weight"),
        ({"auxiliary": {"kind": "denoising", "options": {"head": "coordinate"}}}, "head 'coordinate'.*'gns'"),
        ({"auxiliary": {"kind": "denoising"}, "extended": True}, "no auxiliary task"),
        ({"pretext": FILE, "pretrain_on": ["b"]}, "pretrain_on is set, but what the pretext 'file' names"),
        ({"pretext": FILE, "training": {"pretrain": {"lr": 1e-3}}}, r"training\.pretrain is set"),
        ({"pretext": {**FILE, "options": {**FILE["options"], "head": "coordinate"}}}, "leave head out"),
        ({"pretext": {"kind": "file"}}, "options of pretext 'file': path: missing"),
        ({"auxiliary": FILE}, "no task that could be learned during finetuning"),
        ({"transfer": "body"}, "no pretext to pretrain with"),
        ({"labels_from": WATER}, "no pretext to pretrain with"),
        ({"pretext": MASKING, "transfer": "head"}, "transfer"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_when_the_suite_is_read(own, arm, message):
    trajectory = {"kind": "trajectory", "options": {"topology": "t.pdb", "trajectory": "t.dcd"}}
    path = own(
        strategies=strategies(odd={"label": "o", **arm}, longer={"label": "l", "extended": "masked"}),
        structures={"t": trajectory},
        models={"gns": {"kind": "gns", "options": {"hidden": 4, "layers": 1}}},
    )
    with pytest.raises(BenchmarkError, match=message):
        load_suite(str(path), "tiny")


def test_labelled_structures_of_the_users_may_be_learned(own):
    path = own(strategies={**arms(pretrain_on=["c"]), "cheap": {**WARM_UP, "pretrain_on": ["c"]}})
    cells = {(c.arm.dataset, c.arm.strategy): c for c in make_plan(load_suite(str(path), "tiny"))}
    assert cells["a", "cheap"].pretraining.parts == cells["a", "masked"].pretraining.parts


def test_a_potential_that_declares_no_readout_cannot_be_taken_over_in_part(own, monkeypatch):
    from tasks.models.egnn import EGNN

    monkeypatch.setattr(EGNN, "readout_modules", ())
    reset = {**strategies()["masked"], "transfer": "body"}
    with pytest.raises(
        BenchmarkError, match=r"strategy 'reset' has transfer 'body', but model 'egnn'.*readout_modules"
    ):
        planned(own, reset=reset)


def test_controls_are_not_what_their_pretext_is_published_as(own):
    """Published numbers of masking are not those of a placebo, or of masking of which a part is taken over."""
    masking = strategies()["masked"]
    placebo = {"label": "p", "pretext": {"kind": "masking", "options": {"target": "bonded", "directions": "random"}}}
    noisy = {"label": "n", "auxiliary": {"kind": "denoising"}}
    more = {"placebo": placebo, "reset": {**masking, "transfer": "body"}, "noisy": noisy, "warm": WARM_UP}
    suite = load_suite(str(own(strategies=strategies(**more))), "tiny")
    found = {name for name, arm in suite.strategies.items() if is_variant(arm)}
    assert found == {"placebo", "reset", "noisy"}
    cells = {(c.arm.dataset, c.arm.strategy): c for c in make_plan(suite)}
    assert (cells["a", "noisy"].forwards, cells["a", "scratch"].forwards) == (2, 1)
