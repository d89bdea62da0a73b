"""Structures of another dataset with other labels: same frames, same splits, made once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tasks.datasets.base import DatasetError
from tasks.datasets.relabelled.options import RelabelledConfig
from tasks.datasets.relabelled.task import Relabelled
from tasks.datasets.tip3p.options import TIP3PConfig
from tasks.datasets.tip3p.task import TIP3P
from tasks.labellers.water import WaterModel

SOURCE = {
    "molecules": 8, "density_g_per_cm3": 0.997, "cutoff_A": 3.1, "trajectories": 2, "frames_per_trajectory": 3,
    "equilibration_ps": 0.02, "steps_between_frames": 5,
}  # fmt: skip


def config(**labeller):
    return RelabelledConfig(
        source={"kind": "tip3p", "options": SOURCE}, labeller={"kind": "water", "options": labeller}
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    Relabelled(config(cutoff_A=3.1)).prepare(folder)
    return folder


def test_frames_are_the_sources_and_labels_are_not(prepared):
    source, data = TIP3P(TIP3PConfig(**SOURCE)).load(prepared), Relabelled(config(cutoff_A=3.1)).load(prepared)
    assert len(data.samples) == len(source.samples) == 6
    assert np.array_equal(data.outline.groups, source.outline.groups)
    for own, theirs in zip(data.samples, source.samples, strict=True):
        for field in ("z", "pos", "box", "molecule", "site"):
            assert torch.equal(own[field], theirs[field])
        assert own.neg_dy.dtype == torch.float32
        assert own.y.dtype == torch.float64
        assert (own.neg_dy - theirs.neg_dy).abs().max() > 0.1
    assert data.content_hash != source.content_hash
    assert data.seconds_per_label > 0
    assert source.seconds_per_label == 0
    assert data.provenance["labelled_by"] == "SPC/Fw water"
    assert data.provenance["source"]["content_hash"] == source.content_hash


def test_what_the_source_says_of_its_frames_stays_true(prepared, monkeypatch):
    """How coarse positions are, above all: the audit looks for copies as finely as they are known."""
    task = Relabelled(config(cutoff_A=3.1))
    said = {"precision_A": 0.01, "warnings": ("coarse",), "origins": tuple(("file.xyz", i) for i in range(6))}
    source = replace(task._source.load(prepared), **said)
    monkeypatch.setattr(task._source, "load", lambda data_dir: source)
    data = task.load(prepared)
    assert {name: getattr(data, name) for name in said} == said


def test_the_same_level_gives_the_same_labels(prepared):
    """The true labels, made again by the model that made them."""
    task = Relabelled(config(model="tip3p", cutoff_A=3.1))
    with pytest.raises(DatasetError, match="has to be prepared"):
        task.load(prepared)
    task.prepare(prepared)
    for own, theirs in zip(
        task.load(prepared).samples, TIP3P(TIP3PConfig(**SOURCE)).load(prepared).samples, strict=True
    ):
        torch.testing.assert_close(own.neg_dy, theirs.neg_dy, rtol=0, atol=1e-4)
        torch.testing.assert_close(own.y, theirs.y, rtol=1e-6, atol=1e-6)


def test_labels_are_made_once(prepared, monkeypatch):
    monkeypatch.setattr(WaterModel, "begin", lambda self: pytest.fail("labels are there"))
    Relabelled(config(cutoff_A=3.1)).prepare(prepared)


def test_a_structure_that_cannot_be_labelled_is_named(prepared, monkeypatch, tmp_path):
    def begin(self):
        def calculate(sample):
            raise DatasetError("it is odd")

        return calculate

    monkeypatch.setattr(WaterModel, "begin", begin)
    task = Relabelled(config(cutoff_A=2.9))
    with pytest.raises(DatasetError, match="frame 0: it is odd"):
        task.prepare(prepared)


def test_options_are_written_out_and_checked():
    filled = TIP3PConfig(**SOURCE).relabelled("tip3p", {"kind": "water", "options": {}})
    assert filled["kind"] == "relabelled"
    assert filled["options"]["labeller"]["options"]["model"] == "spcfw"
    assert filled["options"]["source"]["options"]["temperature_K"] == 300
    for wrong in ({"kind": "wather"}, {"kind": "water", "options": {"modell": "x"}}):
        with pytest.raises(ValidationError, match=r"wather|modell"):
            RelabelledConfig(source={"kind": "tip3p", "options": SOURCE}, labeller=wrong)
