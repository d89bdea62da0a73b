"""Every conversion of units: to Å, eV and eV/Å, once, where a file is read.

The factors are two libraries', of two adjustments of the constants: ASE's (CODATA 2014) for units that are named, which
agree with what ASE itself converts in the files that it reads; SciPy's (CODATA 2022) for atomic units in files that ASE
does not read. They differ by 8 parts in 10⁹ in the hartree. To exchange one for the other would change the numbers of a
dataset, and with them its content hash.
"""

from __future__ import annotations

from collections.abc import Mapping

from ase import units
from scipy.constants import N_A, e, physical_constants

LARGEST = 1e9
"""Largest number of a structure, in Å, eV or eV/Å: float32, in which most are stored, holds it, its square and cube."""

A_PER_BOHR: float = physical_constants["Bohr radius"][0] * 1e10
EV_PER_HARTREE: float = physical_constants["Hartree energy in eV"][0]
KJ_PER_MOL_PER_EV: float = e * N_A / 1000
A_PER_NM = 10.0

ENERGY_UNITS_eV: dict[str, float] = {
    "eV": 1.0,
    "meV": 1e-3,
    "hartree": units.Hartree,
    "Ry": units.Rydberg,
    "kcal/mol": units.kcal / units.mol,
    "kJ/mol": units.kJ / units.mol,
}
LENGTH_UNITS_A: dict[str, float] = {"Å": 1.0, "nm": units.nm, "bohr": units.Bohr}
USUAL_FORCE_UNITS = ("hartree/bohr", "Ry/bohr", "hartree/Å", "kcal/mol/Å", "kJ/mol/Å", "kJ/mol/nm", "meV/Å")
"""Those that programs and published data use, besides eV/Å."""
ALIASES = {"ha": "hartree", "rydberg": "ry", "a": "å", "ang": "å", "angstrom": "å"}


def energy_unit_eV(name: str) -> float:
    """An energy unit in eV; ValueError for an unknown name. Upper and lower case are the same."""
    return _unit(name, ENERGY_UNITS_eV)


def length_unit_A(name: str) -> float:
    """A length unit in Å; ValueError for an unknown name. Upper and lower case are the same."""
    return _unit(name, LENGTH_UNITS_A)


def force_unit_eV_per_A(name: str) -> float:
    """A force unit, written ENERGY/LENGTH, in eV/Å; ValueError and case as above."""
    energy, slash, length = name.rpartition("/")
    if not slash:
        raise ValueError(f"{name!r} is not a force unit; write ENERGY/LENGTH, e.g. eV/Å or kcal/mol/Å")
    return energy_unit_eV(energy) / length_unit_A(length)


def _unit(name: str, table: Mapping[str, float]) -> float:
    lowered = name.strip().lower()
    for known, factor in table.items():
        if known.lower() == ALIASES.get(lowered, lowered):
            return factor
    raise ValueError(f"unknown unit {name!r}; known are {', '.join(table)}")
