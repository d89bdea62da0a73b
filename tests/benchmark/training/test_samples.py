"""Errors by element are exact, and together they are the whole error; predictions are a fair sample of all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from benchmark.training.samples import Details
from reports.records.samples import MOST_PREDICTIONS
from tasks.errors import ErrorSums
from tests.benchmark.conftest import frame

SCALE_eV = 0.7


def evaluated(count, size=4):
    """Frames in batches, with random predictions: details, exact errors, and the batches."""
    details, sums, batches = Details(SCALE_eV), ErrorSums(SCALE_eV), []
    frames = [frame(seed, 1 + seed % 3) for seed in range(count)]
    generator = torch.Generator().manual_seed(0)
    for start in range(0, count, size):
        batch = Batch.from_data_list(frames[start : start + size])
        energy = torch.randn(batch.num_graphs, 1, generator=generator)
        force = torch.randn(batch.num_nodes, 3, generator=generator)
        details.update(energy, force, batch)
        sums.update(energy, force, batch)
        batches.append((batch, energy, force))
    return details, sums, batches


def test_errors_by_element_are_those_of_the_atoms_and_add_up():
    details, sums, batches = evaluated(10)
    table = details.elements().set_index("element")
    for number in (1, 8):
        errors = torch.cat([(force - batch.neg_dy)[batch.z == number] for batch, _, force in batches]).double()
        row = table.loc[number]
        assert row["n_atoms"] == len(errors)
        assert row["force_rmse_mev_per_A"] == pytest.approx(700 * float(errors.square().mean().sqrt()))
        assert row["force_mae_mev_per_A"] == pytest.approx(700 * float(errors.abs().mean()))
    whole = sums.compute()
    share = table["n_atoms"] / table["n_atoms"].sum()
    assert whole["force_rmse_mev_per_A"] == pytest.approx(np.sqrt((share * table["force_rmse_mev_per_A"] ** 2).sum()))
    assert whole["force_mae_mev_per_A"] == pytest.approx((share * table["force_mae_mev_per_A"]).sum())


def test_few_predictions_are_all_there_in_their_units():
    details, sums, batches = evaluated(7)
    names = np.arange(7) * 10 + 3
    table = details.predictions(names, seed=1)
    energies = table[table["quantity"] == "energy"]
    assert energies["frame"].tolist() == names.tolist()
    assert energies["element"].isna().all()
    errors = energies["predicted"] - energies["reference"]
    assert np.sqrt((errors**2).mean()) == pytest.approx(sums.compute()["energy_rmse_mev_per_atom"])
    batch, energy, _ = batches[0]
    assert energies["predicted"].iloc[0] == pytest.approx(700 * float(energy[0]) / int((batch.batch == 0).sum()))
    forces = table[table["quantity"] == "force"]
    errors = forces["predicted"] - forces["reference"]
    assert np.sqrt((errors**2).mean()) == pytest.approx(sums.compute()["force_rmse_mev_per_A"])
    # Any of them can be found again: by frame, atom and axis.
    truth = {name: f.neg_dy for name, f in zip(names, (frame(seed, 1 + seed % 3) for seed in range(7)), strict=True)}
    looked_up = [700 * float(truth[r.frame][r.atom, "xyz".index(r.axis)]) for r in forces.itertuples()]
    assert forces["reference"].tolist() == pytest.approx(looked_up)
    assert energies[["atom", "axis"]].isna().all(axis=None)
    assert forces["element"].tolist() == np.repeat(torch.cat([b.z for b, *_ in batches]).numpy(), 3).tolist()
    sizes = [3 * (1 + seed % 3) for seed in range(7)]
    assert forces["frame"].tolist() == np.repeat(names, [3 * size for size in sizes]).tolist()


def test_of_many_predictions_a_random_sample_stays_that_the_seed_decides():
    details, sums, _ = evaluated(1200, size=100)
    first, same, other = (details.predictions(np.arange(1200), seed) for seed in (1, 1, 2))
    assert first["quantity"].value_counts().to_dict() == MOST_PREDICTIONS
    assert first.equals(same)
    assert not first.equals(other)
    assert first[first["quantity"] == "energy"]["frame"].is_unique
    forces = first[first["quantity"] == "force"]
    errors = forces["predicted"] - forces["reference"]
    # A sample of 2000: its root mean square has a standard error of 1/sqrt(4000), 1.6 %.
    assert np.sqrt((errors**2).mean()) == pytest.approx(sums.compute()["force_rmse_mev_per_A"], rel=0.08)
