"""Scans move what they say, by as much as they say; jumps are what forces do not explain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from tasks.simulation import scans
from tests.tasks.conftest import make_water

SCANS = {scan.name: scan for scan in scans.scans_of(make_water(8, 1, 7.0, torch.float64))}


def distance(frames, one, other):
    return np.linalg.norm(frames[:, one] - frames[:, other], axis=1)


def test_water_has_all_three():
    assert list(SCANS) == ["O-H stretch", "H-O-H bend", "distance of two molecules"]
    assert [scan.sample.num_nodes for scan in SCANS.values()] == [3, 3, 6]
    for scan in SCANS.values():
        assert float(scan.sample.box[0, 0, 0]) == scans.VACUUM_A
        np.testing.assert_allclose(scan.sample.pos.numpy(), scan.frames[scan.home])


def test_the_bond_is_as_long_as_the_coordinate_says():
    scan = SCANS["O-H stretch"]
    np.testing.assert_allclose(distance(scan.frames, 0, 1), scan.x)
    np.testing.assert_allclose(distance(scan.frames, 0, 2), distance(scan.frames, 0, 2)[0])


def test_the_angle_is_as_wide_as_the_coordinate_says():
    scan = SCANS["H-O-H bend"]
    one, other = (scan.frames[:, h] - scan.frames[:, 0] for h in (1, 2))
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    np.testing.assert_allclose(np.rad2deg(np.arccos(cosine)), scan.x)
    np.testing.assert_allclose(np.linalg.norm(other, axis=1), np.linalg.norm(other, axis=1)[0])
    assert scan.x[scan.home] == pytest.approx(104.52, abs=0.01)


def test_molecules_move_apart_as_they_are():
    scan = SCANS["distance of two molecules"]
    centres = scan.frames.reshape(-1, 2, 3, 3).mean(2)
    np.testing.assert_allclose(np.linalg.norm(centres[:, 0] - centres[:, 1], axis=1), scan.x)
    for atoms in ((0, 1, 2), (3, 4, 5)):
        assert np.ptp(distance(scan.frames, atoms[0], atoms[1])) < 1e-9
        assert 0.8 < distance(scan.frames, atoms[0], atoms[1])[0] < 1.1


def test_a_molecule_alone_has_no_neighbour():
    sample = make_water(1, 1, 9.0, torch.float64)
    alone = Data(**{name: sample[name] for name in ("z", "pos", "molecule")})
    names = [scan.name for scan in scans.scans_of(alone)]
    # Cut by the box, which it does not have, it may have lost a bond.
    assert "distance of two molecules" not in names
    assert all("box" not in scan.sample for scan in scans.scans_of(alone))


def test_smooth_energies_have_no_jump_and_steps_have():
    scan = SCANS["O-H stretch"]
    k, home = 20.0, scan.frames[scan.home]
    energies = 0.5 * k * ((scan.frames - home) ** 2).sum((1, 2))
    forces = -k * (scan.frames - home)
    assert scans.jump(scan, energies, forces) == pytest.approx(0, abs=1e-9)
    assert scans.jump(scan, energies + 0.01 * (scan.x > 1.1), forces) == pytest.approx(10)
