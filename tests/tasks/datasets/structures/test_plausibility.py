"""Unit warnings: harmonic molecules, for which spread and forces are known in closed form, in right and wrong units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk, molecule
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from tasks.datasets.base import Dataset, Outline
from tasks.datasets.structures.boxes import reduced_box
from tasks.datasets.structures.plausibility import unit_warnings

KCAL_PER_MOL = 0.0433641
KJ_PER_MOL = 0.01036427
HARTREE = 27.211386
BOHR = 0.5291772
STIFFNESS = 35.0
"""eV/Å², about that of an atom in a molecule."""


def dataset(samples: list[Data]) -> Dataset:
    return Dataset(samples, Outline(np.arange(len(samples))), "", {})


def harmonic(
    atoms: Atoms,
    temperature_K: float = 300,
    frames: int = 60,
    seed: int = 0,
    stiffness: float = STIFFNESS,
    energy: float = 1.0,
    force: float = 1.0,
    length: float = 1.0,
) -> Dataset:
    """Each coordinate an oscillator about its place, in the canonical ensemble, with labels as a file may hold them.

    Args:
        energy: the unit of the file in eV; likewise force in eV/Å and length in Å.
    """
    rng = np.random.default_rng(seed)
    kT = units.kB * temperature_K
    samples = []
    for _ in range(frames):
        moved = rng.normal(scale=np.sqrt(kT / stiffness), size=atoms.positions.shape)
        sample = Data(
            z=torch.tensor(atoms.numbers),
            pos=torch.tensor((atoms.positions + moved) / length, dtype=torch.float32),
            y=torch.tensor([[(-2000.0 + 0.5 * stiffness * np.sum(moved**2)) / energy]], dtype=torch.float64),
            neg_dy=torch.tensor(-stiffness * moved / force, dtype=torch.float32),
        )
        if atoms.pbc.all():
            sample.box = torch.tensor(reduced_box(atoms.cell.array / length)[0], dtype=torch.float32).unsqueeze(0)
        samples.append(sample)
    return dataset(samples)


ETHANOL = molecule("CH3CH2OH")


def test_the_closed_forms_hold_for_the_test_data():
    """``sd(E) = sqrt(3N/2) kT`` and ``F = sqrt(k kT)``, within the statistics of 1500 frames."""
    data = harmonic(ETHANOL, frames=1500)
    kT = units.kB * 300
    energies = np.array([sample.y.item() for sample in data.samples])
    forces = torch.cat([sample.neg_dy for sample in data.samples])
    assert energies.std() == pytest.approx(np.sqrt(1.5 * 9) * kT, rel=0.06)
    assert forces.square().mean().sqrt().item() == pytest.approx(np.sqrt(STIFFNESS * kT), rel=0.02)


@given(
    name=st.sampled_from(["CH3CH2OH", "H2O", "C6H6", "CH4", "bicyclobutane"]),
    temperature_K=st.floats(80, 1500),
    stiffness=st.floats(10, 80),
    frames=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_right_units_raise_no_alarm(name, temperature_K, stiffness, frames, seed):
    assert unit_warnings(harmonic(molecule(name), temperature_K, frames, seed, stiffness)) == ()


@pytest.mark.parametrize("crystal", [bulk("Cu", cubic=True) * (2, 2, 2), bulk("NaCl", "rocksalt", a=5.64, cubic=True)])
def test_crystals_in_right_units_raise_no_alarm(crystal):
    assert unit_warnings(harmonic(crystal, stiffness=6.0)) == ()


@pytest.mark.parametrize("temperature_K", [300, 500])
@pytest.mark.parametrize(
    ("unit_eV_per_A", "name"),
    [
        (KCAL_PER_MOL, "kcal/mol/Å"),
        (KJ_PER_MOL, "kJ/mol/Å"),
        (KJ_PER_MOL / 10, "kJ/mol/nm"),
        (1e-3, "meV/Å"),
        (HARTREE / BOHR, "hartree/bohr"),
        (HARTREE / 2 / BOHR, "Ry/bohr"),
    ],
)
def test_wrong_units_of_forces_are_named(unit_eV_per_A, name, temperature_K):
    (warning,) = unit_warnings(harmonic(ETHANOL, temperature_K, force=unit_eV_per_A))
    value = np.sqrt(STIFFNESS * units.kB * temperature_K) / unit_eV_per_A
    told = float(warning.split("root mean square of ")[1].split()[0])
    assert told == pytest.approx(value, rel=0.1)
    assert "0.05 to 10 eV/Å is plausible" in warning
    assert name in warning.partition("Likely they are in ")[2].split(" or ")


@pytest.mark.parametrize("temperature_K", [300, 500])
@pytest.mark.parametrize(
    ("unit_eV", "name"),
    [(KCAL_PER_MOL, "kcal/mol"), (KJ_PER_MOL, "kJ/mol"), (1e-3, "meV"), (HARTREE, "hartree"), (HARTREE / 2, "Ry")],
)
def test_wrong_units_of_energies_are_named(unit_eV, name, temperature_K):
    (warning,) = unit_warnings(harmonic(ETHANOL, temperature_K, energy=unit_eV))
    value = np.sqrt(1.5 * 9) * units.kB * temperature_K / unit_eV
    assert "the energies of 60 frames of C2H6O" in warning
    assert float(warning.split("standard deviation of ")[1].split()[0]) == pytest.approx(value, rel=0.3)
    assert name in warning.partition("Likely they are in ")[2].split(" or ")


def test_energies_and_forces_are_judged_separately():
    warnings = unit_warnings(harmonic(ETHANOL, 500, energy=KCAL_PER_MOL, force=KCAL_PER_MOL))
    assert [warning.split()[1] for warning in warnings] == ["forces", "energies"]


@pytest.mark.parametrize("frames", [1, 9])
def test_few_energies_say_nothing(frames):
    assert unit_warnings(harmonic(ETHANOL, frames=frames, energy=HARTREE)) == ()
    assert len(unit_warnings(harmonic(ETHANOL, frames=10, energy=HARTREE))) == 1


def test_frames_of_other_compositions_do_not_count():
    mixed = harmonic(ETHANOL, frames=9, energy=HARTREE).samples + harmonic(molecule("H2O"), frames=9).samples
    assert unit_warnings(dataset(mixed)) == ()


def relaxed(shift: float, frames: int = 20) -> Dataset:
    """Copies of one molecule that differ by the shape of a soft mode alone: forces nearly vanish."""
    data = harmonic(ETHANOL, 300, frames)
    for number, sample in enumerate(data.samples):
        sample.pos = torch.tensor(ETHANOL.positions, dtype=torch.float32)
        sample.pos[0, 0] += shift * (number % 2)
        sample.neg_dy = sample.neg_dy * 0.002 / sample.neg_dy.square().mean().sqrt()
    return data


def test_small_forces_of_relaxed_structures_raise_no_alarm():
    """Unless the structures differ by more than such forces allow."""
    assert unit_warnings(relaxed(shift=1e-4)) == ()
    (warning,) = unit_warnings(relaxed(shift=0.1))
    assert "0.002 eV/Å" in warning


def test_phases_of_large_boxes_raise_no_alarm():
    """Two hundred atoms at two volumes, 0.05 eV an atom apart: far more than heat makes, and no wrong unit."""
    crystal = bulk("Cu", cubic=True) * (4, 4, 3)
    data = harmonic(crystal, stiffness=6.0, frames=20)
    for sample in data.samples[::2]:
        sample.y += 0.05 * len(crystal)
    assert unit_warnings(data) == ()


WATER_BOX = Atoms("OHH", molecule("H2O").positions, cell=[3.1, 3.1, 3.1], pbc=True) * (3, 3, 3)


@pytest.mark.parametrize("atoms", [ETHANOL, molecule("CO2"), WATER_BOX, bulk("Si", cubic=True), bulk("Na", cubic=True)])
@pytest.mark.parametrize(("length", "name"), [(BOHR, "bohr"), (10.0, "nm")])
def test_wrong_units_of_lengths_are_named_with_labels_and_without(atoms, length, name):
    data = harmonic(atoms, 100, frames=3, length=length)
    for sample in data.samples:
        del sample.y, sample.neg_dy
    first, *rest = unit_warnings(data)
    assert first.startswith("the shortest distance")
    assert name in first.partition("Likely they are in ")[2]
    assert all(warning.startswith("the boxes hold") for warning in rest)
    for sample in data.samples:
        sample.pos *= length
        if "box" in sample:
            sample.box *= length
    assert unit_warnings(data) == ()


def test_a_box_in_nanometres_about_atoms_in_angstrom():
    data = harmonic(WATER_BOX, frames=3)
    assert unit_warnings(data) == ()
    for sample in data.samples:
        sample.box /= 10
    assert any("101 atoms/Å³" in warning and "nm" in warning for warning in unit_warnings(data))


def test_a_molecule_in_a_vacuum_and_a_noble_gas_raise_no_alarm():
    alone = molecule("H2O", cell=[25, 25, 25], pbc=True)
    argon = bulk("Ar", "fcc", a=5.3, cubic=True) * 2
    assert unit_warnings(harmonic(alone)) == ()
    assert unit_warnings(harmonic(argon, 80, stiffness=0.5)) == ()


def read_as(data: Dataset, options: dict[str, str], energy: float = 1.0, force: float = 1.0, length: float = 1.0):
    """What is made of a file in eV and Å by options that say otherwise: the factors that they stand for."""
    for sample in data.samples:
        sample.pos *= length
        sample.y *= energy
        sample.neg_dy *= force
        if "box" in sample:
            sample.box *= length
    said = {"length_unit": "Å", "energy_unit": "eV", "force_unit": None, **options}
    of_forces = said["force_unit"] or f"{said['energy_unit']}/{said['length_unit']}"
    units_of_file = {"length": said["length_unit"], "energy": said["energy_unit"], "force": of_forces}
    return replace(data, provenance={"options": said, "units_of_file": units_of_file})


def test_an_option_that_was_set_is_named_as_the_likely_mistake():
    data = harmonic(ETHANOL, 100)
    energy = read_as(data, {"energy_unit": "kcal/mol"}, energy=KCAL_PER_MOL, force=KCAL_PER_MOL)
    forces, energies = unit_warnings(energy)
    assert "Likely they are in eV or Ry: but the option 'energy_unit' says kcal/mol. Correct it" in energies
    assert "eV/Å" in forces.partition("Likely they are in ")[2].partition(":")[0].split(" or ")
    assert "'energy_unit' says kcal/mol" in forces
    length, *_ = unit_warnings(read_as(harmonic(ETHANOL, 100), {"length_unit": "bohr"}, force=1 / BOHR, length=BOHR))
    assert "Likely they are in Å: but the option 'length_unit' says bohr. Correct it" in length
    force = read_as(harmonic(ETHANOL), {"force_unit": "hartree/bohr"}, force=HARTREE / BOHR)
    assert "'force_unit' says hartree/bohr" in unit_warnings(force)[0]


def test_a_box_read_in_the_unit_of_an_option_blames_it():
    crystal = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * 2
    data = read_as(harmonic(crystal, stiffness=6.0), {"length_unit": "bohr"}, force=1 / BOHR, length=BOHR / 1.2)
    assert any("boxes hold" in warning and "'length_unit' says bohr" in warning for warning in unit_warnings(data))


def test_an_option_that_was_not_set_is_named_as_the_remedy():
    data = read_as(harmonic(ETHANOL, energy=HARTREE), {})
    (warning,) = unit_warnings(data)
    assert "Likely they are in hartree or Ry. If so, set the option 'energy_unit'" in warning
