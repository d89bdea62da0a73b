"""Molecules and sites, from bonds and from geometry."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule
from hypothesis import given
from hypothesis import strategies as st

from tasks.datasets.structures.molecules import (
    atom_pairs,
    find_bonds,
    find_water_molecules,
    pair_distances,
    topology_of_bonds,
)
from tests.tasks.conftest import make_water, random_rotation, sets


def topology(z, pos, box=None):
    return topology_of_bonds(z, find_bonds(z, pos, box))


@pytest.mark.parametrize(
    ("name", "sites", "bonds"),
    [("CH3CH2OH", 3, 8), ("C6H6", 6, 12), ("H2O", 1, 2), ("CH4", 1, 4), ("H2", 2, 1), ("CO2", 3, 2), ("C60", 60, 90)],
)
def test_known_molecules(name, sites, bonds):
    atoms = molecule(name)
    found = topology(atoms.numbers, atoms.positions)
    assert len(find_bonds(atoms.numbers, atoms.positions, None)) == bonds
    assert len(sets(found.molecule)) == 1
    assert len(sets(found.site)) == sites


def test_a_site_is_a_heavy_atom_with_its_hydrogens():
    atoms = molecule("CH3CH2OH")
    found = topology(atoms.numbers, atoms.positions)
    for site in sets(found.site):
        numbers = atoms.numbers[list(site)]
        assert (numbers != 1).sum() == 1
    heavy = {int(atoms.numbers[list(s)].max()): len(s) for s in sets(found.site)}
    assert heavy[8] == 2
    assert sorted(len(s) for s in sets(found.site)) == [2, 3, 4]


def test_a_shared_proton_belongs_to_the_nearer_atom_and_joins_the_molecules():
    """O-H...O with both distances in bonding range: one molecule, and the site of the nearer oxygen."""
    z = np.array([8, 1, 8])
    found = topology(z, np.array([[0.0, 0, 0], [1.15, 0, 0], [2.25, 0, 0]]))
    assert sets(found.molecule) == {frozenset({0, 1, 2})}
    assert sets(found.site) == {frozenset({0}), frozenset({1, 2})}


@given(seed=st.integers(0, 100), molecules=st.integers(1, 8))
def test_water_is_found_in_any_order_and_wrapping(seed, molecules):
    water = make_water(molecules, seed, side=4.0 * int(np.ceil(molecules ** (1 / 3))))
    rng = np.random.default_rng(seed)
    z, pos, box = water.z.numpy(), water.pos.double().numpy(), water.box[0].double().numpy()
    moved = pos + rng.integers(-2, 3, pos.shape) @ box + rng.uniform(-9, 9, 3)
    order = rng.permutation(len(z))
    found = topology(z[order], moved[order], box)
    expected = {frozenset(np.flatnonzero(np.isin(order, atoms)).tolist()) for atoms in
                (np.flatnonzero(water.molecule.numpy() == m) for m in range(molecules))}  # fmt: skip
    assert sets(found.molecule) == expected
    assert sets(found.site) == expected


@given(
    molecules=st.integers(1, 12),
    seed=st.integers(0, 1000),
    triclinic=st.booleans(),
    data=st.data(),
)
def test_water_molecules_do_not_depend_on_order_or_wrapping(
    molecules: int, seed: int, triclinic: bool, data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    sample = make_water(molecules, seed, side=9.0)
    z, pos, box = sample.z.numpy(), sample.pos.double().numpy(), sample.box[0].double().numpy()
    whole = np.arange(3 * molecules) // 3
    if triclinic:  # the same layer of molecules in a tilted box: molecules are first made whole
        oxygen = pos[3 * whole]
        pos = oxygen + (pos - oxygen) - np.round((pos - oxygen) / 9.0) * 9.0
        tilted = box + np.array([[0, 0, 0], [3.0, 0, 0], [-2.0, 2.5, 0]])
        shift = pos[3 * whole] @ np.linalg.inv(box) @ (tilted - box)
        pos, box = pos + shift, tilted
    order = rng.permutation(len(z))
    moved = pos + rng.integers(-2, 3, pos.shape) @ box + rng.uniform(-9, 9, 3)
    reference = find_water_molecules(z, pos, box)
    shuffled = find_water_molecules(z[order], moved[order], box)
    assert reference is not None
    assert shuffled is not None
    assert sets(reference.molecule) == sets(whole)
    assert sets(shuffled.molecule[np.argsort(order)]) == sets(whole)
    assert np.array_equal(shuffled.site, shuffled.molecule)


# Along x: H at 0.96 Å from its oxygen, the next oxygen at 2.5 Å from the first.
PAIR = np.array([[0, 0, 0], [0.96, 0, 0], [-0.3, 0.9, 0], [2.5, 0, 0], [2.8, 0.9, 0], [2.8, -0.9, 0]])
PAIR_Z = np.array([8, 1, 1, 8, 1, 1])


@pytest.mark.parametrize(
    ("x", "known"),
    [(0.96, True), (1.15, True), (1.2, False), (1.25, False)],
    ids=["bond", "stretched", "shared", "midway"],
)
def test_hydrogen_between_two_oxygens(x: float, known: bool) -> None:
    pos = PAIR.copy()
    pos[1, 0] = x
    assert (find_water_molecules(PAIR_Z, pos, None) is not None) == known


@pytest.mark.parametrize(
    ("atom", "place"),
    [(1, [1.6, 0, 0]), (1, [0, -1.45, 0])],
    ids=["three and one", "no oxygen in range"],
)
def test_dissociated_water(atom: int, place: list[float]) -> None:
    # With a third molecule that is whole.
    pos, z = np.concatenate([PAIR, PAIR[:3] + np.array([0, 5, 5])]), np.append(PAIR_Z, PAIR_Z[:3])
    assert find_water_molecules(z, pos, None) is not None
    pos[atom] = place
    assert find_water_molecules(z, pos, None) is None


@pytest.mark.parametrize("z", [[8, 1, 8, 8, 1, 1], [8, 1, 1, 6, 1, 1], [1] * 6])
def test_other_compositions_are_no_water(z: list[int]) -> None:
    assert find_water_molecules(np.array(z), PAIR, None) is None


def test_numbers_follow_the_first_atom():
    found = topology_of_bonds(np.array([6, 6, 1, 1]), np.array([[1, 2], [0, 3]]))
    assert found.molecule.tolist() == [0, 1, 1, 0]
    assert topology_of_bonds(np.array([8, 1]), np.empty((0, 2))).site.tolist() == [0, 1]


@given(seed=st.integers(0, 50))
def test_distances_do_not_depend_on_pose_or_image(seed):
    rng = np.random.default_rng(seed)
    pos, box = rng.uniform(0, 9, (6, 3)), np.diag([9.0, 10.0, 11.0])
    shifted = pos + rng.integers(-3, 4, pos.shape) @ box
    assert np.allclose(pair_distances(pos, box), pair_distances(shifted, box))
    turned = pos @ random_rotation(rng).T + 5
    assert np.allclose(pair_distances(pos, None), pair_distances(turned, None))
    first, second = atom_pairs(6)
    assert np.allclose(pair_distances(pos, None), np.linalg.norm(pos[first] - pos[second], axis=1))
