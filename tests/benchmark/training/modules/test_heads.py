"""A pretext's own head: drawn from its own stream, trained with the body, and left behind."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch_geometric.data import Batch, Data
from torch_geometric.utils import scatter

from benchmark.training.callbacks import CurveRecorder
from benchmark.training.loop import fit
from benchmark.training.modules.heads import answer, fresh_head, seen_by_network
from benchmark.training.modules.pretraining import PretrainModule
from tasks.models.egnn import EGNN
from tasks.options.pretexts import DenoisingConfig, DistanceDenoisingConfig, PretrainingConfig
from tasks.pretexts.base import HeadedPretext
from tasks.pretexts.denoising import Denoising
from tasks.pretexts.distances import DistanceDenoising


class Composition(HeadedPretext):
    """How many oxygens and hydrogens has a structure? Two numbers a structure, of the sum of the features."""

    Config: ClassVar[type[PretrainingConfig]] = PretrainingConfig
    title: ClassVar[str] = "composition"

    class Head(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.linear = nn.Linear(width, 2)

        def forward(self, features, batch):
            return self.linear(scatter(features, batch.batch, dim_size=len(batch.target)))

    def __init__(self):
        self.config = PretrainingConfig()

    def head(self, width):
        return self.Head(width)

    def corrupt(self, batch, generator):
        counts = [scatter((batch.z == z).float(), batch.batch, dim_size=batch.num_graphs) for z in (8, 1)]
        return Data(z=batch.z, pos=batch.pos, batch=batch.batch, box=batch.box, target=torch.stack(counts, dim=1))

    def loss(self, prediction, batch):
        return mse_loss(prediction, batch.target)


ATOMS = DistanceDenoising(DistanceDenoisingConfig(sd_A=0.2))
TASKS = pytest.mark.parametrize("task", [ATOMS, Composition()], ids=["pairs", "structures"])


@TASKS
def test_the_body_starts_as_in_other_arms_and_the_head_by_its_own_seed(make_potential, pretraining, task):
    plain = PretrainModule(make_potential(), pretraining, Denoising(DenoisingConfig()), seed=3)
    headed, again, other = (PretrainModule(make_potential(), pretraining, task, seed) for seed in (3, 3, 4))
    assert plain.head is None
    for name, weight in plain.model.state_dict().items():
        assert torch.equal(weight, headed.model.state_dict()[name]), name
    ours, same, others = (torch.cat([w.flatten() for w in m.head.parameters()]) for m in (headed, again, other))
    assert torch.equal(ours, same)
    assert not torch.equal(ours, others)


def test_drawing_a_head_leaves_the_global_generator_alone(make_potential):
    potential = make_potential()
    before = torch.get_rng_state()
    fresh_head(ATOMS, potential, 0)
    assert torch.equal(torch.get_rng_state(), before)


@TASKS
def test_gradients_reach_body_and_head_and_not_the_readout(make_potential, pretraining, frames, task):
    module = PretrainModule(make_potential(), pretraining, task, seed=0)
    module.batch_loss(Batch.from_data_list(frames[:4]), 0, "train").backward()
    touched = {name for name, weight in module.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert {f"head.{name}" for name, _ in module.head.named_parameters()} <= touched
    assert {"model.embedding.species.weight", "model.layers.0.edge_mlp.1.weight"} <= touched
    assert all(weight.grad is None for weight in module.model.readout.parameters())


@TASKS
def test_a_fit_trains_body_and_head_and_leaves_the_readout_as_it_was(
    make_potential, make_data, pretraining, task, tmp_path
):
    """Weight decay included: what the pretext does not read is what training from scratch begins with."""
    module = PretrainModule(make_potential(), pretraining, task, seed=5)
    head = {name: weight.clone() for name, weight in module.head.state_dict().items()}
    curves = CurveRecorder()
    fit(module, make_data(tmp_path), pretraining, tmp_path, "cpu", lambda state: None, curves)
    fresh, trained = make_potential().state_dict(), module.model.state_dict()
    assert set(trained) == set(fresh)
    assert all(torch.equal(fresh[name], trained[name]) for name in fresh if name.startswith("readout."))
    assert not torch.equal(fresh["embedding.species.weight"], trained["embedding.species.weight"])
    assert any(not torch.equal(weight, head[name]) for name, weight in module.head.state_dict().items())
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert {name for name in saved if name.startswith("head.")} == {f"head.{name}" for name in head}
    losses = [row[5] for row in curves.rows if row[3:5] == ["val", "loss"]]
    assert len(losses) == pretraining.epochs
    assert losses[-1] < losses[0]


def test_a_head_answers_with_the_features_of_what_the_network_sees(make_potential, frames):
    potential, batch = make_potential(), Batch.from_data_list(frames[:3])
    task = Composition()
    corrupted = task.corrupt(batch, torch.Generator())
    seen = seen_by_network(corrupted, batch)
    assert "target" not in seen[4]
    head = fresh_head(task, potential, 1)
    found = answer(task, potential, head, seen, corrupted)
    features = potential.features(batch.z, batch.pos, batch.batch, batch.box, {})
    expected = torch.stack([head.linear(features[batch.batch == number].sum(0)) for number in range(3)])
    torch.testing.assert_close(found, expected)


def test_a_network_without_features_is_told(make_potential, monkeypatch):
    monkeypatch.setattr(EGNN, "feature_width", None)
    with pytest.raises(TypeError, match="EGNN offers no features for the head of composition"):
        fresh_head(Composition(), make_potential(), 0)
