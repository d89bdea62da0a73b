"""What LNNP has, the schedule, divergence, rotations, and faster steps, for both kinds of fit."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch_geometric.data import Batch, Data
from torchmdnet.module import LNNP

from benchmark.training.modules.divergence import Diverged
from benchmark.training.modules.finetuning import FinetuneModule
from benchmark.training.modules.potential import SinglePrecision, half_cosine
from benchmark.training.modules.pretraining import PretrainModule
from tasks.models.base import ROTATION
from tasks.models.egnn import EGNN
from tasks.options.models import EGNNConfig
from tasks.options.pretexts import DenoisingConfig, MaskingConfig
from tasks.pretexts.denoising import Denoising
from tasks.pretexts.masking import Masking


def test_every_attribute_that_lnnp_sets_is_set(module):
    """PotentialModule passes LNNP's constructor over: a new version that sets more must not go unnoticed."""
    hparams = {
        "model": "graph-network", "embedding_dimension": 4, "num_layers": 0, "num_rbf": 2, "rbf_type": "expnorm",
        "trainable_rbf": False, "activation": "silu", "cutoff_lower": 0.0, "cutoff_upper": 3.0, "max_z": 10,
        "max_num_neighbors": 8, "aggr": "add", "neighbor_embedding": False, "precision": 32, "derivative": True,
        "atom_filter": -1, "prior_model": None, "output_model": "Scalar", "reduce_op": "sum", "load_model": None,
        "remove_ref_energy": False,
    }  # fmt: skip
    original = LNNP(hparams)
    missing = [name for name in vars(original) if name not in vars(module)]
    assert missing == []
    for name in ("ema", "losses"):
        assert getattr(module, name) == getattr(original, name)


def test_both_stages_use_adamw_with_the_phases_decay(module, make_potential, pretraining):
    pretrain = PretrainModule(make_potential(), pretraining, Denoising(DenoisingConfig()), seed=0)
    for stage, phase in ((module, module.hparams), (pretrain, pretraining)):
        stage.trainer = SimpleNamespace(estimated_stepping_batches=10)
        (optimizer,), _ = stage.configure_optimizers()
        assert type(optimizer) is torch.optim.AdamW
        assert optimizer.defaults["weight_decay"] == phase.weight_decay == 1e-4


def test_half_cosine_goes_from_lr_to_lr_min():
    steps, lr, lr_min = 101, 1e-3, 1e-6
    values = [lr * half_cosine(step, steps, lr, lr_min) for step in range(steps)]
    assert values[0] == pytest.approx(lr)
    assert values[50] == pytest.approx((lr + lr_min) / 2)
    assert values[-1] == pytest.approx(lr_min)
    assert all(a > b for a, b in itertools.pairwise(values))
    assert half_cosine(500, steps, lr, lr_min) == pytest.approx(lr_min / lr)


def test_a_schedule_of_one_step_begins_at_lr():
    assert half_cosine(0, 1, 1e-3, 1e-6) == 1.0
    assert half_cosine(1, 2, 1e-3, 1e-6) == pytest.approx(1e-3)


def test_the_norm_of_all_gradients_together_is_clipped(module):
    generator = torch.Generator().manual_seed(1)
    weights = list(module.model.parameters())
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=generator)
    before = torch.cat([weight.grad.flatten() for weight in weights])
    module.configure_gradient_clipping(None, None)
    assert torch.equal(torch.cat([weight.grad.flatten() for weight in weights]), before)
    module.configure_gradient_clipping(None, 0.25)
    after = torch.cat([weight.grad.flatten() for weight in weights])
    torch.testing.assert_close(after, before * (0.25 / before.norm()))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_validation_loss_that_is_not_finite_is_divergence(module, bad):
    module.trainer = SimpleNamespace(global_step=12, current_epoch=3)
    with pytest.raises(Diverged, match=r"the validation loss became (nan|inf) at step 13, epoch 4"):
        module.log_validation_loss(bad)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_divergence_with_the_step(module, frames, bad):
    batch = Batch.from_data_list(frames[:2])
    batch.neg_dy[0, 0] = bad
    with pytest.raises(Diverged, match="step 1, epoch 1"):
        module.training_step(batch, 0)


def test_only_other_floats_are_cast():
    data = Data(z=torch.tensor([8]), pos=torch.zeros(1, 3), name="water")
    cast = SinglePrecision(dtype=torch.float32)
    assert cast(data) is data
    double = cast(Data(z=torch.tensor([8]), pos=torch.zeros(1, 3).double()))
    assert (double.pos.dtype, double.z.dtype) == (torch.float32, torch.int64)


def test_the_learning_rate_follows_the_schedule_step_by_step(module):
    module.trainer = SimpleNamespace(estimated_stepping_batches=5)
    (optimizer,), (schedule,) = module.configure_optimizers()
    assert schedule["interval"] == "step"
    assert len(optimizer.param_groups[0]["params"]) == len(list(module.parameters()))
    rates = []
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule["scheduler"].step()
    lr, lr_min = module.hparams.lr, module.hparams.lr_min
    assert (lr, lr_min) == (1e-2, 1e-4)
    assert rates == pytest.approx([*(lr * half_cosine(step, 5, lr, lr_min) for step in range(5)), lr_min])


def test_graphs_are_kept_where_the_network_takes_them_and_atoms_stay(module, make_potential, pretraining, frames):
    batch = Batch.from_data_list(frames[:3])
    graph = module.search(batch.pos, batch.batch, batch.box)
    found = module.model.graph(batch.pos, batch.batch, batch.box, None)
    assert torch.equal(graph.edges, found.edges)
    assert torch.equal(graph.shifts, found.shifts)
    alone = module.search(frames[0].pos, torch.zeros_like(frames[0].z), None)
    assert torch.equal(alone.edges, module.model.graph(frames[0].pos, torch.zeros_like(frames[0].z), None, None).edges)
    moving, staying = (
        PretrainModule(make_potential(), pretraining, pretext, seed=0)
        for pretext in (Denoising(DenoisingConfig()), Masking(MaskingConfig()))
    )
    assert moving.search is None
    assert staying.search is not None
    module.model = torch.nn.Linear(1, 1)
    assert module.search is None


def test_a_faster_step_is_taken_in_training_alone(module, make_potential, pretraining, frames):
    batch = Batch.from_data_list(frames[:3])
    given = (batch.z, batch.pos, batch.batch, batch.box)
    calls = []

    def faster(z, pos, batch, box, extra_args):
        calls.append(extra_args)
        return torch.full((3, 1), 5.0), torch.full((len(z), 3), 6.0)

    assert float(module.train()(*given)[0][0].detach()) != 5
    module._faster = faster
    energy, force = module(*given, extra_args={"mask_label": torch.zeros_like(batch.z)})
    assert (float(energy[0]), float(force[0, 0])) == (5, 6)
    assert list(calls[0]) == ["mask_label"]
    expected = module.model(*given)
    for found in (module.eval()(*given), module(batch.z, batch.pos, batch=batch.batch, box=batch.box)):
        torch.testing.assert_close(found, expected)
    assert len(calls) == 1
    module.on_train_end()
    assert module._faster is None
    one = frames[0]
    torch.testing.assert_close(module(one.z, one.pos, box=one.box), module.model(one.z, one.pos, box=one.box))

    pretrain = PretrainModule(make_potential(), pretraining, Denoising(DenoisingConfig(sd_A=0.1, head="force")), seed=0)
    pretrain._faster = faster
    loss = {}
    for training in (True, False):
        pretrain.train(training)
        loss[training] = float(pretrain.batch_loss(batch, 0, "val").detach())
    assert len(calls) == 2
    assert loss[True] > 10 > loss[False], "six, where the targets are of order one"


def test_training_frames_are_turned_by_seed_and_step_and_no_others(make_potential, finetuning, pretraining, frames):
    seen = []

    class Watched(EGNN):
        def forward(self, *args, extra_args=None, **kwargs):
            seen.append((extra_args or {}).get(ROTATION))
            return super().forward(*args, extra_args=extra_args, **kwargs)

    def rotation(module, stage="train", step=0):
        module.trainer = SimpleNamespace(global_step=step)
        module.batch_loss(Batch.from_data_list(frames[:3]), 0, stage)
        return seen[-1]

    def modules(rotate):
        yield FinetuneModule(Watched(EGNNConfig(hidden=6, layers=2)), finetuning, 1.0, rotate)
        yield PretrainModule(
            Watched(EGNNConfig(hidden=6, layers=2)), pretraining, Denoising(DenoisingConfig(head="force")), 0, rotate
        )

    found = [rotation(module) for module in modules(rotate=5)]
    assert found[0].shape == (3, 3, 3)
    assert (found[0][0] - found[0][1]).abs().max() > 0.1
    assert torch.equal(*found)
    for module in modules(rotate=5):
        assert not torch.equal(rotation(module, step=1), found[0])
        assert rotation(module, stage="val") is None
    assert [rotation(module) for module in modules(rotate=None)] == [None, None]
