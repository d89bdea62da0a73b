"""Each network of the suite against a plain one written from its paper's equations: in float64, to 1e-8."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator
from torch_geometric.data import Batch, Data

from performance.plain.basis import ExpNormal, spherical_harmonics
from performance.plain.weights import plain_of, translate
from tasks.models.base import MASK_LABEL, MaskEmbedding
from tasks.registry import MODELS
from tests.tasks.conftest import make_water

CASES = {
    "egnn": ("egnn", {}),
    "egnn-envelope": ("egnn", {"envelope": True}),
    "egnn-norm": ("egnn", {"readout_norm": True}),
    "egnn-basis": ("egnn", {"radial": "expnorm", "num_rbf": 7, "envelope": True}),
    "gns": ("gns", {"layers": 3}),
    "gns-basis": ("gns", {"radial": "expnorm", "num_rbf": 7}),
    "gns-absolute": ("gns", {"absolute_positions": True}),
    "forcenet": ("forcenet", {"frequencies": 6}),
    "forcenet-flat": ("forcenet", {"frequencies": 4, "degrees": 2}),
    "forcenet-all-oxygen": ("forcenet", {"frequencies": 6, "species": "all-oxygen"}),
}
"""Name to kind and options: all that change what is computed."""


def build(case):
    """The suite's network in float64 with weights none of which is small, in training."""
    kind, options = CASES[case]
    cls = MODELS.get(kind)
    torch.manual_seed(3)
    network = cls(cls.Config(**{"cutoff_A": 3.2, "hidden": 8, "layers": 2, **options})).double().train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        for module in network.modules():
            if isinstance(module, MaskEmbedding):
                module.weight[0] = 0
    return kind, network


def structures(sort):
    """Samples of different sizes: in cubic boxes, in a triclinic one, or free."""
    samples = [make_water(n, n, side, torch.float64) for n, side in ((8, 7.0), (3, 6.5), (11, 8.0))]
    if sort == "triclinic":
        samples[1].box = torch.tensor([[[6.6, 0.0, 0.0], [1.2, 6.9, 0.0], [-0.8, 1.5, 7.1]]], dtype=torch.float64)
    batch = Batch.from_data_list(samples)
    if sort == "free":
        del batch.box
    batch.mask_label = torch.randint(0, 2, batch.z.shape, generator=Generator().manual_seed(1))
    return batch


def compare(ours, plain):
    for one, other in zip(ours, plain, strict=True):
        assert one.detach().abs().max() > 1e-3
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def loss(values, batch):
    """Errors against made-up labels."""
    draw = Generator().manual_seed(5)
    labels = [torch.randn(value.shape, generator=draw, dtype=torch.float64) for value in values]
    return sum((value - label).square().mean() for value, label in zip(values, labels, strict=True))


def gradients(network):
    return {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize(
    ("case", "sort"),
    [*((case, "cubic") for case in CASES)]
    + [(case, sort) for case in ("egnn", "gns-absolute", "forcenet") for sort in ("triclinic", "free")],
)
def test_energies_forces_and_gradients_of_the_weights_are_those_of_the_plain_network(case, sort):
    kind, network = build(case)
    plain = plain_of(kind, network, network.config)
    batch = structures(sort)
    box = batch.box if "box" in batch else None
    labels = {} if sort == "triclinic" else {MASK_LABEL: batch.mask_label}
    ours = network(batch.z, batch.pos.clone(), batch.batch, box, extra_args=labels)
    theirs = plain(batch.z, batch.pos, batch.batch, box, labels.get(MASK_LABEL))
    compare(ours, theirs)
    loss(ours, batch).backward()
    loss(theirs, batch).backward()
    expected, found = gradients(plain), translate(kind, gradients(network))
    if not labels:
        found.pop("mask", None)  # of an embedding that was not asked for
        expected.pop("mask", None)
    # The last coordinate update has no part in the energy.
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-8, atol=1e-8, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("case", ["egnn", "gns", "forcenet"])
def test_in_evaluation(case):
    """Batch norms then have their running means."""
    kind, network = build(case)
    plain = plain_of(kind, network.eval(), network.config)
    batch = structures("cubic")
    ours = network(batch.z, batch.pos.clone(), batch.batch, batch.box)
    compare(ours, plain(batch.z, batch.pos, batch.batch, batch.box))


@pytest.mark.parametrize("case", ["egnn", "egnn-envelope", "egnn-basis"])
def test_the_coordinate_output(case):
    """With the gradients of the coordinate MLPs, the last one's too."""
    kind, network = build(case)
    plain = plain_of(kind, network, network.config)
    batch = structures("cubic")
    ours = network.coordinate_output(batch.z, batch.pos, batch.batch, batch.box, {MASK_LABEL: batch.mask_label})
    theirs = plain.displacements(batch.z, batch.pos, batch.batch, batch.box, batch.mask_label)
    compare([ours], [theirs])
    loss([ours], batch).backward()
    loss([theirs], batch).backward()
    found = translate(kind, gradients(network))
    expected = gradients(plain)
    assert "layers.1.phi_x.2.weight" in expected
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-8, atol=1e-8)


def test_an_atom_without_neighbours():
    for case in ("egnn", "egnn-envelope", "gns", "forcenet"):
        kind, network = build(case)
        lonely = Batch.from_data_list(
            [Data(z=torch.tensor([8, 1, 1]), pos=torch.tensor([[0.0, 0, 0], [1, 0, 0], [50, 0, 0]]).double())]
        )
        plain = plain_of(kind, network.eval(), network.config)
        ours = network(lonely.z, lonely.pos.clone(), lonely.batch, None)
        compare(ours, plain(lonely.z, lonely.pos, lonely.batch, None))


def test_constants_of_the_exponential_normal_basis_follow_from_the_equation():
    """They are taken over with the weights; that these have the right ones is seen here."""
    _, network = build("gns-basis")
    basis = ExpNormal(3.2, 7)
    torch.testing.assert_close(network.basis.means.float(), basis.mu)
    torch.testing.assert_close(network.basis.betas.float(), basis.beta)


def test_spherical_harmonics_are_orthonormal_on_the_sphere():
    """By Gauss-Legendre quadrature in the polar angle and a uniform one around the axis, exact for degree 4."""
    nodes, weights = np.polynomial.legendre.leggauss(5)
    angle = np.arange(10) * 2 * np.pi / 10
    y, phi = np.meshgrid(nodes, angle, indexing="ij")
    sine = np.sqrt(1 - y**2)
    points = torch.tensor(np.stack([sine * np.sin(phi), y, sine * np.cos(phi)], axis=-1).reshape(-1, 3))
    weight = torch.tensor(np.repeat(weights * 2 * np.pi / 10, 10))
    values = spherical_harmonics(points, 3)
    torch.testing.assert_close(values.T @ (weight[:, None] * values), torch.eye(9, dtype=torch.float64))
