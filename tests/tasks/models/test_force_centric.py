"""What is GNS's and ForceNet's own: the pooled energy, positions as features, spherical harmonics, species."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from e3nn.o3 import spherical_harmonics
from scipy.special import sph_harm_y
from scipy.stats import truncnorm

from tasks.models.base import MASK_LABEL
from tasks.models.elements import PROPERTIES, covalent_radii_A, element_properties, element_table
from tasks.models.forcenet import ForceNet, SineBasis
from tasks.models.gns import GNS
from tasks.options.models import ForceNetConfig, GNSConfig
from tests.tasks.models.conftest import build, predict

FORCE_CENTRIC = ["gns", "gns-basis", "forcenet"]


@pytest.mark.parametrize("case", FORCE_CENTRIC)
def test_energy_is_extensive(case, water):
    """Two boxes side by side have twice the energy and the same forces."""
    sample, potential = water(8, 1, 7.0, torch.float64), build(case)
    energy, force = potential(sample.z, sample.pos, box=sample.box)
    box = sample.box.clone()
    box[0, 0, 0] *= 2
    pos = torch.cat([sample.pos, sample.pos + torch.tensor([7.0, 0, 0])])
    twice, forces = potential(sample.z.repeat(2), pos, box=box)
    assert energy.abs().item() > 1e-3
    torch.testing.assert_close(twice, 2 * energy)
    torch.testing.assert_close(forces, force.repeat(2, 1))


@pytest.mark.parametrize("potential", [GNS(GNSConfig(hidden=8)), ForceNet(ForceNetConfig(hidden=8))])
def test_an_untrained_energy_is_the_reference(potential, water):
    sample = water(8, 1, 8.0)
    assert potential(sample.z, sample.pos, box=sample.box)[0].item() == 0


def test_the_papers_shapes():
    gns, forcenet = GNSConfig(), ForceNetConfig()
    assert (gns.layers, gns.hidden, gns.cutoff_A, gns.radial, gns.absolute_positions) == (
        10,
        128,
        3.4,
        "distance",
        False,
    )
    assert (forcenet.layers, forcenet.hidden, forcenet.frequencies, forcenet.species) == (5, 128, 50, "correct")
    model = GNS(GNSConfig(hidden=8))
    assert [type(m).__name__ for m in model.edge_encoder] == ["Linear", "ReLU"] * 2 + ["Linear", "LayerNorm"]
    assert [type(m).__name__ for m in model.decoder] == ["Linear", "ReLU"] * 2 + ["Linear"]
    assert model.edge_encoder[0].in_features == 4
    # 3 degrees are 1 + 3 + 5 harmonics, times four lengths.
    assert ForceNet(ForceNetConfig(hidden=8)).layers[0].edge_input.edge.in_features == 9 * 4


def test_absolute_positions_are_wrapped(water):
    """Where positions are features a translation matters, but not one by a whole box."""
    sample, potential = water(8, 1, 7.0, torch.float64), build("gns-absolute")
    force = potential(sample.z, sample.pos, box=sample.box)[1]
    torch.testing.assert_close(potential(sample.z, sample.pos + 7.0, box=sample.box)[1], force)
    assert (potential(sample.z, sample.pos + 0.5, box=sample.box)[1] - force).abs().max() > 1e-3


def test_all_oxygen_tells_no_species_apart_and_correct_does(batch):
    other = batch.clone()
    other.z = other.z.flip(0)
    assert not torch.equal(other.z, batch.z)
    blind, seeing = build("forcenet-all-oxygen"), build("forcenet")
    torch.testing.assert_close(predict(blind, other), predict(blind, batch), rtol=0, atol=0)
    assert (predict(seeing, other)[1] - predict(seeing, batch)[1]).abs().max() > 1e-3


def test_spherical_harmonics_are_those_of_scipy():
    """The library's first nine span the same spaces: sums over m of products are Legendre polynomials."""
    generator = np.random.default_rng(0)
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in generator.normal(size=(2, 20, 3)))

    def scipy_harmonics(v, degree):
        theta, phi = np.arccos(v[:, 2]), np.arctan2(v[:, 1], v[:, 0])
        return np.stack([sph_harm_y(degree, m, theta, phi) for m in range(-degree, degree + 1)], axis=1)

    for degree in range(3):
        expected = (scipy_harmonics(a, degree) * scipy_harmonics(b, degree).conj()).sum(1).real
        ours = [
            spherical_harmonics(degree, torch.tensor(v), normalize=True, normalization="integral").numpy()
            for v in (a, b)
        ]
        np.testing.assert_allclose((ours[0] * ours[1]).sum(1), expected, atol=1e-6)


def test_forcenets_edge_basis_and_layer_against_their_formulas():
    """One edge O -> H by hand: harmonics times learned functions of four lengths; a message, a self term, an MLP."""
    torch.manual_seed(0)
    model = ForceNet(ForceNetConfig(hidden=6, layers=1, frequencies=5)).double().eval()
    z, vector = torch.tensor([8, 1]), torch.tensor([[0.6, -0.5, 1.1]], dtype=torch.float64)
    receiver, sender = torch.tensor([0]), torch.tensor([1])
    distance = vector.norm(dim=1)
    basis = model._edge_basis(z, receiver, sender, distance, vector)
    r, oxygen, hydrogen = float(distance), 0.63, 0.32
    lengths = [max(x / 3.4, 1e-3) for x in (r, r - oxygen, r - hydrogen, r - oxygen - hydrogen)]
    sines = torch.tensor([[np.sin(1.1**k * x) for x in lengths for k in range(5)]], dtype=torch.float64)
    radial = model.lengths(sines)
    harmonics = spherical_harmonics([0, 1, 2], vector, normalize=True, normalization="integral")
    torch.testing.assert_close(basis, torch.einsum("eh,el->ehl", harmonics, radial).flatten(1), rtol=0, atol=1e-6)

    layer, h = model.layers[0], torch.randn(2, 6, dtype=torch.float64)
    weight = torch.tensor([[0.7]], dtype=torch.float64)
    x = layer.linear(h)
    edge = layer.edge_input
    hidden = edge.receiver(h[:1]) + edge.sender(h[1:]) + edge.edge(basis)
    total = layer.self_weight * x
    total[0] += 0.7 * layer.filter(hidden)[0] * x[1]
    torch.testing.assert_close(layer(h, basis, weight, receiver, sender), h + layer.node_mlp(total))


def test_sine_basis_against_its_formula():
    basis = SineBasis(3)(torch.tensor([[0.5, 2.0]]))
    expected = [np.sin(1.1**k * x) for x in (0.5, 2.0) for k in range(3)]
    assert basis.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_element_properties_are_known_values_scaled_to_one():
    table = element_table()
    hydrogen, oxygen = table.loc[1], table.loc[8]
    assert (oxygen["group"], oxygen["period"], oxygen["valence_electrons"], oxygen["block"]) == (16, 2, 6, 1)
    assert (hydrogen["group"], hydrogen["valence_electrons"], hydrogen["block"]) == (1, 1, 0)
    assert (hydrogen["electronegativity"], oxygen["electronegativity"]) == (2.20, 3.44)
    assert oxygen["ionization_energy"] == pytest.approx(13.618, abs=1e-3)
    assert oxygen["electron_affinity"] == pytest.approx(1.461, abs=1e-3)
    radii = covalent_radii_A(10)
    assert radii[[0, 1, 8]].tolist() == pytest.approx([0, 0.32, 0.63])
    scaled = element_properties(100)
    assert scaled.shape == (100, len(PROPERTIES))
    assert (scaled.amin(0).tolist(), scaled.amax(0).tolist()) == ([0.0] * 9, [1.0] * 9)
    assert scaled.isfinite().all()
    assert (scaled[1] - scaled[8]).abs().max() > 0.5


def test_torchmdnets_second_species_copy_starts_as_the_species(batch):
    """So a label says nothing before it was learned, as a mask embedding of zero would."""
    potential = build("tensornet")
    labels = torch.ones_like(batch.z)
    plain = predict(potential, batch)
    torch.testing.assert_close(predict(potential, batch, extra_args={MASK_LABEL: labels}), plain, rtol=0, atol=0)


@pytest.mark.parametrize("max_z", [2, 10, 100])
def test_tables_of_the_elements_end_with_the_last_one(max_z):
    """Radii are Pyykkö's, in Å; properties are scaled over the elements that there are, the last one included."""
    table = element_table().iloc[: max_z - 1]
    assert covalent_radii_A(max_z).tolist() == pytest.approx([0, *table["covalent_radius"]])
    assert covalent_radii_A(10)[9] == pytest.approx(0.64)
    period = table["period"]
    span = period.max() - period.min() or 1
    scaled = element_properties(max_z)[:, PROPERTIES.index("period")]
    assert scaled.tolist() == pytest.approx([0, *((period - period.min()) / span)])


def test_fluorine_is_the_most_electronegative_of_the_first_nine():
    """And lithium the least: hydrogen's 2.20 lies between 0.98 and 3.98."""
    column = element_properties(10)[:, PROPERTIES.index("electronegativity")]
    assert column[[3, 9]].tolist() == [0, 1]
    assert column[1] == pytest.approx((2.20 - 0.98) / (3.98 - 0.98))


def test_weights_of_gns_are_drawn_from_a_normal_distribution_cut_at_two_widths():
    """Over √inputs, as Sonnet draws them. Of a million the sd is known to 0.07 %; without a width torch takes 1."""
    torch.manual_seed(0)
    model = GNS(GNSConfig())
    maps = [
        m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and not name.startswith("energy.mlp.2")
    ]
    assert not any(m.bias.any() for m in maps if m.bias is not None)
    drawn = torch.cat([(m.weight * m.in_features**0.5).flatten() for m in maps]).detach().double()
    assert len(drawn) > 900_000
    cut = truncnorm(-2, 2)
    assert float(drawn.std()) == pytest.approx(cut.std(), rel=0.004)
    assert float(drawn.mean()) == pytest.approx(0, abs=0.005)
    assert float(drawn.abs().max()) <= 2 + 1e-6
    for sign in (1, -1):
        assert float((sign * drawn).max()) > 1.99
        assert float((sign * drawn > 1).double().mean()) == pytest.approx(cut.sf(1), rel=0.02)
    for first in (model.node_encoder[0], model.edge_encoder[0]):
        assert first.weight.abs().max() * first.in_features**0.5 <= 2 + 1e-6
