"""Units by their names, against values from the literature; the two sets of constants agree."""

from __future__ import annotations

import pytest

from tasks.datasets.structures.units import (
    A_PER_BOHR,
    A_PER_NM,
    EV_PER_HARTREE,
    KJ_PER_MOL_PER_EV,
    LENGTH_UNITS_A,
    ENERGY_UNITS_eV,
    energy_unit_eV,
    force_unit_eV_per_A,
    length_unit_A,
)

KCAL_PER_MOL = 0.0433641
KJ_PER_MOL = 0.01036427
HARTREE = 27.211386
BOHR = 0.5291772


def test_units_by_name():
    assert energy_unit_eV("Kcal/mol") == pytest.approx(KCAL_PER_MOL, rel=1e-6)
    assert energy_unit_eV("Ha") == pytest.approx(HARTREE, rel=1e-6)
    assert length_unit_A("Bohr") == pytest.approx(BOHR, rel=1e-6)
    assert length_unit_A("angstrom") == length_unit_A("Å") == 1
    assert force_unit_eV_per_A("kJ/mol/nm") == pytest.approx(KJ_PER_MOL / 10, rel=1e-6)
    assert force_unit_eV_per_A("hartree/bohr") == pytest.approx(51.42207, rel=1e-6)
    for wrong in ("kcal", "eV/", "eV/kg", ""):
        with pytest.raises(ValueError, match="unit"):
            force_unit_eV_per_A(wrong)


def test_both_sets_of_constants_agree():
    assert pytest.approx(ENERGY_UNITS_eV["hartree"], rel=1e-8) == EV_PER_HARTREE
    assert pytest.approx(LENGTH_UNITS_A["bohr"], rel=1e-9) == A_PER_BOHR
    assert pytest.approx(1 / ENERGY_UNITS_eV["kJ/mol"], rel=1e-8) == KJ_PER_MOL_PER_EV
    assert LENGTH_UNITS_A["nm"] == A_PER_NM
