"""References against potentials of which they are, or are not, the exact answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from tasks import references
from tasks.internal_coordinates import InternalCoordinates
from tasks.references import Null, OneMolecule, fit_references, reference_errors

PEROXIDE = np.array([[0.0, 0.0, 0.0], [1.45, 0.0, 0.0], [-0.2, 0.95, 0.0], [1.65, 0.3, 0.9]])
BOND, ANGLE = 40.0, 3.0  # eV/Å², eV/rad²


def harmonic(pos, box=None):
    """Energy and forces of O, H, H, O, H, H, ...: k (r − r0)² / 2 and k (θ − θ0)² / 2, by automatic differentiation."""
    pos = pos.double().requires_grad_(True)
    vectors = [pos[i::3] - pos[0::3] for i in (1, 2)]
    if box is not None:
        vectors = [v - torch.round(v / box[0, 0, 0]) * box[0, 0, 0].double() for v in vectors]
    lengths = [v.norm(dim=1) for v in vectors]
    angle = torch.acos((vectors[0] * vectors[1]).sum(1) / lengths[0] / lengths[1])
    energy = sum(BOND * (r - 0.9572) ** 2 / 2 for r in lengths) + ANGLE * (angle - 1.8242) ** 2 / 2
    (gradient,) = torch.autograd.grad(energy.sum(), pos)
    return energy.sum().item(), -gradient


@pytest.fixture(scope="module")
def waters(water):
    """Twelve frames of periodic harmonic water, bent and stretched, with a reference energy for each molecule."""
    samples = []
    for seed in range(12):
        sample = water(6, seed=seed)
        sample.pos = sample.pos + 0.04 * torch.randn(18, 3, generator=torch.Generator().manual_seed(seed))
        energy, forces = harmonic(sample.pos, sample.box)
        sample.y = torch.tensor([[energy - 6 * 468.5]], dtype=torch.float64)
        sample.neg_dy = forces
        samples.append(sample)
    return samples


def test_a_harmonic_liquid_without_neighbours_is_reproduced(waters):
    one = OneMolecule.fit(waters[:8])
    found = reference_errors(one, waters[8:])
    assert found == pytest.approx(dict.fromkeys(found, 0.0), abs=1e-6)
    energy, forces = one.predict(waters[9])
    assert energy == pytest.approx(float(waters[9].y), abs=1e-9)
    np.testing.assert_allclose(forces, waters[9].neg_dy, atol=1e-9)


def test_forces_between_molecules_are_what_is_left(waters):
    """A push on each molecule as a whole does not enter the fit and is the whole error."""
    generator = torch.Generator().manual_seed(0)
    pushed, pushes = [], []
    for sample in waters:
        push = torch.randn(6, 3, generator=generator, dtype=torch.float64)
        other = sample.clone()
        other.neg_dy = sample.neg_dy + push.repeat_interleave(3, dim=0)
        pushed.append(other)
        pushes.append(push)
    one = OneMolecule.fit(pushed[:8])
    for sample, whole in zip(pushed[8:], waters[8:], strict=True):
        np.testing.assert_allclose(one.predict(sample)[1], whole.neg_dy, atol=1e-8)
    found = reference_errors(one, pushed[8:])
    rms = 1000 * float(torch.cat(pushes[8:]).square().mean().sqrt())
    assert found["force_rmse_mev_per_A"] == pytest.approx(rms)
    assert found["molecule_force_rmse_mev_per_A"] == pytest.approx(3 * rms)


def test_order_and_wrapping_of_atoms_do_not_matter(waters):
    one = OneMolecule.fit(waters)
    sample = waters[0]
    order = torch.randperm(18, generator=torch.Generator().manual_seed(1))
    moved = Data(
        z=sample.z[order],
        pos=((sample.pos + 3.7) % 8.0)[order],
        box=sample.box,
        molecule=sample.molecule[order],
    )
    np.testing.assert_allclose(one.predict(moved)[1], one.predict(sample)[1][order], atol=1e-4)  # float32 positions


def test_a_molecule_of_its_own_with_a_torsion():
    """Harmonic in its internal coordinates: bonds, angles, and the distance of the two hydrogens."""
    rng = np.random.default_rng(1)
    z = np.array([8, 8, 1, 1])
    coordinates = InternalCoordinates.find(z, PEROXIDE[None])
    rest, stiffness = coordinates.evaluate(PEROXIDE[None])[0], np.array([20.0, 30, 30, 1, 4, 4])
    samples = []
    for pos in PEROXIDE + 0.05 * rng.normal(size=(30, 4, 3)):
        values, gradients = coordinates.evaluate(pos[None])
        samples.append(
            Data(
                z=torch.tensor(z),
                pos=torch.tensor(pos),
                y=torch.tensor([[-4000 + float((stiffness * (values - rest) ** 2).sum()) / 2]], dtype=torch.float64),
                neg_dy=-torch.tensor(np.einsum("q,qni->ni", (stiffness * (values - rest))[0], gradients[0])),
                molecule=torch.zeros(4, dtype=torch.long),
            )
        )
    found = reference_errors(OneMolecule.fit(samples[:20]), samples[20:])
    assert found == pytest.approx(dict.fromkeys(found, 0.0), abs=1e-6)


def test_errors_are_the_same_however_many_frames_are_summed_at_once(waters, monkeypatch):
    """Frames of one molecule among them: they say nothing of what is between molecules."""
    samples = [waters[0], waters[1].subgraph(torch.arange(3)), *waters[2:5]]
    null, found = Null.fit(waters), []
    for together in (1, 2, 9):
        monkeypatch.setattr(references, "TOGETHER", together)
        found.append(reference_errors(null, samples))
    assert found[1] == pytest.approx(found[0], rel=1e-12)
    assert found[2] == pytest.approx(found[0], rel=1e-12)
    several = reference_errors(null, [samples[0], *samples[2:]])
    assert found[0]["molecule_force_rmse_mev_per_A"] == pytest.approx(several["molecule_force_rmse_mev_per_A"])


def test_null_is_the_spread_of_the_data(waters):
    train, test = waters[:8], waters[8:]
    found = reference_errors(Null.fit(train), test)
    forces = torch.cat([sample.neg_dy for sample in test])
    assert found["force_rmse_mev_per_A"] == pytest.approx(1000 * float(forces.square().mean().sqrt()))
    assert found["force_mae_mev_per_A"] == pytest.approx(1000 * float(forces.abs().mean()))
    mean = np.mean([float(sample.y) for sample in train])
    energies = np.array([float(sample.y) for sample in test])
    assert found["energy_bias_mev"] == pytest.approx(1000 * (mean - energies.mean()))
    assert found["energy_sd_mev"] == pytest.approx(1000 * energies.std())


def test_other_molecules_have_no_force_and_their_energy_is_a_reference(waters):
    """An ion among the waters, always in the same place: its energy is a constant."""
    mixed = []
    for number, sample in enumerate(waters):
        ions = 1 + number % 2
        mixed.append(
            Data(
                z=torch.cat([sample.z, torch.tensor([11] * ions)]),
                pos=torch.cat([sample.pos, torch.zeros(ions, 3)]),
                y=sample.y + 5.0 * ions,
                neg_dy=torch.cat([sample.neg_dy, torch.ones(ions, 3)]),
                molecule=torch.cat([sample.molecule, 6 + torch.arange(ions)]),
                box=sample.box,
            )
        )
    one = OneMolecule.fit(mixed[:8])
    assert list(one.kinds) == [(8, 1, 1)]
    energy, forces = one.predict(mixed[9])
    assert energy == pytest.approx(float(mixed[9].y))
    assert (forces[18:] == 0).all()
    np.testing.assert_allclose(forces[:18], waters[9].neg_dy, atol=1e-8)


def test_many_molecules_are_thinned(waters, monkeypatch):
    monkeypatch.setattr(references, "MOST_MOLECULES", 11)
    monkeypatch.setattr(references, "CHUNK", 4)
    used, fit = [], references.Springs.fit

    def counted(z, pos, forces):
        used.append(len(pos))
        return fit(z, pos, forces)

    monkeypatch.setattr(references.Springs, "fit", counted)
    found = reference_errors(OneMolecule.fit(waters[:8]), waters[8:])
    assert used == [10]  # every fifth of 48
    assert found["force_rmse_mev_per_A"] == pytest.approx(0, abs=1e-6)


def test_none_where_it_would_not_be_honest(waters, monkeypatch):
    assert set(fit_references(waters)) == {"null", "one molecule"}
    unknown = [sample.clone() for sample in waters]
    for sample in unknown:
        del sample.molecule
    assert set(fit_references(unknown)) == {"null"}
    # Two molecules: 18 force components for 6 parameters.
    few = [sample.subgraph(torch.arange(6)) for sample in waters[:1]]
    assert OneMolecule.fit(few) is None
    monkeypatch.setattr(references, "MOST_ATOMS", 2)
    assert OneMolecule.fit(waters) is None
