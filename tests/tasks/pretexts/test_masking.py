"""Masking with each of its targets: counts, directions, and that nothing about the removed atoms leaks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Generator
from torch_geometric.data import Batch, Data

from tasks.models.egnn import EGNN
from tasks.options.models import EGNNConfig
from tasks.options.pretexts import MaskingConfig
from tasks.pretexts.masking import Masking
from tests.tasks.conftest import make_water


def corrupt(batch, seed=0, **options):
    pretext = Masking(MaskingConfig(**options))
    return pretext, pretext.corrupt(batch, Generator().manual_seed(seed))


def removed_atoms(batch, corrupted):
    """Indices of the atoms that are gone, found by position."""
    kept = {tuple(row) for row in corrupted.pos.tolist()}
    return [i for i, row in enumerate(batch.pos.tolist()) if tuple(row) not in kept]


def make_molecules(molecules, seed=0, side=None):
    """A structure of chains, each given by the numbers of hydrogens on its heavy atoms; the atoms in random order."""
    rng = np.random.default_rng(seed)
    z, pos, molecule, site = [], [], [], []
    for number, hydrogens in enumerate(molecules):
        place = rng.uniform(0, side or 10.0, 3)
        for count in hydrogens:
            place = place + 1.4 * unit(rng.normal(size=3))
            z += [6, *[1] * count]
            pos += [place, *(place + rng.uniform(0.9, 1.1) * unit(rng.normal(size=3)) for _ in range(count))]
            molecule += [number] * (count + 1)
            site += [max(site, default=-1) + 1] * (count + 1)
    order = rng.permutation(len(z))
    wrapped = np.array(pos)[order] % side if side else np.array(pos)[order]
    sample = Data(
        z=torch.tensor(z)[order],
        pos=torch.tensor(wrapped, dtype=torch.float32),
        molecule=torch.tensor(molecule)[order],
        site=torch.tensor(site)[order],
    )
    if side:
        sample.box = (torch.eye(3) * side).unsqueeze(0)
    return sample


def unit(vector):
    return vector / np.linalg.norm(vector)


ETHANOL = [[3, 2, 0, 1]]  # as far as it matters here: six hydrogens on three of four heavy atoms
CHAIN = st.lists(st.integers(0, 3), min_size=1, max_size=4).filter(any)
STRUCTURES = st.lists(st.lists(CHAIN, min_size=1, max_size=4), min_size=1, max_size=4)
SEED = st.integers(0, 10**6)
TARGETS = pytest.mark.parametrize("target", ["molecule", "bonded", "farthest"])


def nearest_image(batch, start, end):
    """Vector in Å from an atom to another one, the shortest of 27 images."""
    vector = batch.pos[end] - batch.pos[start]
    if "box" not in batch:
        return vector
    images = vector + torch.cartesian_prod(*[torch.arange(-1.0, 2.0)] * 3) @ batch.box[batch.batch[start]]
    return images[images.norm(dim=1).argmin()]


def assert_targets(batch, corrupted, expected):
    """Compare labels and targets with {atom: the removed atom that it points to}."""
    gone = removed_atoms(batch, corrupted)
    kept = [atom for atom in range(batch.num_nodes) if atom not in gone]
    assert [kept[row] for row in corrupted.mask_label.nonzero().flatten()] == sorted(expected)
    for row, atom in enumerate(kept):
        direction = torch.zeros(3)
        if atom in expected:
            vector = nearest_image(batch, atom, expected[atom])
            direction = vector / vector.norm()
        torch.testing.assert_close(corrupted.target[row], direction, rtol=0, atol=2e-5)
    for key in ("z", "pos", "batch"):
        assert torch.equal(corrupted[key], batch[key][kept])


def members(batch, field, atom):
    """The atoms of an atom's molecule or site."""
    same = (batch.batch == batch.batch[atom]) & (batch[field] == batch[field][atom])
    return same.nonzero().flatten().tolist()


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
    # Distances 2 and √2 from the unit vectors; what has no label does not count.
    vector = Masking(MaskingConfig(loss="vector"))
    assert float(vector.loss(mixed, batch)) == pytest.approx((4 + 2) / 2)
    assert float(vector.loss(torch.zeros(3, 3), batch)) == pytest.approx(1)


def test_only_the_vector_loss_sees_lengths():
    batch = Data(mask_label=torch.ones(3, dtype=torch.long), target=torch.eye(3))
    prediction = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for loss, sees in (("mean", False), ("pooled", False), ("vector", True)):
        (gradient,) = torch.autograd.grad(Masking(MaskingConfig(loss=loss)).loss(prediction, batch), prediction)
        # Along the prediction itself: what would make it longer or shorter.
        assert (abs((gradient * prediction).sum().item()) > 1e-3) == sees


@pytest.mark.parametrize("ratio", [0.0, -0.5, 1.01, float("nan")])
def test_impossible_ratio_is_refused(ratio):
    with pytest.raises(ValidationError):
        MaskingConfig(ratio=ratio)


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


@settings(max_examples=40, deadline=None)
@given(structures=STRUCTURES, side=st.sampled_from([None, 9.0]), ratio=st.floats(0.01, 1.0), seed=SEED)
def test_bonded_takes_one_hydrogen_of_a_share_of_the_heavy_atoms_which_point_to_it(structures, side, ratio, seed):
    batch = Batch.from_data_list([make_molecules(chains, i, side) for i, chains in enumerate(structures)])
    _, corrupted = corrupt(batch, seed, ratio=ratio, target="bonded")
    gone = removed_atoms(batch, corrupted)
    assert all(batch.z[atom] == 1 for atom in gone)
    expected = {}
    for atom in gone:
        (heavy,) = [other for other in members(batch, "site", atom) if batch.z[other] != 1]
        assert heavy not in expected, "a heavy atom lost two hydrogens"
        expected[heavy] = atom
    for sample, chains in enumerate(structures):
        sites = sum(count > 0 for chain in chains for count in chain)
        assert int((batch.batch[gone] == sample).sum()) == max(1, round(ratio * sites))
    assert_targets(batch, corrupted, expected)


@settings(max_examples=40, deadline=None)
@given(structures=STRUCTURES, side=st.sampled_from([None, 30.0]), ratio=st.floats(0.01, 1.0), seed=SEED)
def test_farthest_lets_all_that_stay_point_to_the_farthest_hydrogen_that_the_molecule_lost(
    structures, side, ratio, seed
):
    batch = Batch.from_data_list([make_molecules(chains, i, side) for i, chains in enumerate(structures)])
    _, corrupted = corrupt(batch, seed, ratio=ratio, target="farthest")
    gone = removed_atoms(batch, corrupted)
    assert all(batch.z[atom] == 1 for atom in gone)
    assert set(batch.batch[gone].tolist()) == set(range(len(structures))), "a sample lost nothing"
    if ratio == 1:
        assert gone == (batch.z == 1).nonzero().flatten().tolist()
    expected = {}
    for atom in set(range(batch.num_nodes)) - set(gone):
        lost = [other for other in members(batch, "molecule", atom) if other in gone]
        if lost:
            expected[atom] = max(lost, key=lambda other: nearest_image(batch, atom, other).norm())
    assert_targets(batch, corrupted, expected)


def test_directions_by_hand():
    """H-C-C-H and a hydrogen beside, on a line: with all hydrogens gone the left carbon looks right, and vice versa."""
    sample = Data(
        z=torch.tensor([1, 6, 6, 1, 1]),
        pos=torch.tensor([[-1.0, 0, 0], [0, 0, 0], [1.5, 0, 0], [2.5, 0, 0], [0, 0.9, 0]]),
        molecule=torch.zeros(5, dtype=torch.long),
        site=torch.tensor([0, 0, 1, 1, 0]),
    )
    farthest = corrupt(Batch.from_data_list([sample]), ratio=1.0, target="farthest")[1]
    assert farthest.z.tolist() == [6, 6]
    assert farthest.mask_label.tolist() == [1, 1]
    assert farthest.target.tolist() == [[1, 0, 0], [-1, 0, 0]]
    seen = set()
    for seed in range(20):
        bonded = corrupt(Batch.from_data_list([sample]), seed, ratio=1.0, target="bonded")[1]
        assert bonded.z.tolist().count(1) == 1
        directions = bonded.target[bonded.z == 6].tolist()
        assert directions[1] == [1, 0, 0]
        assert bonded.mask_label[bonded.z == 1].tolist() == [0]
        seen.add(tuple(directions[0]))
    assert seen == {(-1, 0, 0), (0, 1, 0)}


@TARGETS
def test_across_the_border_atoms_point_the_short_way(target):
    sample = Data(
        z=torch.tensor([8, 1]),
        pos=torch.tensor([[0.2, 4.0, 4.0], [7.4, 4.0, 4.0]]),
        molecule=torch.zeros(2, dtype=torch.long),
        site=torch.zeros(2, dtype=torch.long),
        box=(torch.eye(3) * 8.0).unsqueeze(0),
    )
    corrupted = corrupt(Batch.from_data_list([sample]), ratio=1.0, target=target)[1]
    assert corrupted.z.tolist() == [8]
    torch.testing.assert_close(corrupted.target, torch.tensor([[-1.0, 0, 0]]))


@TARGETS
def test_no_trace_of_the_removed_atoms_and_no_look_at_the_labels(target):
    """Choice and input depend neither on where the removed atoms are nor on energies and forces."""
    batch = Batch.from_data_list([make_molecules(ETHANOL * 2, i) for i in range(3)])
    _, corrupted = corrupt(batch, 3, target=target)
    moved = batch.clone()
    moved.pos[removed_atoms(batch, corrupted)] += torch.tensor([0.4, 0.3, -0.5])
    moved.y, moved.neg_dy = torch.randn(3, 1), torch.randn_like(batch.pos)
    _, after = corrupt(moved, 3, target=target)
    assert set(corrupted.keys()) == {"z", "pos", "batch", "mask_label", "target"}
    for key in ("z", "pos", "batch", "mask_label"):
        assert torch.equal(corrupted[key], after[key])
    assert not torch.allclose(corrupted.target, after.target)


@TARGETS
def test_targets_come_from_the_sample_alone_and_choices_from_the_generator(target):
    batch = Batch.from_data_list([make_molecules(ETHANOL, i) for i in range(4)])
    first, again, other = (corrupt(batch, seed, target=target)[1] for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first.keys())  # noqa: SIM118  (Data iterates over pairs)
    assert not torch.equal(first.pos, other.pos)
    elsewhere = batch.clone()
    elsewhere.pos[batch.batch != 2] = torch.randn_like(elsewhere.pos[batch.batch != 2])
    after = corrupt(elsewhere, 1, target=target)[1]
    for key in ("z", "pos", "mask_label", "target"):
        assert torch.equal(first[key][first.batch == 2], after[key][after.batch == 2])


@pytest.mark.parametrize(
    ("target", "ratio", "share"),
    [
        ("molecule", 0.5, [1 / 6] * 6),  # one molecule: it loses one of six
        ("bonded", 0.7, [2 / 9] * 3 + [1 / 3] * 2 + [2 / 3]),  # two of three sites, one hydrogen each
        ("farthest", 0.2, [0.2 + 0.8**6 / 6] * 6),  # where the draw spares all six, one of them goes
    ],
)
def test_in_a_single_molecule_all_hydrogens_have_their_chance(target, ratio, share):
    sample = make_molecules(ETHANOL)
    draws = 3000
    batch = Batch.from_data_list([sample] * draws)
    _, corrupted = corrupt(batch, target=target, ratio=ratio)
    kept = torch.zeros(sample.num_nodes)
    for atom in range(sample.num_nodes):
        kept[atom] = (corrupted.pos == sample.pos[atom]).all(dim=1).sum()
    by_site = torch.argsort(sample.site, stable=True)
    gone = (1 - kept / draws)[by_site][sample.z[by_site] == 1]
    expected = torch.tensor(share)
    assert ((gone - expected).abs() < 5 * (expected * (1 - expected) / draws).sqrt()).all()
    assert (kept[sample.z != 1] == draws).all()


def test_only_the_oxygen_of_water_points_to_its_bonded_hydrogen(water):
    sample = water(9)
    sample.site = sample.molecule
    _, corrupted = corrupt(Batch.from_data_list([sample]), ratio=1.0, target="bonded")
    assert torch.equal(corrupted.mask_label.bool(), corrupted.z == 8)
    assert len(corrupted.z) == 18


@pytest.mark.parametrize(
    ("options", "z", "molecule", "site", "applies"),
    [
        ({}, [8, 8], [0, 1], [0, 1], False),
        ({}, [1, 1], [0, 0], [0, 1], True),
        ({}, [8, 1], [0, 1], [0, 1], False),  # nobody knows whom the hydrogen belongs to
        ({"species": ["O"]}, [8, 8], [0, 0], [0, 1], True),
        ({"target": "bonded"}, [1, 1], [0, 0], [0, 1], False),
        ({"target": "bonded"}, [8, 1, 8], [0, 0, 0], [0, 1, 2], False),  # a proton between
        ({"target": "bonded"}, [8, 1, 8], [0, 0, 0], [0, 0, 1], True),
        ({"target": "bonded"}, [8, 1], [0, 0], None, False),
        ({"target": "farthest"}, [1, 1], [0, 0], [0, 1], False),  # nobody would be left to point
        ({"target": "farthest"}, [8, 1], [0, 0], [0, 0], True),
        ({"target": "farthest", "species": ["H", "O"]}, [8, 1], [0, 0], [0, 0], False),
    ],
)
def test_structures_that_masking_applies_to(options, z, molecule, site, applies):
    sample = Data(z=torch.tensor(z), pos=torch.randn(len(z), 3), molecule=torch.tensor(molecule))
    if site is not None:
        sample.site = torch.tensor(site)
    pretext = Masking(MaskingConfig(**options))
    assert pretext.applies_to(sample) is applies
    if applies:
        assert int(corrupt(Batch.from_data_list([sample]), **options)[1].mask_label.sum()) > 0


@TARGETS
def test_a_structure_with_nothing_to_mask_stays_whole_beside_others(target):
    bare = make_molecules([[0, 0]])
    batch = Batch.from_data_list([bare, make_molecules(ETHANOL), bare])
    _, corrupted = corrupt(batch, target=target)
    for sample in (0, 2):
        assert torch.equal(corrupted.pos[corrupted.batch == sample], bare.pos)
        assert int(corrupted.mask_label[corrupted.batch == sample].sum()) == 0
    assert int(corrupted.mask_label.sum()) > 0


def test_bonded_is_for_hydrogen_alone():
    assert MaskingConfig(target="bonded").species == ("H",)
    for species in (["O"], ["H", "O"]):
        with pytest.raises(ValidationError, match="target 'bonded' removes hydrogens"):
            MaskingConfig(target="bonded", species=species)
        assert MaskingConfig(target="farthest", species=species)


def test_hydrogen_molecules_stay_where_the_farthest_is_asked_for():
    """Without a heavy atom nothing might be left that could point."""
    ethanol = make_molecules(ETHANOL)
    sample = Data(
        z=torch.cat([ethanol.z, torch.tensor([1, 1])]),
        pos=torch.cat([ethanol.pos, torch.tensor([[20.0, 0, 0], [20.7, 0, 0]])]),
        molecule=torch.cat([ethanol.molecule, torch.tensor([1, 1])]),
    )
    _, corrupted = corrupt(Batch.from_data_list([sample]), ratio=1.0, target="farthest")
    assert corrupted.z.tolist() == [6, 6, 6, 6, 1, 1]
    assert corrupted.mask_label.tolist() == [1, 1, 1, 1, 0, 0]


@TARGETS
@settings(max_examples=20, deadline=None)
@given(structures=STRUCTURES, seed=SEED)
def test_a_placebo_is_masking_in_all_but_the_directions(target, structures, seed):
    batch = Batch.from_data_list([make_molecules(molecules, seed + i) for i, molecules in enumerate(structures)])
    pretext, masked = corrupt(batch, seed, target=target)
    placebo_pretext, placebo = corrupt(batch, seed, target=target, directions="random")
    assert set(placebo.keys()) == set(masked.keys())
    for key in set(masked.keys()) - {"target"}:
        assert torch.equal(placebo[key], masked[key])
    labelled = masked.mask_label > 0
    assert not placebo.target[~labelled].any()
    assert not torch.isclose(placebo.target[labelled], masked.target[labelled]).all(dim=1).any()
    assert float(placebo_pretext.loss(masked.target, placebo)) == float(pretext.loss(masked.target, placebo))


def test_random_directions_are_uniform_on_the_sphere_and_fall_on_atoms_independently():
    """Closed forms: mean 0, second moments 1/3, z uniform in (−1, 1); the other atom's direction tells nothing."""
    batch = Batch.from_data_list([make_water(60, seed=s) for s in range(40)])
    _, corrupted = corrupt(batch, 3, ratio=1.0, directions="random")
    directions = corrupted.target[corrupted.mask_label > 0]
    n = len(directions)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(n))
    assert directions.mean(0).abs().max() < 5 * (1 / 3 / n) ** 0.5
    moments = directions.T @ directions / n
    torch.testing.assert_close(moments, torch.eye(3) / 3, rtol=0, atol=5 * n**-0.5)
    quantiles = torch.quantile(directions[:, 2], torch.linspace(0.1, 0.9, 9))
    torch.testing.assert_close(quantiles, torch.linspace(-0.8, 0.8, 9), rtol=0, atol=5 * n**-0.5)
    pairs = (directions[0::2] * directions[1::2]).sum(1)
    assert abs(float(pairs.mean())) < 5 * (1 / 3 / len(pairs)) ** 0.5


def test_the_option_of_a_placebo_is_no_part_of_keys_while_it_is_off():
    assert "directions" not in MaskingConfig().model_dump()
    assert MaskingConfig(directions="random").model_dump()["directions"] == "random"


def test_one_molecule_in_a_dense_box_is_taken_for_a_crystal_and_nothing_else_is():
    crystal = Data(z=torch.full((32,), 29), molecule=torch.zeros(32, dtype=torch.long), box=7.2 * torch.eye(3)[None])
    copper = Masking(MaskingConfig(species=("Cu",)))
    assert "bonds connect 32 of 32 atoms" in copper.caution(crystal)
    vacuum, alone = crystal.clone(), crystal.clone()
    vacuum.box = 30 * torch.eye(3)[None]
    del alone.box
    assert copper.caution(vacuum) is copper.caution(alone) is copper.caution(make_water(8)) is None
    assert Masking(MaskingConfig(target="bonded")).caution(crystal) is None


def test_which_molecule_is_chosen_does_not_depend_on_how_many_samples_stand_before():
    """The one with the smallest number, in the last of a hundred thousand samples as in the first."""
    samples = 100_000
    sample = torch.arange(samples).repeat_interleave(4)
    masking, eligible = Masking(MaskingConfig(ratio=0.25)), torch.ones(4 * samples, dtype=torch.bool)
    chosen = masking._choose_groups(eligible, sample, samples, Generator().manual_seed(0)).reshape(samples, 4)
    drawn = torch.rand(4 * samples, generator=Generator().manual_seed(0)).reshape(samples, 4)
    assert (chosen.sum(dim=1) == 1).all()
    assert torch.equal(drawn[chosen], drawn.amin(dim=1))
