"""What is EGNN's own: no net force, the coordinate head, the envelope, the mask embedding, the paper's shape."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from tasks.models.egnn import EGNN
from tasks.options.models import EGNNConfig
from tests.tasks.models.conftest import build, predict


@pytest.mark.parametrize("case", ["egnn", "egnn-envelope", "egnn-basis"])
def test_total_force_of_a_sample_is_zero(case, batch):
    _, force = predict(build(case), batch)
    for sample in range(2):
        assert force[batch.batch == sample].sum(0).abs().max() < 1e-10


@pytest.mark.parametrize("case", ["egnn", "egnn-envelope", "egnn-basis"])
def test_rotation_turns_the_coordinate_output(case, water, rotation):
    sample, potential = water(8, 3, 7.0, torch.float64), build(case)
    shift, turned = (
        potential.vectors("coordinate", sample.z, pos, torch.zeros_like(sample.z), None, {})
        for pos in (sample.pos, sample.pos @ rotation.T)
    )
    assert shift.abs().max() > 1e-3
    torch.testing.assert_close(turned, shift @ rotation.T, rtol=0, atol=1e-9)


def test_envelope_is_smooth_where_an_atom_crosses_the_cutoff():
    """Without the envelope the energy jumps; with it neither energy nor force does."""
    z = torch.tensor([8, 1, 1])

    def jump(envelope):
        torch.manual_seed(0)
        model = EGNN(EGNNConfig(hidden=12, layers=2, cutoff_A=3.0, envelope=envelope)).double().eval()
        results = []
        for r in (3.0 - 1e-6, 3.0 + 1e-6):
            pos = torch.tensor([[0, 0, 0], [1.0, 0, 0], [0, r, 0]], dtype=torch.float64)
            results.append([value.detach() for value in model(z, pos)])
        (e1, f1), (e2, f2) = results
        return float((e1 - e2).abs()), float((f1 - f2).abs().max())

    assert max(jump(True)) < 1e-5
    assert jump(False)[0] > 1e-3


def test_the_radial_scale_is_a_factor_on_the_first_layers_weight_of_squared_distances(water):
    sample = water(4, 3, 7.0, torch.float64)
    torch.manual_seed(0)
    scaled = EGNN(EGNNConfig(hidden=6, layers=2, radial_scale=3, envelope=True)).double()
    plain = EGNN(EGNNConfig(hidden=6, layers=2, envelope=True)).double()
    plain.load_state_dict(scaled.state_dict())
    for layer in plain.layers:
        layer.edge_input.edge.weight.data *= 3
    for one, other in zip(scaled(sample.z, sample.pos), plain(sample.z, sample.pos), strict=True):
        torch.testing.assert_close(one, other)
    assert "radial_scale" not in EGNNConfig().model_dump()
    with pytest.raises(ValidationError, match="with radial expnorm leave it out"):
        EGNNConfig(radial="expnorm", radial_scale=2)


def test_the_papers_shape():
    model = EGNN(EGNNConfig())
    assert len(model.layers) == 5
    assert model.config.hidden == 128
    assert model.config.cutoff_A == 3.4
    assert model.config.radial == "squared"


def test_a_readout_that_starts_at_zero_predicts_nothing_and_learns(batch):
    model = EGNN(EGNNConfig(hidden=12, layers=2, cutoff_A=3.0, readout_zero=True)).double()
    energy, force = model(batch.z, batch.pos.clone(), batch.batch, batch.box)
    assert not energy.any()
    assert not force.any()
    torch.manual_seed(0)
    plain = EGNN(EGNNConfig(hidden=12, layers=2, cutoff_A=3.0)).state_dict()
    torch.manual_seed(0)
    zero = EGNN(EGNNConfig(hidden=12, layers=2, cutoff_A=3.0, readout_zero=True)).state_dict()
    assert {name for name in plain if not torch.equal(plain[name], zero[name])} == {
        "readout.2.weight", "readout.2.bias",
    }  # fmt: skip
    (energy - 1).square().sum().backward()
    assert model.readout[-1].weight.grad.abs().max() > 0


def test_the_basis_without_its_cosine_is_the_basis_divided_by_it():
    """Gaussians of exp(−r) that do not vanish at the cutoff."""
    config = {"hidden": 12, "layers": 1, "cutoff_A": 3.0}
    carrying, bare = (EGNN(EGNNConfig(radial=radial, **config)) for radial in ("expnorm", "expnorm-bare"))
    r = torch.linspace(0.5, 2.9, 25)
    cosine = 0.5 * (torch.cos(r * torch.pi / 3.0) + 1)
    torch.testing.assert_close(bare.basis(r) * cosine.unsqueeze(1), carrying.basis(r))
    edge = torch.tensor([3.0 - 1e-4])
    assert float(carrying.basis(edge).max()) < 1e-6
    assert float(bare.basis(edge).max()) > 0.1


@pytest.mark.parametrize("scale", [0.5, 2.0, 3.0])
def test_the_scale_of_r_squared_is_a_factor_on_what_the_messages_see(batch, scale):
    """The same as weights of that input so many times as large; 1 is no part of keys."""
    torch.manual_seed(0)
    scaled = EGNN(EGNNConfig(hidden=12, layers=2, cutoff_A=3.0, radial_scale=scale)).double().eval()
    plain = EGNN(EGNNConfig(hidden=12, layers=2, cutoff_A=3.0)).double().eval()
    plain.load_state_dict(scaled.state_dict())
    for layer in plain.layers:
        layer.edge_input.edge.weight.data *= scale
    for one, other in zip(predict(scaled, batch), predict(plain, batch), strict=True):
        torch.testing.assert_close(one, other)
    assert not {"readout_zero", "radial_scale"} & EGNNConfig().model_dump().keys()
