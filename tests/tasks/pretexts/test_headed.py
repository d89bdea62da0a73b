"""Pretexts with a head of their own: what they ask is what the structures say, whatever they are turned or called."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Generator
from torch_geometric.data import Batch

from tasks.datasets.structures.boxes import TOLERANCE
from tasks.options.pretexts import LARGEST_RADIUS_A, DistanceDenoisingConfig
from tasks.pretexts.base import HeadedPretext
from tasks.pretexts.denoising import Denoising, DenoisingConfig
from tasks.pretexts.distances import DistanceDenoising
from tasks.pretexts.pairs import has_room, pairs_within
from tasks.registry import PRETEXTS
from tests.own_package import install
from tests.tasks.conftest import make_water

SIDE = 8.0
STRUCTURES = st.lists(st.integers(1, 5), min_size=1, max_size=4)
"""Numbers of molecules of the structures of a batch."""
SEEDS = st.integers(0, 10**6)
RADII = st.floats(0.5, 3.9)


@pytest.fixture(scope="module", autouse=True)
def users_package(tmp_path_factory):
    """The package of docs/guide/own-model.md, whose pretext `counting` is checked here too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(install(tmp_path_factory.mktemp("own")))
        yield


def pretext(kind, **options) -> HeadedPretext:
    cls = PRETEXTS.get(kind)
    return cls(cls.Config(**options))


def make_batch(sizes, seed, periodic=True, shift=0.0):
    """Water in boxes, or clusters without; moved by a shift, Å."""
    samples = [make_water(size, seed + number, SIDE, torch.float64) for number, size in enumerate(sizes)]
    for sample in samples:
        sample.pos = sample.pos + shift
        if not periodic:
            del sample.box
    return Batch.from_data_list(samples)


def all_distances(batch, pos):
    """Distances between all atoms at these positions, (N, N), infinite between structures, by minimum image."""
    vectors = pos[:, None] - pos[None]
    if "box" in batch:
        vectors = vectors - SIDE * (vectors / SIDE).round()
    distances = vectors.norm(dim=2)
    return distances.masked_fill(batch.batch[:, None] != batch.batch[None], torch.inf)


@settings(max_examples=15, deadline=None)
@given(STRUCTURES, SEEDS, st.floats(0.01, 0.5), RADII, st.booleans())
def test_distances_are_those_between_the_atoms_before_the_noise(sizes, seed, sd, radius, periodic):
    batch = make_batch(sizes, seed, periodic)
    task = pretext("distance-denoising", sd_A=sd, radius_A=radius)
    corrupted = task.corrupt(batch, Generator().manual_seed(seed))
    first, second = corrupted.pairs
    noisy = all_distances(batch, corrupted.pos)
    torch.testing.assert_close(corrupted.pair_A, noisy[first, second])
    assert len({frozenset(pair) for pair in corrupted.pairs.T.tolist()}) == len(first), "each pair is asked for once"
    assert 2 * len(first) == int((noisy < radius).sum()) - batch.num_nodes
    assert corrupted.target.shape == (len(first), 1)
    back = corrupted.pair_A + np.sqrt(2) * sd * corrupted.target[:, 0]
    moved = batch.pos - corrupted.pos
    true = corrupted.pos[first] - corrupted.pos[second]
    if periodic:  # the image that is nearest in the noisy structure
        true = true - SIDE * (true / SIDE).round()
    true = (true + moved[first] - moved[second]).norm(dim=1)
    torch.testing.assert_close(back, true, rtol=0, atol=1e-9)


def test_distances_are_asked_of_the_structures_of_denoising():
    batch = make_batch([4, 2], 3)
    first, second = (
        task.corrupt(batch, Generator().manual_seed(5))
        for task in (pretext("distance-denoising", sd_A=0.2), Denoising(DenoisingConfig(sd_A=0.2)))
    )
    assert torch.equal(first.pos, second.pos)


def test_a_small_noise_costs_one_for_answering_nothing_and_zero_for_the_truth():
    task = pretext("distance-denoising", sd_A=0.01)
    corrupted = task.corrupt(make_batch([5] * 40, 0), Generator().manual_seed(0))
    assert float(task.loss(torch.zeros_like(corrupted.target), corrupted)) == pytest.approx(1, abs=0.1)
    assert float(task.loss(corrupted.target, corrupted)) == 0


def test_without_a_pair_there_is_nothing_to_learn_and_no_nan():
    task = pretext("distance-denoising", radius_A=0.3)
    corrupted = task.corrupt(make_batch([1], 0), Generator().manual_seed(0))
    head = task.head(6).double()
    loss = task.loss(head(torch.zeros(3, 6, dtype=torch.float64), corrupted), corrupted)
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(float(weight.grad.abs().max()) == 0 for weight in head.parameters())


@settings(max_examples=15, deadline=None)
@given(STRUCTURES, SEEDS, st.floats(0.05, 0.95), RADII, st.booleans())
def test_each_atom_counts_the_neighbours_that_are_gone(sizes, seed, ratio, radius, periodic):
    batch = make_batch(sizes, seed, periodic)
    task = pretext("counting", radius_A=radius, ratio=ratio)
    corrupted = task.corrupt(batch, Generator().manual_seed(seed))
    places = {tuple(row): number for number, row in enumerate(batch.pos.tolist())}
    kept = torch.tensor([places[tuple(row)] for row in corrupted.pos.tolist()])
    gone = torch.ones(batch.num_nodes, dtype=torch.bool)
    gone[kept] = False
    for number, atoms in enumerate(batch.ptr.diff().tolist()):
        lost = int(gone[batch.batch == number].sum())
        assert lost == min(max(round(ratio * atoms), 1), atoms - 1)
    near = all_distances(batch, batch.pos) < radius
    assert corrupted.target[:, 0].tolist() == near[kept][:, gone].sum(1).tolist()
    assert torch.equal(corrupted.z, batch.z[kept])
    assert float(task.loss(corrupted.target, corrupted)) == 0


@pytest.mark.parametrize("kind", ["distance-denoising", "counting"])
def test_the_same_structures_elsewhere_are_asked_the_same(kind):
    """Noise and gaps do not depend on where atoms are; targets depend on distances alone."""
    task = pretext(kind, radius_A=2.5)
    asked = [task.corrupt(make_batch([4, 3], 1, shift=shift), Generator().manual_seed(2)) for shift in (0.0, 31.7)]
    torch.testing.assert_close(asked[0].target, asked[1].target, rtol=0, atol=1e-9)


def test_turned_structures_have_the_same_answers(rotation):
    """Of a cluster that was turned after its atoms were displaced, or before they were removed."""
    batch = make_batch([5], 4, periodic=False)
    turned = batch.clone()
    turned.pos = batch.pos @ rotation.T
    counting = pretext("counting", radius_A=3.5, ratio=0.4)
    counts = [counting.corrupt(one, Generator().manual_seed(7)).target for one in (batch, turned)]
    assert torch.equal(*counts)
    assert len(counts[0].unique()) > 1
    (first, second), vectors = pairs_within(2.0, batch)
    (first_turned, second_turned), vectors_turned = pairs_within(2.0, turned)
    assert torch.equal(first, first_turned)
    assert torch.equal(second, second_turned)
    torch.testing.assert_close(vectors @ rotation.T, vectors_turned)


@pytest.mark.parametrize("kind", ["distance-denoising", "counting"])
def test_the_generator_is_the_only_source_and_the_input_stays(kind):
    batch = make_batch([4, 3], 0)
    before = batch.clone()
    task = pretext(kind)
    first, again, other = (task.corrupt(batch, Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.pos, again.pos)
    assert torch.equal(first.target, again.target)
    assert first.pos.shape != other.pos.shape or not torch.equal(first.pos, other.pos)
    assert torch.equal(batch.pos, before.pos)
    assert set(batch.keys()) == set(before.keys())
    assert not {"y", "neg_dy"} & set(first.keys())


@pytest.mark.parametrize("kind", ["distance-denoising", "counting"])
def test_a_box_of_two_radii_and_two_atoms_are_needed(kind):
    task = pretext(kind, radius_A=4.0)
    assert task.applies_to(make_water(2, side=8.0))
    assert not task.applies_to(make_water(2, side=7.9))
    cluster = make_water(1)
    del cluster.box
    assert task.applies_to(cluster)
    cluster.z, cluster.pos = cluster.z[:1], cluster.pos[:1]
    assert not task.applies_to(cluster)
    assert "box at least 8 Å wide" in task.requirement
    assert has_room(0.1, make_water(1))


def test_the_head_does_not_know_which_atom_of_a_pair_is_the_first():
    task = DistanceDenoising(DistanceDenoisingConfig())
    corrupted = task.corrupt(make_batch([5, 3], 0), Generator().manual_seed(0))
    head = task.head(7).double()
    features = torch.randn(24, 7, dtype=torch.float64, generator=Generator().manual_seed(1))
    answers = head(features, corrupted)
    assert answers.shape == corrupted.target.shape
    corrupted.pairs = corrupted.pairs.flip(0)
    torch.testing.assert_close(head(features, corrupted), answers)


@pytest.mark.parametrize(
    "options", [{"sd_A": 0}, {"radius_A": 0}, {"radius_A": LARGEST_RADIUS_A + 1}, {"head": "force"}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValidationError):
        DistanceDenoisingConfig(**options)


def test_a_pretext_with_a_head_trains_none_of_the_networks_vectors():
    assert pretext("distance-denoising").vectors is None
    assert pretext("counting").vectors is None
    assert pretext("denoising").vectors == "force"
    assert pretext("masking", head="coordinate").vectors == "coordinate"


@pytest.mark.parametrize(("short", "fits"), [(0.5, True), (2.0, False)])
def test_a_box_is_two_radii_wide_but_for_the_rounding_of_its_file(short, fits):
    side = 8.0 * (1 - short * TOLERANCE)
    assert has_room(4.0, make_water(2, 0, side, torch.float64)) == fits
