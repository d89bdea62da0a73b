"""Hydrogen masking: counts, targets, and that nothing about the removed atom leaks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Generator
from torch_geometric.data import Batch, Data

from tasks.datasets.base import Dataset
from tasks.models.egnn import EGNN, EGNNConfig
from tasks.pretexts.base import PretextError
from tasks.pretexts.masking import Masking, MaskingConfig
from tests.tasks.conftest import make_water


def corrupt(batch, seed=0, **options):
    pretext = Masking(MaskingConfig(**options))
    return pretext, pretext.corrupt(batch, Generator().manual_seed(seed))


def removed_atoms(batch, corrupted):
    """Indices of the atoms that are gone, found by position."""
    kept = {tuple(row) for row in corrupted.pos.tolist()}
    return [i for i, row in enumerate(batch.pos.tolist()) if tuple(row) not in kept]


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    ratio=st.floats(0.01, 1.0),
    seed=st.integers(0, 10**6),
)
def test_exact_count_one_hydrogen_of_a_molecule_and_its_mates_labelled(sizes, ratio, seed):
    batch = Batch.from_data_list([make_water(n, seed=i) for i, n in enumerate(sizes)])
    _, corrupted = corrupt(batch, seed, ratio=ratio)
    gone = removed_atoms(batch, corrupted)
    assert all(batch.z[i] == 1 for i in gone)
    molecules = [(int(batch.batch[i]), int(batch.molecule[i])) for i in gone]
    assert len(set(molecules)) == len(molecules), "a molecule lost two hydrogens"
    for sample, size in enumerate(sizes):
        assert sum(s == sample for s, _ in molecules) == max(1, round(ratio * size))
    # Two labelled atoms a removed hydrogen: its oxygen and its other hydrogen, of the same molecule.
    assert int(corrupted.mask_label.sum()) == 2 * len(gone)
    kept = [i for i in range(batch.num_nodes) if i not in gone]
    labelled = [kept[i] for i in corrupted.mask_label.nonzero().flatten()]
    assert sorted({(int(batch.batch[i]), int(batch.molecule[i])) for i in labelled}) == sorted(molecules)


def test_targets_are_unit_vectors_by_minimum_image_across_the_border(water):
    batch = Batch.from_data_list([water(8, s, 7.0) for s in range(3)])
    _, corrupted = corrupt(batch, ratio=1.0)
    gone = removed_atoms(batch, corrupted)
    hydrogen = {(int(batch.batch[i]), int(batch.molecule[i])): batch.pos[i] for i in gone}
    kept = [i for i in range(batch.num_nodes) if i not in gone]
    crossed = 0
    for row, atom in enumerate(kept):
        place = (int(batch.batch[atom]), int(batch.molecule[atom]))
        # All 27 images by hand; the nearest is the right one.
        images = torch.cartesian_prod(*[torch.arange(-1.0, 2.0) * 7.0] * 3)
        candidates = hydrogen[place] + images - batch.pos[atom]
        nearest = candidates[candidates.norm(dim=1).argmin()]
        crossed += bool((hydrogen[place] - batch.pos[atom]).norm() > 3)
        assert nearest.norm() < 1.8
        torch.testing.assert_close(corrupted.target[row], nearest / nearest.norm(), rtol=0, atol=1e-5)
    assert crossed > 0, "no bond crosses the border: the test would not see a missing minimum image"


def test_nothing_about_the_removed_atoms_leaks(water):
    """Moving the removed hydrogens beforehand changes the targets, and nothing that the network sees."""
    batch = Batch.from_data_list([water(8, s) for s in range(2)])
    _, corrupted = corrupt(batch, 3, ratio=0.5)
    gone = removed_atoms(batch, corrupted)
    moved = batch.clone()
    moved.pos[gone] += torch.tensor([0.4, 0.3, -0.5])
    moved.neg_dy = torch.randn_like(moved.neg_dy)
    _, after = corrupt(moved, 3, ratio=0.5)
    assert set(corrupted.keys()) == {"z", "pos", "batch", "box", "mask_label", "target"}
    for key in ("z", "pos", "batch", "box", "mask_label"):
        assert torch.equal(corrupted[key], after[key])
    assert not torch.allclose(corrupted.target, after.target)
    model = EGNN(EGNNConfig(hidden=8, layers=2)).eval()
    inputs = [(c.z, c.pos, c.batch, c.box, None, None, {"mask_label": c.mask_label}) for c in (corrupted, after)]
    torch.testing.assert_close(model(*inputs[0])[1], model(*inputs[1])[1], rtol=0, atol=0)
    assert model.neighbors(*inputs[0][1:4])[0].max() < len(corrupted.z)


def test_both_hydrogens_and_all_molecules_are_equally_likely(water):
    batch = Batch.from_data_list([water(4, 0)])
    counts = torch.zeros(batch.num_nodes)
    draws = 400
    for seed in range(draws):
        counts[removed_atoms(batch, corrupt(batch, seed, ratio=0.5)[1])] += 1
    # Each of 8 hydrogens goes in a quarter of the draws; 5 standard deviations of a binomial.
    expected, sd = draws / 4, (draws * 0.25 * 0.75) ** 0.5
    assert ((counts[batch.z == 1] - expected).abs() < 5 * sd).all()


def test_same_generator_same_corruption(water):
    batch = Batch.from_data_list([water(6, s) for s in range(2)])
    first, second, other = (corrupt(batch, seed)[1] for seed in (1, 1, 2))
    assert torch.equal(first.pos, second.pos)
    assert not torch.equal(first.pos, other.pos)


def test_loss_against_closed_forms():
    batch = Data(mask_label=torch.tensor([1, 1, 0]), target=torch.eye(3))
    per_atom = Masking(MaskingConfig())
    assert float(per_atom.loss(5 * torch.eye(3), batch)) == pytest.approx(0, abs=1e-6)
    assert float(per_atom.loss(-torch.eye(3), batch)) == pytest.approx(2)
    orthogonal = torch.tensor([[0.0, 1, 0], [2, 0, 0], [9, 9, 9]])
    assert float(per_atom.loss(orthogonal, batch)) == pytest.approx(1)
    # Cosines 1 and 0 for vectors of length 3 and 1: mean 1/2, pooled 3 / (sqrt(10) sqrt(2)).
    mixed = torch.tensor([[3.0, 0, 0], [1, 0, 0], [7, 7, 7]])
    assert float(per_atom.loss(mixed, batch)) == pytest.approx(0.5)
    pooled = Masking(MaskingConfig(loss="pooled"))
    assert float(pooled.loss(mixed, batch)) == pytest.approx(1 - 3 / 20**0.5)


@pytest.mark.parametrize("ratio", [0.0, -0.5, 1.01, float("nan")])
def test_impossible_ratio_is_refused(ratio):
    with pytest.raises(ValidationError):
        MaskingConfig(ratio=ratio)


def test_structures_without_an_atom_to_mask_are_refused(water):
    bare = water(2)
    bare.z[:] = 8
    with pytest.raises(PretextError, match="an atom of H and another atom"):
        Masking(MaskingConfig()).check(Dataset([water(2), bare], None, (8,), "", {}))
    Masking(MaskingConfig()).check(Dataset([water(2)], None, (1, 8), "", {}))
    Masking(MaskingConfig(species=["O"])).check(Dataset([bare], None, (8,), "", {}))


@pytest.mark.parametrize(("species", "shares"), [(["O"], [1, 0, 0]), (["H", "O"], [1 / 3, 1 / 3, 1 / 3])])
def test_masked_species(water, species, shares):
    """Only the named species goes, each atom of it as often as another; the mates point to it."""
    batch = Batch.from_data_list([water(27, s, 10.0) for s in range(10)])
    counts = torch.zeros(3)
    for seed in range(4):
        _, corrupted = corrupt(batch, seed, ratio=1.0, species=species)
        for atom in removed_atoms(batch, corrupted):
            counts[atom % 3] += 1
        assert int(corrupted.mask_label.sum()) == len(corrupted.z) == 2 * 270
    assert counts.sum() == 4 * 270
    assert (counts / counts.sum()).tolist() == pytest.approx(shares, abs=0.05)


def test_species_are_symbols_in_one_order():
    assert MaskingConfig(species=["O", "H", "O"]) == MaskingConfig(species=["H", "O"])
    with pytest.raises(ValidationError, match="Hx"):
        MaskingConfig(species=["Hx"])


def test_without_a_box():
    sample = make_water(3)
    del sample.box
    corrupted = corrupt(Batch.from_data_list([sample]))[1]
    assert "box" not in corrupted
    assert len(corrupted.z) == 7
