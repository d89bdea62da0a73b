"""Fits of energies and forces: the loss, exact errors, curves, and what a compiler is shown."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch_geometric.data import Batch

from reports.records.record import METRICS


def test_loss_is_the_weighted_sum_of_energy_and_force_errors(module, frames, finetuning):
    batch = Batch.from_data_list(frames[:5])
    loss = module.batch_loss(batch, 0, "val")
    energy, force = module.model(batch.z, batch.pos, batch.batch, batch.box)
    expected = (force - batch.neg_dy).square().mean() + 0.5 * (energy - batch.y).square().mean()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_validation_loss_is_exact_over_uneven_batches(module, frames):
    module.batch_loss(Batch.from_data_list(frames[:4]), 0, "val")
    module.batch_loss(Batch.from_data_list(frames[4:5]), 1, "val")
    pieces = module.exact_loss("val")
    module._reset_sums()
    module.batch_loss(Batch.from_data_list(frames[:5]), 0, "val")
    assert pieces == pytest.approx(module.exact_loss("val"), rel=1e-5)


def test_a_test_begins_anew_and_leaves_nothing(module, frames):
    found = []
    for _ in range(2):
        module.begin_test()
        for number, part in enumerate((frames[:3], frames[3:5])):
            module.test_step(Batch.from_data_list(part), number)
        module.on_test_epoch_end()
        found.append(module.end_test())
        assert module.details is None
        assert not any(module.losses[stage][kind][name] for stage in module.losses for kind in module.losses[stage]
                       for name in module.losses[stage][kind])  # fmt: skip
    assert found[0][0] == found[1][0]
    pd.testing.assert_frame_equal(found[0][1].elements(), found[1][1].elements())
    batch = Batch.from_data_list(frames[:5])
    _, force = module.model(batch.z, batch.pos, batch.batch, batch.box)
    error = 800 * (force - batch.neg_dy).detach().double()
    assert found[0][0]["force_rmse_mev_per_A"] == pytest.approx(float(error.square().mean().sqrt()), rel=1e-6)
    assert int(found[0][1].elements()["n_atoms"].sum()) == batch.num_nodes


def test_curves_have_the_errors_of_training_and_validation_apart(module, frames):
    for stage, part in (("train", frames[:3]), ("val", frames[3:5])):
        module.batch_loss(Batch.from_data_list(part), 0, stage)
    first = module.curve_values()
    assert {metric for _, metric in first} == {"loss", *METRICS}
    for stage, part in (("train", frames[:3]), ("val", frames[3:5])):
        batch = Batch.from_data_list(part)
        energy, force = module.model(batch.z, batch.pos, batch.batch, batch.box)
        off, wrong = (force - batch.neg_dy).detach(), (energy - batch.y).detach()
        assert first[stage, "force_mae_mev_per_A"] == pytest.approx(800 * float(off.abs().mean()), rel=1e-5)
        assert first[stage, "energy_mae_mev"] == pytest.approx(800 * float(wrong.abs().mean()), rel=1e-5)
        expected = float(off.square().mean() + 0.5 * wrong.square().mean())
        assert first[stage, "loss"] == pytest.approx(expected, rel=1e-5)
    for stage in ("train", "val"):
        module.batch_loss(Batch.from_data_list(frames[:3]), 0, stage)
    assert module.curve_values()["train", "loss"] == pytest.approx(first["train", "loss"], rel=1e-6)


@pytest.mark.parametrize("boxed", [True, False])
def test_what_a_compiler_is_shown_first_is_what_a_training_step_sees(module, frames, boxed):
    first = Batch.from_data_list(frames[:4])
    if not boxed:
        del first.box
    module.trainer = SimpleNamespace(datamodule=SimpleNamespace(first_batch=lambda: first), global_step=0)
    z, pos, batch, box, extra_args = module._first_inputs()
    for found, expected in ((z, first.z), (pos, first.pos), (batch, first.batch)):
        assert torch.equal(found, expected)
    assert torch.equal(box, first.box) if boxed else box is None
    assert set(extra_args) == {"molecule", "ptr"}
