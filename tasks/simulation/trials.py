"""What potentials are put through: the tests, each from starting structures and a field to numbers and curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator

from tasks.simulation import observables
from tasks.simulation.dynamics import Limits, Replicas, simulate, thermal_velocities
from tasks.simulation.fields import Field
from tasks.simulation.observables import Curve, Floats
from tasks.simulation.scans import Scan, jump
from tasks.simulation.structures import Start
from tasks.simulation.units import MEV, kinetic_energy_eV, masses_amu, temperature_K

Place = tuple[str, str]
"""A quantity, and of what or where it is."""
FEWEST_FRAMES = 10
"""That structure is measured in, and energies that a slope is laid through."""
BONDS_A = (0.3, 3.0, 0.005)
ANGLES_DEG = (0.0, 180.0, 1.0)
FS_PER_PS = 1000.0

Progress = Callable[[float], None]
"""Is told the fraction done, 0 to 1."""


@dataclass(frozen=True)
class End:
    """How long a replica was simulated, ps, and why it ended early; None if it did not."""

    planned_ps: float
    simulated_ps: float
    cause: str | None


@dataclass
class Outcome:
    """What a test found.

    Attributes:
        ends: of each replica.
        measures: numbers by quantity and place; None for what could not be measured.
        curves: likewise.
        frames: positions of each replica, (F, N, 3), Å, where structure was measured.
    """

    ends: list[End] = field(default_factory=list)
    measures: dict[Place, float | None] = field(default_factory=dict)
    curves: dict[Place, Curve] = field(default_factory=dict)
    frames: list[Floats] = field(default_factory=list)


@dataclass(frozen=True)
class Dynamics:
    """How a simulation is run: length in ps, time step in fs, temperature in K, friction in 1/ps, seed of all noise."""

    length_ps: float
    timestep_fs: float
    temperature: float
    friction_per_ps: float
    seed: int

    @property
    def steps(self) -> int:
        """Number of time steps, at least one."""
        return max(1, round(self.length_ps * FS_PER_PS / self.timestep_fs))

    def every(self, spacing_fs: float) -> int:
        """Number of time steps in a time in fs, at least one."""
        return max(1, round(spacing_fs / self.timestep_fs))


def run_nvt(
    start: Start,
    forces: Field,
    how: Dynamics,
    frame_fs: float,
    equilibration: float,
    reference: Mapping[Place, Curve],
    progress: Progress,
) -> Outcome:
    """Stability and structure with a thermostat.

    Args:
        start: where the replicas start.
        forces: what drives them.
        how: length, time step, thermostat.
        frame_fs: time between frames that structure is measured in.
        equilibration: share of the simulation that averages leave out.
        reference: distributions to compare with, by quantity and place; may be empty.
        progress: is told how far it is.
    """
    replicas, generator = _replicas(start, how)
    frames: list[list[Floats]] = [[] for _ in start.samples]
    temperatures: list[float] = []
    begin = int(equilibration * how.steps)

    def sample(now: Replicas, step: int) -> None:
        progress(step / how.steps)
        if step < begin:
            return
        running = now.running
        for number in running.tolist():
            frames[number].append(now.pos[number].numpy().copy())
        temperatures.extend(temperature_K(now.velocities[running], now.masses, 3 * len(now.masses)).tolist())

    limits = Limits.at(
        how.temperature, len(start.z), torch.from_numpy(start.geometry.bonds), torch.from_numpy(start.lengths)
    )
    every = how.every(frame_fs)
    made = simulate(
        replicas, forces, how.steps, how.timestep_fs, how.temperature, how.friction_per_ps, generator, limits,
        samplers=[(every, sample)],
    )  # fmt: skip
    outcome = Outcome(_ends(how, made, replicas), frames=[np.array(own) for own in frames])
    outcome.measures["stable_ps", ""] = float(np.mean([end.simulated_ps for end in outcome.ends]))
    outcome.measures["temperature_K", ""] = float(np.mean(temperatures)) if temperatures else None
    outcome.curves = distributions(start, outcome.frames)
    outcome.measures.update(differences(outcome.curves, reference))
    return outcome


def distributions(start: Start, frames: Sequence[Floats]) -> dict[Place, Curve]:
    """Structure in the frames of all replicas: g(r) or h(r), bond lengths and angles; nothing of too few frames."""
    filled = [own for own in frames if len(own)]
    together = np.concatenate(filled) if filled else np.empty((0, len(start.z), 3))
    if len(together) < FEWEST_FRAMES:
        return {}
    curves: dict[Place, Curve] = {}
    box = start.box
    if box is not None and len(set(start.molecule.tolist())) > 1:
        for name, curve in observables.radial_distributions(start.z, start.molecule, together, box).items():
            curves["rdf", name] = curve
    elif box is None and len(start.z) > 1:
        curves["distances", ""] = observables.distance_distribution(start.z, together)
    bonds, angles = start.geometry
    for name, values in observables.by_elements(start.z, bonds, observables.bond_lengths(together, bonds, box)).items():
        curves["bond", name] = observables.histogram(values, *BONDS_A)
    for name, values in observables.by_elements(
        start.z, angles, observables.bond_angles(together, angles, box)
    ).items():
        curves["angle", name] = observables.histogram(values, *ANGLES_DEG)
    return curves


def differences(found: Mapping[Place, Curve], reference: Mapping[Place, Curve]) -> dict[Place, float | None]:
    """How far distributions are from those of the reference; first peaks also without one."""
    measures: dict[Place, float | None] = {}
    of_pairs = []
    for (quantity, place), curve in found.items():
        other = reference.get((quantity, place))
        if quantity == "rdf":
            peak = observables.first_peak(curve)
            measures["rdf_peak_A", place], measures["rdf_peak_height", place] = peak or (None, None)
            if other is not None:
                measures["rdf_error", place] = observables.rdf_difference(curve, other)
                of_pairs.append(measures["rdf_error", place])
        elif other is None:
            continue
        elif quantity == "distances":
            measures["distances_error", place] = observables.distribution_difference(curve, other)
        elif quantity == "bond":
            measures["bond_error_A", place] = observables.moved(curve, other)
        elif quantity == "angle":
            measures["angle_error_deg", place] = observables.moved(curve, other)
    if of_pairs:
        measures["rdf_error", "mean"] = float(np.mean([value for value in of_pairs if value is not None]))
    return measures


def sampling_error(start: Start, frames: Sequence[Floats], replicas: int) -> dict[Place, float | None]:
    """What a perfect potential would show: so many replicas of the reference, against its other ones; mean over groups.

    Args:
        start: the reference's starts.
        frames: of its replicas.
        replicas: that a potential has.
    """
    groups = [list(range(at, at + replicas)) for at in range(0, len(frames) - replicas + 1, replicas)]
    found: dict[Place, list[float]] = {}
    for group in groups:
        rest = [own for number, own in enumerate(frames) if number not in group]
        of_group = differences(distributions(start, [frames[i] for i in group]), distributions(start, rest))
        for place, value in of_group.items():
            if value is not None:
                found.setdefault(place, []).append(value)
    return {place: float(np.mean(values)) for place, values in found.items()}


def run_nve(
    start: Start,
    forces: Field,
    how: Dynamics,
    velocity_fs: float,
    reference: Mapping[Place, Curve],
    progress: Progress,
) -> Outcome:
    """Conservation of energy, and vibrations, without a thermostat; arguments as those of `run_nvt`."""
    replicas, generator = _replicas(start, how)
    frames: list[list[Floats]] = [[] for _ in start.samples]
    totals: list[list[float]] = [[] for _ in start.samples]

    def sample(now: Replicas, step: int) -> None:
        progress(step / how.steps)
        kinetic = kinetic_energy_eV(now.velocities, now.masses)
        for number in now.running.tolist():
            frames[number].append(now.pos[number].numpy().copy())
            totals[number].append(float(now.energy[number] + kinetic[number]))

    limits = Limits(torch.from_numpy(start.geometry.bonds), torch.from_numpy(start.lengths))
    every = how.every(velocity_fs)
    made = simulate(
        replicas, forces, how.steps, how.timestep_fs, generator=generator, limits=limits, samplers=[(every, sample)]
    )
    outcome = Outcome(_ends(how, made, replicas))
    spacing_fs = every * how.timestep_fs
    slopes = [
        observables.drift(np.arange(len(own), dtype=np.float64) * (spacing_fs / FS_PER_PS), np.array(own), len(start.z))
        for own in totals
        if len(own) >= FEWEST_FRAMES
    ]
    outcome.measures["drift_mev_per_atom_per_ps", ""] = float(np.mean([abs(s) for s, _ in slopes])) if slopes else None
    outcome.measures["fluctuation_mev_per_atom", ""] = float(np.mean([f for _, f in slopes])) if slopes else None
    whole = [np.array(own) for own, number in zip(frames, made, strict=True) if number not in replicas.ended]
    if whole and len(whole[0]) > FEWEST_FRAMES:
        masses = masses_amu(start.z).numpy()
        every_one = [observables.spectrum(own, spacing_fs, masses) for own in whole]
        mean = observables.normalised(Curve(every_one[0].x, np.mean([one.y for one in every_one], axis=0)))
        outcome.curves["spectrum", ""] = mean
        outcome.measures["stretch_peak_per_cm", ""] = observables.stretch_peak(mean)
        if ("spectrum", "") in reference:
            outcome.measures["spectrum_error_per_cm", ""] = observables.moved(mean, reference["spectrum", ""])
    return outcome


@dataclass(frozen=True)
class Labelled:
    """F structures of the same atoms in one box, with the labels of the data's own model.

    Attributes:
        z: atomic numbers, (N,).
        pos: (F, N, 3), Å.
        box: (3, 3), Å.
        energy: (F,), eV.
        forces: (F, N, 3), eV/Å.
    """

    z: NDArray[np.int64]
    pos: Floats
    box: Floats
    energy: Floats
    forces: Floats


def sample_labels(start: Start, forces: Field, how: Dynamics, frames: int) -> Labelled:
    """Structures of a model's own dynamics with its labels; the first half of the simulation is left out."""
    replicas, generator = _replicas(start, how)
    each = -(-frames // len(start.samples))
    every = max(1, how.steps // 2 // each)
    found: list[tuple[Floats, float, Floats]] = []

    def sample(now: Replicas, step: int) -> None:
        if step > how.steps - every * each:
            for number in now.running.tolist():
                found.append(
                    (now.pos[number].numpy().copy(), float(now.energy[number]), now.forces[number].numpy().copy())
                )

    simulate(
        replicas, forces, how.steps, how.timestep_fs, how.temperature, how.friction_per_ps, generator,
        samplers=[(every, sample)],
    )  # fmt: skip
    pos, energy, labels = zip(*found[-frames:], strict=True)
    assert start.box is not None
    return Labelled(start.z, np.stack(pos), start.box, np.array(energy), np.stack(labels))


def compare_labels(labelled: Labelled, forces: Field, place: str) -> Outcome:
    """Errors on labelled structures; ``forces`` knows their box."""
    energies, found = forces(torch.from_numpy(labelled.pos), torch.zeros(len(labelled.pos), dtype=torch.long))
    wrong = (energies.numpy() - labelled.energy) / len(labelled.z)
    return Outcome(
        measures={
            ("force_rmse_mev_per_A", place): _rms(found.numpy() - labelled.forces) * MEV,
            ("energy_rmse_mev_per_atom", place): _rms(wrong) * MEV,
        }
    )


def run_scan(scan: Scan, forces: Field, model: Field | None) -> Outcome:
    """Energies along a scan, against the data's own model where it can be asked; both relative to where it starts."""
    pos, which = torch.from_numpy(scan.frames), torch.zeros(len(scan.x), dtype=torch.long)
    energies, found = (values.numpy() for values in forces(pos, which))
    place = f"{scan.name} ({scan.unit})"
    relative = (energies - energies[scan.home]) * MEV
    outcome = Outcome(
        measures={("scan_jump_mev", place): jump(scan, energies, found)},
        curves={("scan", place): Curve(scan.x, relative)},
    )
    if model is not None:
        exact = model(pos, which)[0].numpy()
        outcome.measures["scan_rmse_mev", place] = _rms(relative - (exact - exact[scan.home]) * MEV)
    return outcome


def _replicas(start: Start, how: Dynamics) -> tuple[Replicas, Generator]:
    generator = torch.Generator().manual_seed(how.seed)
    masses = masses_amu(start.z)
    velocities = thermal_velocities(masses, len(start.samples), how.temperature, generator)
    return Replicas(start.pos, velocities, masses, start.boxes), generator


def _ends(how: Dynamics, made: Mapping[int, int], replicas: Replicas) -> list[End]:
    planned = how.steps * how.timestep_fs / FS_PER_PS
    return [
        End(planned, steps * how.timestep_fs / FS_PER_PS, replicas.ended.get(number)) for number, steps in made.items()
    ]


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))
