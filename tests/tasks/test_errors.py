"""Errors against NumPy; net forces and torques against mechanics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.data import atomic_masses
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from tasks.errors import WAITING, ErrorSums, net_forces_and_torques


def frame(seed, molecules):
    generator = torch.Generator().manual_seed(seed)
    atoms = 3 * molecules
    return Data(
        z=torch.tensor([8, 1, 1]).repeat(molecules),
        pos=10 * torch.rand(atoms, 3, generator=generator),
        y=torch.randn(1, 1, generator=generator),
        neg_dy=torch.randn(atoms, 3, generator=generator),
        molecule=torch.arange(molecules).repeat_interleave(3),
    )


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=9),
    batch_size=st.integers(1, 5),
    scale=st.floats(0.01, 10),
    seed=st.integers(0, 99),
)
def test_uneven_batches_against_numpy(sizes, batch_size, scale, seed):
    rng = np.random.default_rng(seed)
    sums = ErrorSums(scale, molecules=True)
    force_errors, energy_errors, per_atom, nets = [], [], [], []
    for batch in DataLoader([frame(seed + i, n) for i, n in enumerate(sizes)], batch_size=batch_size):
        force = torch.tensor(rng.normal(size=batch.neg_dy.shape), dtype=torch.float32)
        energy = torch.tensor(rng.normal(size=batch.y.shape), dtype=torch.float32)
        sums.update(energy, force, batch)
        error = (force - batch.neg_dy).double().numpy()
        force_errors.append(error.ravel())
        molecules = batch.ptr.diff().numpy() // 3  # three atoms in a row are a molecule
        several = np.repeat(molecules > 1, molecules)
        if several.any():
            nets.append(error.reshape(-1, 3, 3).sum(axis=1)[several].ravel())
        energy_errors.append((energy - batch.y).double().numpy().ravel())
        per_atom.append(energy_errors[-1] / np.bincount(batch.batch.numpy()))
    f, e, a = (1000 * scale * np.concatenate(x) for x in (force_errors, energy_errors, per_atom))
    found = sums.compute()
    between = {name: found.pop(name) for name in list(found) if name.startswith("molecule")}
    assert bool(between) == bool(nets)
    if nets:
        net = 1000 * scale * np.concatenate(nets)
        assert between["molecule_force_rmse_mev_per_A"] == pytest.approx(np.sqrt(np.mean(net**2)), rel=1e-5)
        assert between["molecule_torque_rmse_mev"] > 0
    expected = {
        "force_rmse_mev_per_A": np.sqrt(np.mean(f**2)),
        "force_mae_mev_per_A": np.mean(abs(f)),
        "energy_rmse_mev": np.sqrt(np.mean(e**2)),
        "energy_mae_mev": np.mean(abs(e)),
        "energy_sd_mev": np.std(e),
        "energy_bias_mev": np.mean(e),
        "energy_rmse_mev_per_atom": np.sqrt(np.mean(a**2)),
        "energy_mae_mev_per_atom": np.mean(abs(a)),
        "energy_sd_mev_per_atom": np.std(a),
        "energy_bias_mev_per_atom": np.mean(a),
    }
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_a_constant_is_taken_from_the_spread_and_from_nothing_else():
    batch = Batch.from_data_list([frame(seed, 2) for seed in range(4)])
    shape = torch.tensor([[0.001], [-0.001], [0.002], [-0.002]], dtype=torch.float64)
    sums = ErrorSums(1.0)
    sums.update(batch.y.double() + shape - 2.89, batch.neg_dy, batch)
    found = sums.compute()
    assert found["energy_bias_mev"] == pytest.approx(-2890)
    assert found["energy_sd_mev"] == pytest.approx(np.sqrt(2.5))
    assert found["energy_rmse_mev"] ** 2 == pytest.approx(2890**2 + 2.5)
    assert found["energy_bias_mev_per_atom"] == pytest.approx(-2890 / 6)
    assert found["force_rmse_mev_per_A"] == 0
    assert "molecule_force_rmse_mev_per_A" not in found


def test_samples_that_do_not_know_their_molecules_leave_them_out():
    sample = frame(0, 1)
    del sample.molecule
    sums = ErrorSums(1.0, molecules=True)
    sums.update(sample.y, sample.neg_dy, Batch.from_data_list([sample]))
    assert not [name for name in sums.compute() if name.startswith("molecule")]


def test_a_frame_of_one_molecule_has_no_forces_between_molecules():
    sample = frame(0, 1)
    sums = ErrorSums(1.0, molecules=True)
    sums.update(sample.y, 2 * sample.neg_dy, Batch.from_data_list([sample]))
    assert not [name for name in sums.compute() if name.startswith("molecule")]


def test_mechanics_of_one_molecule():
    """Mass times acceleration is a net force without torque; a couple is a torque without net force."""
    pos = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    batch = Batch.from_data_list([Data(z=torch.tensor([8, 1, 1]), pos=pos, molecule=torch.zeros(3, dtype=torch.long))])
    mass = torch.tensor(atomic_masses[[8, 1, 1]]).unsqueeze(1)
    force, torque, _ = net_forces_and_torques(mass * torch.tensor([[0.1, -0.2, 0.3]]), batch)
    torch.testing.assert_close(force, mass.sum() * torch.tensor([[0.1, -0.2, 0.3]], dtype=torch.float64))
    torch.testing.assert_close(torque, torch.zeros(1, 3, dtype=torch.float64), atol=1e-12, rtol=0)
    couple = torch.tensor([[0.0, 0.0, -2.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    force, torque, _ = net_forces_and_torques(couple, batch)
    torch.testing.assert_close(force, torch.zeros(1, 3, dtype=torch.float64))
    torch.testing.assert_close(torque, torch.tensor([[0.0, -2.0, 0.0]], dtype=torch.float64))  # x × 2 z


def test_forces_within_molecules_do_neither(water):
    """Pair forces along the line between two atoms of a molecule that the border of the box cuts."""
    sample = water(5, seed=3)
    vector = sample.pos[1::3] - sample.pos[0::3]
    vector -= 8.0 * torch.round(vector / 8.0)
    force = torch.zeros_like(sample.pos)
    force[0::3], force[1::3] = -vector, vector
    for values in net_forces_and_torques(force, Batch.from_data_list([sample]))[:2]:
        torch.testing.assert_close(values, torch.zeros(5, 3, dtype=torch.float64), atol=2e-6, rtol=0)


def test_order_of_atoms_batching_wrapping_and_place_do_not_matter(water, rotation):
    samples = [water(4, seed=1), water(3, seed=2)]
    expected = [net_forces_and_torques(s.neg_dy, Batch.from_data_list([s])) for s in samples]
    moved = []
    for sample in samples:
        order = torch.randperm(sample.num_nodes, generator=torch.Generator().manual_seed(0))
        moved.append(
            Data(
                z=sample.z[order],
                pos=((sample.pos + torch.tensor([1.3, -0.4, 9.0])) % 8.0)[order],
                neg_dy=sample.neg_dy[order],
                molecule=sample.molecule[order],
                box=sample.box,
            )
        )
    batch = Batch.from_data_list(moved)
    force, torque, sample_of = net_forces_and_torques(batch.neg_dy, batch)
    torch.testing.assert_close(force, torch.cat([f for f, _, _ in expected]))
    torch.testing.assert_close(torque, torch.cat([t for _, t, _ in expected]), atol=1e-5, rtol=1e-5)
    assert sample_of.tolist() == [0, 0, 0, 0, 1, 1, 1]
    alone = frame(7, 2)
    turned = Data(z=alone.z, pos=(alone.pos.double() @ rotation.T), molecule=alone.molecule)
    torques = [
        net_forces_and_torques(f, Batch.from_data_list([s]))[1]
        for s, f in ((alone, alone.neg_dy.double()), (turned, alone.neg_dy.double() @ rotation.T))
    ]
    torch.testing.assert_close(torques[1], torques[0] @ rotation.T)


def test_what_waits_to_be_summed_holds_no_graph():
    """It would keep the memory of up to 64 training steps."""
    (batch,) = DataLoader([frame(seed, 2) for seed in range(3)], batch_size=3)
    sums = ErrorSums(0.7)
    sums.update(batch.y.clone().requires_grad_(), batch.neg_dy.clone().requires_grad_(), batch)
    assert not any(part.requires_grad for parts in sums._waiting for part in parts)


def test_many_batches_are_summed_in_float64_and_few_of_them_wait():
    sums, errors = ErrorSums(1.0), []
    frames = [frame(seed, 1) for seed in range(2 * WAITING + 5)]
    for sample in frames:
        (batch,) = DataLoader([sample], batch_size=1)
        force, energy = 1e3 + batch.neg_dy, 1e3 + batch.y
        sums.update(energy, force, batch)
        errors.append((force - batch.neg_dy, energy - batch.y))
    assert len(sums._waiting) == 5
    off, wrong = (torch.cat(parts).double().numpy() for parts in zip(*errors, strict=True))
    for _ in range(2):
        found = sums.compute()
        assert found["force_rmse_mev_per_A"] == pytest.approx(1000 * np.sqrt(np.mean(off**2)), rel=1e-13)
        assert found["force_mae_mev_per_A"] == pytest.approx(1000 * np.mean(np.abs(off)), rel=1e-13)
        assert found["energy_rmse_mev"] == pytest.approx(1000 * np.sqrt(np.mean(wrong**2)), rel=1e-13)
        assert found["energy_mae_mev_per_atom"] == pytest.approx(1000 * np.mean(np.abs(wrong / 3)), rel=1e-13)


def test_errors_of_molecules_are_those_of_their_net_forces_and_torques_where_there_are_several():
    sums, nets = ErrorSums(0.7, molecules=True), []
    for size, seed in ((2, 0), (3, 1)):
        (batch,) = DataLoader([frame(seed, size), frame(seed + 5, 1)], batch_size=2)
        force = torch.randn(batch.neg_dy.shape, generator=torch.Generator().manual_seed(seed))
        sums.update(batch.y, force, batch)
        nets.append([values[:size] for values in net_forces_and_torques(force - batch.neg_dy, batch)[:2]])
    found = sums.compute()
    for name, parts in zip(
        ("molecule_force_rmse_mev_per_A", "molecule_torque_rmse_mev"), zip(*nets, strict=True), strict=True
    ):
        assert found[name] == pytest.approx(700 * float(torch.cat(parts).square().mean().sqrt()), rel=1e-12)
