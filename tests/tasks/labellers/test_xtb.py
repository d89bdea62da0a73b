"""GFN2-xTB as labels, where tblite is installed; a clear word where it is not."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from ase.build import molecule

from tasks.datasets.base import DatasetError
from tasks.datasets.structures.samples import make_sample
from tasks.datasets.structures.units import EV_PER_HARTREE
from tasks.labellers import xtb
from tasks.labellers.options import XTBConfig


def structure(name):
    atoms = molecule(name)
    zeros = np.zeros(len(atoms), dtype=int)
    return make_sample(atoms.numbers, atoms.positions, zeros, zeros)


def test_without_tblite_the_message_says_how_to_have_it(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(xtb, "version", missing)
    with pytest.raises(DatasetError, match=r"tblite, which is not installed: pip install '\.\[xtb\]'"):
        xtb.XTB(XTBConfig()).versions()


def test_energy_and_forces_of_water():
    """Energy of water near its minimum: −5.070 hartree (GFN2-xTB); forces are the gradient, order is no matter."""
    pytest.importorskip("tblite", reason="the extra xtb (tblite) is not installed")
    calculate = xtb.XTB(XTBConfig()).begin()
    water = structure("H2O")
    found = calculate(water)
    assert found.energy_eV / EV_PER_HARTREE == pytest.approx(-5.070, abs=0.002)
    moved = []
    for step in (0.005, -0.005):
        other = water.clone()
        other.pos[1, 2] += step
        moved.append(calculate(other).energy_eV)
    assert -(moved[0] - moved[1]) / 0.01 == pytest.approx(found.forces_eV_per_A[1, 2], abs=0.01)
    again = calculate(water)
    assert again.energy_eV == found.energy_eV
    assert np.array_equal(again.forces_eV_per_A, found.forces_eV_per_A)
