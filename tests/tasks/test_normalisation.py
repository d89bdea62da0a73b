"""Reference energies and scale: round trip in float64, physics kept."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from tasks.normalisation import Normalisation


def sample(z, energy, force_scale=1.0, seed=0):
    forces = force_scale * torch.randn(len(z), 3, generator=torch.Generator().manual_seed(seed))
    return Data(
        z=torch.tensor(z),
        pos=torch.zeros(len(z), 3),
        y=torch.tensor([[energy]], dtype=torch.float64),
        neg_dy=forces,
    )


def test_reference_energies_of_mixed_compositions_are_found():
    hydrogen, oxygen = -13.6, -2041.3
    samples = [sample([8] * o + [1] * h, o * oxygen + h * hydrogen) for o, h in [(1, 2), (1, 1), (2, 3), (3, 1)]]
    fitted = Normalisation.fit(samples)
    assert fitted.reference_eV[1] == pytest.approx(hydrogen, abs=1e-8)
    assert fitted.reference_eV[8] == pytest.approx(oxygen, abs=1e-8)


def test_round_trip_keeps_millielectronvolts_of_huge_totals():
    """Total energies of 1e6 eV have no meV left in float32; the differences must survive."""
    energies = [-1_000_000.0 + 0.001 * i for i in range(5)]
    samples = [sample([8, 1, 1], e, 0.8, i) for i, e in enumerate(energies)]
    fitted = Normalisation.fit(samples)
    for original, energy in zip(samples, energies, strict=True):
        normalised = fitted.normalise(original)
        assert normalised.y.dtype == torch.float32
        assert float(fitted.energy_eV(normalised.y, original.z)) == pytest.approx(energy, abs=2e-6)
        back = normalised.neg_dy.double() * fitted.scale_eV
        torch.testing.assert_close(back, original.neg_dy.double(), rtol=1e-6, atol=1e-6)
        assert normalised.pos is original.pos, "what stays as it is takes no memory"
        assert original.y.dtype == torch.float64


def test_equal_compositions_leave_the_mean_as_reference():
    samples = [sample([8, 1, 1], e) for e in (1.0, 2.0, 6.0)]
    fitted = Normalisation.fit(samples)
    assert fitted.reference_energy(samples[0].z) == pytest.approx(3.0)


def test_scale_is_the_root_mean_square_of_the_forces():
    samples = [sample([8, 1, 1], 0.0, 2.5, seed) for seed in range(10)]
    stacked = torch.cat([s.neg_dy for s in samples]).double()
    assert Normalisation.fit(samples).scale_eV == pytest.approx(float(stacked.square().mean().sqrt()))


def test_forces_stay_the_gradient_of_the_energy():
    """One scale for both: E = k x² / 2 of a fake atom, normalised, still has F = -dE/dx."""
    fitted = Normalisation({1: 5.0}, 0.7)
    x, k, step = 0.3, 2.0, 1e-3
    force = fitted.normalise(Data(z=torch.tensor([1]), y=torch.tensor([[0.0]]), neg_dy=torch.tensor([[-k * x]])))
    values = []
    for place in (x + step, x - step):
        energy = torch.tensor([[5.0 + k * place**2 / 2]], dtype=torch.float64)
        values.append(fitted.normalise(Data(z=torch.tensor([1]), y=energy, neg_dy=torch.zeros(1, 1))).y.double())
    assert float(-(values[0] - values[1]) / (2 * step)) == pytest.approx(float(force.neg_dy), rel=1e-3)


@pytest.mark.parametrize("scale", [0.0, float("nan")])
def test_labels_that_cannot_set_a_scale_are_refused(scale):
    with pytest.raises(ValueError, match="scale"):
        Normalisation.fit([sample([8, 1, 1], 0.0, scale)])


def test_no_samples_are_refused_in_words():
    with pytest.raises(ValueError, match="at least one training sample"):
        Normalisation.fit([])


def test_scale_and_labels_are_computed_in_float64_and_left_in_float32():
    """Labels in float32 are taken as they are; what is subtracted from them, and sums of squares, are not rounded."""
    samples = [sample([8, 1, 1], -20_000.0, 3.7, seed) for seed in range(50)]
    for labelled in samples:
        labelled.y = labelled.y.float()
    components = torch.cat([s.neg_dy.flatten() for s in samples]).double()
    scale = float(components.square().sum() / components.numel()) ** 0.5
    assert Normalisation.fit(samples).scale_eV == pytest.approx(scale, rel=1e-13)
    normalised = Normalisation({1: -0.0004, 8: -20_000.0}, 1.0).normalise(samples[0])
    assert float(normalised.y) == pytest.approx(0.0008, rel=1e-6)
    assert normalised.y.dtype == normalised.neg_dy.dtype == torch.float32
