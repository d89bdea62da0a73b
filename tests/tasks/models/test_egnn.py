"""Physics of the EGNN potential, in float64."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

from tasks.models.base import MASK_LABEL
from tasks.models.egnn import EGNN, EGNNConfig

VARIANTS = [
    {"radial": "squared", "envelope": False},
    {"radial": "squared", "envelope": True},
    {"radial": "expnorm", "envelope": False},
    {"radial": "expnorm", "envelope": True},
]


@pytest.fixture(params=VARIANTS, ids=lambda v: f"{v['radial']}-{'envelope' if v['envelope'] else 'sharp'}")
def potential(request):
    torch.manual_seed(1)
    model = EGNN(EGNNConfig(hidden=12, layers=3, cutoff_A=3.0, **request.param)).double()
    # The initial coordinate updates are tiny; larger ones make the tests see them.
    for layer in model.layers:
        layer.coordinate_mlp[-1].weight.data.uniform_(-0.5, 0.5)
    return model.eval()


@pytest.fixture
def batch(water):
    """Two samples of different size in boxes of different size."""
    return Batch.from_data_list([water(8, 1, 7.0, torch.float64), water(5, 2, 8.0, torch.float64)])


def predict(model, batch, pos=None, **kwargs):
    pos = batch.pos if pos is None else pos
    return model(batch.z, pos.clone(), batch.batch, batch.box, **kwargs)


def test_shapes_and_the_effect_of_every_sample(potential, batch):
    energy, force = predict(potential, batch)
    assert energy.shape == (2, 1)
    assert force.shape == batch.pos.shape
    assert force.abs().max() > 1e-3


def test_forces_are_the_numerical_gradient(potential, batch):
    _, force = predict(potential, batch)
    step = 1e-5
    for atom, axis in [(0, 0), (4, 1), (10, 2), (25, 0), (38, 2)]:
        shift = torch.zeros_like(batch.pos)
        shift[atom, axis] = step
        above, below = (predict(potential, batch, batch.pos + sign * shift)[0].sum() for sign in (1, -1))
        assert float(-(above - below).detach() / (2 * step)) == pytest.approx(float(force[atom, axis]), abs=1e-6)


def test_total_force_of_a_sample_is_zero(potential, batch):
    _, force = predict(potential, batch)
    for sample in range(2):
        assert force[batch.batch == sample].sum(0).abs().max() < 1e-10


def test_translation_and_rewrapping_change_nothing(potential, batch):
    energy, force = predict(potential, batch)
    side = batch.box[:, 0, 0][batch.batch].unsqueeze(1)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(-2, 3, batch.pos.shape, generator=generator)
    moved = batch.pos + torch.tensor([0.3, -1.7, 5.0]) + images * side
    energy_moved, force_moved = predict(potential, batch, moved)
    torch.testing.assert_close(energy_moved, energy, rtol=0, atol=1e-9)
    torch.testing.assert_close(force_moved, force, rtol=0, atol=1e-9)


def test_rotation_turns_the_forces(potential, water, rotation):
    """A free cluster: a rotated cubic box is no cubic box."""
    sample = water(8, 3, 7.0, torch.float64)
    energy, force = potential(sample.z, sample.pos.clone())
    energy_turned, force_turned = potential(sample.z, sample.pos @ rotation.T)
    torch.testing.assert_close(energy_turned, energy, rtol=0, atol=1e-9)
    torch.testing.assert_close(force_turned, force @ rotation.T, rtol=0, atol=1e-9)
    shift, turned = (
        potential.coordinate_output(sample.z, pos, torch.zeros_like(sample.z), None, {})
        for pos in (sample.pos, sample.pos @ rotation.T)
    )
    assert shift.abs().max() > 1e-3
    torch.testing.assert_close(turned, shift @ rotation.T, rtol=0, atol=1e-9)


def test_permutation_permutes_the_forces(potential, water):
    sample = water(8, 4, 7.0, torch.float64)
    order = torch.randperm(sample.num_nodes, generator=torch.Generator().manual_seed(0))
    energy, force = potential(sample.z, sample.pos.clone(), box=sample.box)
    energy_permuted, force_permuted = potential(sample.z[order], sample.pos[order], box=sample.box)
    torch.testing.assert_close(energy_permuted, energy, rtol=0, atol=1e-9)
    torch.testing.assert_close(force_permuted, force[order], rtol=0, atol=1e-9)


def test_a_sample_does_not_depend_on_its_batch_mates(potential, batch):
    energy, force = predict(potential, batch)
    for number, sample in enumerate(batch.to_data_list()):
        alone = potential(sample.z, sample.pos.clone(), box=sample.box)
        torch.testing.assert_close(alone[0], energy[number : number + 1], rtol=0, atol=1e-9)
        torch.testing.assert_close(alone[1], force[batch.batch == number], rtol=0, atol=1e-9)


def test_envelope_is_smooth_where_an_atom_crosses_the_cutoff():
    """Without the envelope the energy jumps; with it neither energy nor force does."""
    z = torch.tensor([8, 1, 1])

    def jump(envelope):
        torch.manual_seed(0)
        model = EGNN(EGNNConfig(hidden=12, layers=2, cutoff_A=3.0, envelope=envelope)).double().eval()
        results = []
        for r in (3.0 - 1e-6, 3.0 + 1e-6):
            pos = torch.tensor([[0, 0, 0], [1.0, 0, 0], [0, r, 0]], dtype=torch.float64)
            results.append(model(z, pos))
        (e1, f1), (e2, f2) = results
        return float((e1 - e2).abs()), float((f1 - f2).abs().max())

    assert max(jump(True)) < 1e-5
    assert jump(False)[0] > 1e-3


def test_mask_label_zero_is_no_label_and_label_one_is_seen(potential, batch):
    plain = predict(potential, batch)[0]
    labels = torch.zeros_like(batch.z)
    torch.testing.assert_close(predict(potential, batch, extra_args={MASK_LABEL: labels})[0], plain)
    labels[0] = 1
    assert (predict(potential, batch, extra_args={MASK_LABEL: labels})[0][0] - plain[0]).abs() > 1e-6


def test_label_zero_stays_zero_under_training(batch):
    model = EGNN(EGNNConfig(hidden=8, layers=1))
    single = batch.pos.float()
    energy, _ = model(
        batch.z, single, batch.batch, batch.box.float(), extra_args={MASK_LABEL: torch.zeros_like(batch.z)}
    )
    energy.sum().backward()
    assert model.embedding.mask.weight.grad[0].abs().max() == 0
    assert model.embedding.mask.weight[0].abs().max() == 0


def test_the_papers_shape():
    model = EGNN(EGNNConfig())
    assert len(model.layers) == 5
    assert model.config.hidden == 128
    assert model.config.cutoff_A == 3.4
    assert model.config.radial == "squared"


def test_too_many_neighbours_is_an_error_and_no_truncation(batch):
    model = EGNN(EGNNConfig(hidden=4, layers=1, max_neighbors=1)).double()
    with pytest.raises(RuntimeError, match="max_num_pairs"):
        predict(model, batch)
