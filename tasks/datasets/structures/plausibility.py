"""Whether lengths, energies and forces look as if they were in other units than assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import units
from ase.data import chemical_symbols, covalent_radii
from ase.formula import Formula
from numpy.typing import NDArray

from tasks.datasets.base import Dataset
from tasks.datasets.structures.molecules import atom_pairs, pair_distances
from tasks.datasets.structures.units import (
    LENGTH_UNITS_A,
    USUAL_FORCE_UNITS,
    ENERGY_UNITS_eV,
    energy_unit_eV,
    force_unit_eV_per_A,
    length_unit_A,
)

FORCE_RMS_eV_PER_A = (0.05, 10.0)
TYPICAL_FORCE_RMS_eV_PER_A = (0.3, 3.0)
STIFFNESS_eV_PER_A2 = (2.0, 200.0)
"""Forces over the variation of nearest distances."""
TEMPERATURE_K = (40.0, 5000.0)
TYPICAL_TEMPERATURE_K = (100.0, 2000.0)
COHERENT_A = 0.1
"""The energies of a mixture of phases may spread by the typical force times this length per atom."""
RELATIVE_DISTANCE = (0.6, 1.5)
TYPICAL_RELATIVE_DISTANCE = (0.7, 1.3)
LARGEST_DENSITY_PER_A3 = 0.3
FEWEST_FRAMES = 10
LOOKED_AT = 50
"""Number of frames whose distances are examined, spread over the data."""
STANDARD = {"length": "Å", "energy": "eV", "force": "eV/Å"}
STANDARD_UNITS = (*STANDARD.values(),)
PARSERS = {"length": length_unit_A, "energy": energy_unit_eV, "force": force_unit_eV_per_A}
FACTORS: dict[str, dict[str, float]] = {
    "length": LENGTH_UNITS_A,
    "energy": ENERGY_UNITS_eV,
    "force": {name: force_unit_eV_per_A(name) for name in ("eV/Å", *USUAL_FORCE_UNITS)},
}
"""Units that programs and published data use, in Å, eV and eV/Å."""
NOBLE_GASES = (2, 10, 18, 36, 54, 86)


def unit_warnings(dataset: Dataset) -> tuple[str, ...]:
    """Warnings about lengths, forces and energies whose magnitude suggests other units than assumed.

    Each is judged on its own, by what nearly all atomistic data has in common. The thresholds leave a wide margin: the
    usual mistakes are factors of 13 or more (1.9 or more for lengths). In the order of the returned warnings:

    Distances: the shortest distance of a structure, divided by the sum of the two covalent radii, is 0.8 to 1.3 for
    bonds, metals and salts alike; a median over structures from 0.6 to 1.5 is plausible. Bohr read as Å gives 1.5 to
    2.5, nm read as Å 0.1. Noble gases alone, which have no bonds, are not judged.

    Boxes: condensed matter has 0.02 to 0.2 atoms/Å³; more than 0.3 is implausible, e.g. 100 for a box in nm. There is
    no lower limit: a molecule or a surface in a vacuum is not a mistake.

    Forces: in the canonical ensemble ``<F_i²> = kT <∂²U/∂x_i²>`` holds exactly for each coordinate (hypervirial
    theorem). Curvatures averaged over the coordinates of molecules and solids are 1 to 100 eV/Å², and kT is 0.026 eV
    at 300 K, so the root mean square of the components is 0.16 to 1.6 eV/Å there; 0.05 to 10 eV/Å leaves room for cold,
    hot and strained structures. Relaxed structures can have arbitrarily small forces, but then they do not vibrate: a
    warning about small forces is given only if the distance of an atom to its nearest neighbour varies by more than
    forces / (2 eV/Å²) from frame to frame, over frames of the same atoms in the same order. That stiffness is 31 to
    41 eV/Å² in the molecules of rMD17 and in liquid water from DFT, and 4 eV/Å² in nearly relaxed ice. No warning about
    large forces is given if it is below 200 eV/Å².

    Energies: harmonic motion at a temperature T spreads them by ``sd(E) = sqrt(3N/2) kT``; T, defined in this way, is
    plausible from 40 to 5000 K. Different volumes, phases and temperatures spread them more, in proportion to N and not
    to its square root: no warning is given for up to 0.1 Å times the root mean square of the forces per atom (1 eV/Å if
    that is itself implausible). A wrong unit of the energies alone may therefore go unnoticed in large boxes. The
    largest set of frames of equal composition is judged if it has at least 10.

    Args:
        dataset: labelled or not.

    Returns:
        Warnings, each with the value, the plausible range, and the units that would explain it. Where the user has said
        in which units the file is, the option is named: it is the likely mistake.
    """
    declared = _Declared.of(dataset)
    nearest, ratios = _nearest_distances(dataset)
    found = [_judge_distances(ratios, declared), _judge_boxes(dataset, declared)]
    if all("y" in sample and "neg_dy" in sample for sample in dataset.samples):
        squares = [sample.neg_dy.double().square().mean().item() for sample in dataset.samples]
        atoms = [sample.num_nodes for sample in dataset.samples]
        force_rms = float(np.sqrt(np.average(squares, weights=atoms)))
        found += [
            _judge_forces(force_rms, _variation(nearest), declared),
            _judge_energies(dataset, force_rms, declared),
        ]
    return tuple(warning for warning in found if warning is not None)


def _nearest_distances(dataset: Dataset) -> tuple[dict[bytes, list[NDArray[np.float64]]], list[float]]:
    """Distances in some frames.

    Returns:
        For each sequence of atoms, the distance of every atom to its nearest neighbour in each frame, (N,), Å; and for
        each frame its shortest distance over the sum of the covalent radii.
    """
    nearest: dict[bytes, list[NDArray[np.float64]]] = {}
    ratios = []
    for number in np.unique(np.linspace(0, len(dataset.samples) - 1, LOOKED_AT).round().astype(int)):
        sample = dataset.samples[number]
        z = sample.z.numpy()
        if len(z) < 2 or np.isin(z, NOBLE_GASES).all():
            continue
        first, second = atom_pairs(len(z))
        distances = pair_distances(sample.pos.numpy(), sample.box[0].double().numpy() if "box" in sample else None)
        closest = np.full(len(z), np.inf)
        np.minimum.at(closest, first, distances)
        np.minimum.at(closest, second, distances)
        nearest.setdefault(z.tobytes(), []).append(closest)
        ratios.append(float((distances / (covalent_radii[z[first]] + covalent_radii[z[second]])).min()))
    return nearest, ratios


def _variation(nearest: Mapping[bytes, list[NDArray[np.float64]]]) -> float | None:
    """Standard deviation, Å, of an atom's nearest distance over frames; None without frames of the same atoms."""
    squares, freedom = 0.0, 0
    for frames in nearest.values():
        distances = np.stack(frames)
        squares += float(np.square(distances - distances.mean(axis=0)).sum())
        freedom += (len(frames) - 1) * distances.shape[1]
    return float(np.sqrt(squares / freedom)) if freedom else None


@dataclass(frozen=True)
class _Declared:
    """In which units a file is said to be.

    Attributes:
        units: of lengths, energies and forces; None where that cannot be chosen.
        options: what the user has set of the options for it.
    """

    units: Mapping[str, str] | None
    options: Mapping[str, str]

    @classmethod
    def of(cls, dataset: Dataset) -> _Declared:
        """What the provenance of a dataset says; of a kind without such options nothing."""
        given = dataset.provenance.get("options", {})
        names = ("length_unit", "energy_unit", "force_unit")
        options = {name: given[name] for name in names if given.get(name) not in (None, *STANDARD_UNITS)}
        return cls(dataset.provenance.get("units_of_file"), options)

    def explain(self, value: float, what: str, typical: tuple[float, float], power: int = 1) -> str:
        """The units that would turn an implausible value into a typical one, and the option that says otherwise.

        Args:
            value: as converted from the declared unit.
            what: length, energy or force.
            typical: range of values.
            power: to which unit of the value is raised.
        """
        table = FACTORS[what]
        said = self.units[what] if self.units else STANDARD[what]
        raw = value / PARSERS[what](said) ** power
        fitting = [
            name
            for name, factor in table.items()
            if typical[0] <= raw * factor**power <= typical[1] and not np.isclose(factor, PARSERS[what](said))
        ]
        blamed = self._blamed(what)
        words = " and ".join(f"'{name}' says {self.options[name]}" for name in blamed)
        if not fitting:
            hint = f"No usual unit would make it typical ({typical[0]:.2g} to {typical[1]:.2g})"
            return f"{hint}; the option {words}" if blamed else hint
        hint = f"Likely they are in {' or '.join(fitting)}"
        if blamed:
            return f"{hint}: but the option {words}. Correct it"
        return f"{hint}. If so, set the option '{what}_unit'" if self.units else hint

    def _blamed(self, what: str) -> list[str]:
        """The options that made the unit what it is; that of forces follows from the others if it is not given."""
        wanted = [f"{what}_unit"]
        if what == "force" and "force_unit" not in self.options:
            wanted = ["energy_unit", "length_unit"]
        return [name for name in wanted if name in self.options]


def _judge_distances(ratios: list[float], declared: _Declared) -> str | None:
    low, high = RELATIVE_DISTANCE
    if not ratios or low <= (value := float(np.median(ratios))) <= high:
        return None
    return (
        f"the shortest distance of a structure is {value:.3g} times the sum of the covalent radii (median); {low:g} to "
        f"{high:g} is plausible for lengths in Å. {declared.explain(value, 'length', TYPICAL_RELATIVE_DISTANCE)}"
    )


def _judge_boxes(dataset: Dataset, declared: _Declared) -> str | None:
    boxes = [(s.num_nodes, s.box[0].double().numpy()) for s in dataset.samples if "box" in s]
    densities = [atoms / abs(np.linalg.det(box)) for atoms, box in boxes]
    if not densities or (value := float(np.median(densities))) <= LARGEST_DENSITY_PER_A3:
        return None
    return (
        f"the boxes hold {value:.3g} atoms/Å³ (median); at most {LARGEST_DENSITY_PER_A3:g} is plausible. "
        f"{_explain_box(value, declared)}"
    )


def _explain_box(density: float, declared: _Declared) -> str:
    """The box may be in another unit than the positions, in formats that ASE does not convert."""
    if "length_unit" in declared.options:
        return declared.explain(density, "length", (0.005, LARGEST_DENSITY_PER_A3), power=-3)
    return "Likely the box is in a longer unit than Å, such as nm"


def _judge_forces(value: float, variation: float | None, declared: _Declared) -> str | None:
    low, high = FORCE_RMS_eV_PER_A
    soft, stiff = (np.array(STIFFNESS_eV_PER_A2) * variation).tolist() if variation is not None else (0.0, 0.0)
    if low <= value <= high or (value < low and value >= soft) or (value > high and value <= stiff):
        return None
    return (
        f"the forces have a root mean square of {value:.3g} eV/Å; {low:g} to {high:g} eV/Å is plausible. "
        f"{declared.explain(value, 'force', TYPICAL_FORCE_RMS_eV_PER_A)}"
    )


def _judge_energies(dataset: Dataset, force_rms: float, declared: _Declared) -> str | None:
    sets: dict[bytes, list[int]] = {}
    for number, sample in enumerate(dataset.samples):
        sets.setdefault(np.sort(sample.z.numpy()).tobytes(), []).append(number)
    frames = max(sets.values(), key=len)
    if len(frames) < FEWEST_FRAMES:
        return None
    value = float(np.std([dataset.samples[number].y.item() for number in frames]))
    z = dataset.samples[frames[0]].z.tolist()
    per_kelvin = np.sqrt(1.5 * len(z)) * units.kB
    low, high = FORCE_RMS_eV_PER_A
    coherent = COHERENT_A * (force_rms if low <= force_rms <= high else 1.0) * len(z)
    smallest, largest = TEMPERATURE_K[0] * per_kelvin, max(TEMPERATURE_K[1] * per_kelvin, coherent)
    if smallest <= value <= largest:
        return None
    typical = (TYPICAL_TEMPERATURE_K[0] * per_kelvin, TYPICAL_TEMPERATURE_K[1] * per_kelvin)
    formula = Formula.from_list([chemical_symbols[number] for number in z]).format("hill")
    return (
        f"the energies of {len(frames)} frames of {formula} have a standard deviation of {value:.3g} eV, as harmonic "
        f"motion at {value / per_kelvin:.3g} K; {smallest:.2g} to {largest:.2g} eV is plausible. "
        f"{declared.explain(value, 'energy', typical)}"
    )
