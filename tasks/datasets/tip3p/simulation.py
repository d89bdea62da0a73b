"""TIP3P water by molecular dynamics in OpenMM: parameters, initial structures, one trajectory.

TIP3P: Jorgensen et al., J. Chem. Phys. 79, 926 (1983), doi 10.1063/1.445869, in OpenMM's file `tip3p.xml`,
which also has the harmonic O-H bonds and H-O-H angle that the flexible form uses. Thermostat: Nosé-Hoover
chain (Martyna et al., J. Chem. Phys. 97, 2635 (1992)) in `openmm.NoseHooverIntegrator`. Torch is not imported, so that
the processes that run trajectories start quickly.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import MDAnalysis
import numpy as np
import openmm
from MDAnalysis.coordinates.memory import MemoryReader
from openmm import app, unit
from scipy.constants import N_A, R
from scipy.spatial.transform import Rotation

from tasks.datasets.base import DatasetError
from tasks.datasets.structures.units import A_PER_NM, KJ_PER_MOL_PER_EV
from tasks.datasets.tip3p.options import MOLAR_MASS_G_PER_MOL, TIP3PConfig
from tasks.datasets.tip3p.workers import Report

SWITCH_START = 0.8
"""Start of the Lennard-Jones switching, as a fraction of the cutoff."""
MIN_OXYGEN_DISTANCE_A = 2.4
MIN_ATOM_DISTANCE_A = 1.4
PLACEMENTS = 20_000
"""Random placements tried for a molecule before the box is considered full."""
BATCH = 100
MINIMISATION_STEPS = 200
MINIMISATION_TOLERANCE = 10.0  # kJ/mol/nm, OpenMM's default
COLLISION_RATE_PER_PS = 10.0
TOPOLOGY = "topology.pdb"


@dataclass(frozen=True)
class TrajectoryJob:
    """One trajectory to run: its number, and the folder to write to."""

    config: TIP3PConfig
    index: int
    folder: Path


def trajectory_files(index: int) -> tuple[str, str]:
    """File names of a trajectory: frames (DCD, float32 Å) and labels (npz)."""
    return f"trajectory-{index:03d}.dcd", f"trajectory-{index:03d}.npz"


def place_molecules(molecules: int, side_A: float, rng: np.random.Generator) -> np.ndarray:
    """Places water molecules one by one at random positions in random orientations.

    A placement is rejected if, over all periodic images, its oxygen is closer than 2.4 Å to another oxygen, or any atom
    is closer than 1.4 Å to an atom of another molecule.

    Args:
        molecules: number of molecules.
        side_A: side of the cubic box in Å.
        rng: source of the random numbers.

    Returns:
        Positions in Å, atoms in the order O H H, shape (3 * molecules, 3), float64.

    Raises:
        DatasetError: there is no room for all molecules.
    """
    half_angle, bond = np.deg2rad(104.52) / 2, 0.9572
    x, y = bond * np.cos(half_angle), bond * np.sin(half_angle)
    water = np.array([[0.0, 0.0, 0.0], [x, y, 0.0], [x, -y, 0.0]])
    limits = np.full((3, 3), MIN_ATOM_DISTANCE_A)
    limits[0, 0] = MIN_OXYGEN_DISTANCE_A
    placed = np.empty((molecules, 3, 3))
    for count in range(molecules):
        for _ in range(PLACEMENTS // BATCH):
            turns = Rotation.random(BATCH, rng=rng).as_matrix()
            trial = water @ turns.transpose(0, 2, 1) + rng.uniform(0, side_A, (BATCH, 1, 3))
            # Oxygens alone, one pair of nine, rule out most trials.
            apart = _distances(trial[:, :1], placed[:count, :1], side_A) >= MIN_OXYGEN_DISTANCE_A
            trial = trial[apart.all(axis=(1, 2, 3))]
            fits = (_distances(trial, placed[:count], side_A) >= limits[None, :, None, :]).all(axis=(1, 2, 3))
            if fits.any():
                placed[count] = trial[fits.argmax()]
                break
        else:
            density = molecules * MOLAR_MASS_G_PER_MOL / N_A / (side_A * 1e-8) ** 3
            raise DatasetError(
                f"{molecules} water molecules do not fit at random into a box of {side_A:.3f} Å "
                f"({density:.2f} g/cm³): no room after {count}. Use fewer molecules or a larger box "
                "(liquid water: 1.0 g/cm³)"
            )
    return placed.reshape(-1, 3)


def _distances(trial: np.ndarray, placed: np.ndarray, side_A: float) -> np.ndarray:
    """Distances (trial, its atom, placed molecule, its atom) by minimum image, Å."""
    apart = trial[:, :, None, None] - placed[None, None]
    apart -= side_A * np.round(apart / side_A)
    distances: np.ndarray = np.linalg.norm(apart, axis=-1)
    return distances


def water_topology(config: TIP3PConfig, box_A: np.ndarray | None = None) -> app.Topology:
    """The molecules of a dataset, in the cubic box of its options or another."""
    return box_of_water(config.molecules, np.eye(3) * config.side_A if box_A is None else box_A)


def box_of_water(molecules: int, vectors_A: np.ndarray) -> app.Topology:
    """OpenMM topology: one residue HOH per molecule with atoms O H1 H2; box vectors as rows (3, 3) in Å."""
    topology = app.Topology()
    chain = topology.addChain()
    for _ in range(molecules):
        residue = topology.addResidue("HOH", chain)
        oxygen = topology.addAtom("O", app.element.oxygen, residue)
        for name in ("H1", "H2"):
            topology.addBond(oxygen, topology.addAtom(name, app.element.hydrogen, residue))
    topology.setPeriodicBoxVectors(vectors_A / A_PER_NM * unit.nanometer)
    return topology


def water_system(config: TIP3PConfig, box_A: np.ndarray | None = None) -> openmm.System:
    """OpenMM system of TIP3P water with particle-mesh Ewald electrostatics; see `water_topology` for the box."""
    switched = config.lennard_jones == "switched"
    return app.ForceField("tip3p.xml").createSystem(
        water_topology(config, box_A),
        nonbondedMethod=app.PME if switched else app.LJPME,
        nonbondedCutoff=config.cutoff_A / A_PER_NM * unit.nanometer,
        switchDistance=SWITCH_START * config.cutoff_A / A_PER_NM * unit.nanometer if switched else None,
        ewaldErrorTolerance=config.ewald_tolerance,
        constraints=None,
        rigidWater=config.rigid,
    )


def label_context(system: openmm.System) -> openmm.Context:
    """Context for energies and forces, on the Reference platform (double precision)."""
    return openmm.Context(
        system,
        openmm.VerletIntegrator(1 * unit.femtosecond),
        openmm.Platform.getPlatformByName("Reference"),
    )


def evaluate(context: openmm.Context, positions_A: np.ndarray) -> tuple[float, np.ndarray]:
    """Potential energy in eV and forces (N, 3) in eV/Å, float64, at positions (N, 3) in Å."""
    context.setPositions(np.asarray(positions_A, dtype=np.float64) / A_PER_NM)
    state = context.getState(getEnergy=True, getForces=True)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return energy / KJ_PER_MOL_PER_EV, forces / (KJ_PER_MOL_PER_EV * A_PER_NM)


def find_platform(name: str) -> openmm.Platform:
    """The OpenMM platform of that name.

    Raises:
        DatasetError: this installation of OpenMM does not have it.
    """
    names = [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]
    if name not in names:
        raise DatasetError(f"OpenMM has no platform {name!r} here; allowed are {', '.join(names)}")
    return openmm.Platform.getPlatformByName(name)


def write_topology(config: TIP3PConfig, folder: Path) -> None:
    """Writes a PDB file with elements, residues and box; all its coordinates are zero."""
    with (folder / TOPOLOGY).open("w", encoding="utf-8") as stream:
        app.PDBFile.writeFile(water_topology(config), np.zeros((3 * config.molecules, 3)) * unit.nanometer, stream)


def run_trajectory(job: TrajectoryJob, report: Report) -> None:
    """Runs one trajectory and writes its frames (DCD) and labels (npz) into the job's folder.

    Random structure, energy minimisation, Maxwell-Boltzmann velocities, equilibration, then frames. Labels are
    evaluated at the stored positions, after their rounding to float32. The npz has `energy_eV` (F,) float64,
    `forces_eV_per_A` (F, N, 3) float32 and `temperature_K` (F,) float64, from the kinetic energy.

    Raises:
        DatasetError: the molecules do not fit, the platform is missing, or the dynamics broke down.
    """
    config = job.config
    stream = np.random.SeedSequence(config.seed, spawn_key=(job.index,))
    rng = np.random.default_rng(stream)
    start = place_molecules(config.molecules, config.side_A, rng)
    velocity_seed = int(rng.integers(1, 2**31))
    try:
        positions, energies, forces, temperatures = _simulate(config, start, velocity_seed, report)
    except openmm.OpenMMException as error:
        raise DatasetError(
            f"OpenMM could not run trajectory {job.index} at timestep_fs {config.timestep_fs}, temperature_K "
            f"{config.temperature_K}, platform {config.platform}: {error}. "
            "A shorter time step or a lower density may help"
        ) from error
    frames_name, labels_name = trajectory_files(job.index)
    np.savez(job.folder / labels_name, energy_eV=energies, forces_eV_per_A=forces, temperature_K=temperatures)
    universe = MDAnalysis.Universe(
        os.fspath(job.folder / TOPOLOGY),
        positions,
        format=MemoryReader,
        order="fac",
        dimensions=np.array([config.side_A] * 3 + [90.0] * 3, dtype=np.float32),
    )
    step_ps = config.steps_between_frames * config.timestep_fs / 1000
    universe.atoms.write(os.fspath(job.folder / frames_name), frames="all", dt=step_ps)


def _simulate(
    config: TIP3PConfig, start_A: np.ndarray, velocity_seed: int, report: Report
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Positions (F, N, 3) in Å, energies (F,) in eV, forces (F, N, 3) in eV/Å, temperatures (F,) in K."""
    platform = find_platform(config.platform)
    settings = {"Threads": "1", "DeterministicForces": "true", "Precision": "mixed"}
    settings = {name: value for name, value in settings.items() if name in platform.getPropertyNames()}
    system = water_system(config)
    freedoms = 3 * system.getNumParticles() - system.getNumConstraints() - 3
    integrator = openmm.NoseHooverIntegrator(
        config.temperature_K * unit.kelvin,
        COLLISION_RATE_PER_PS / unit.picosecond,
        config.timestep_fs * unit.femtosecond,
    )
    context = openmm.Context(system, integrator, platform, settings)
    labels = label_context(system)
    context.setPositions(start_A / A_PER_NM)
    openmm.LocalEnergyMinimizer.minimize(context, MINIMISATION_TOLERANCE, MINIMISATION_STEPS)
    context.setVelocitiesToTemperature(config.temperature_K, velocity_seed)

    frames, atoms, stride = (
        config.frames_per_trajectory,
        system.getNumParticles(),
        config.steps_between_frames,
    )
    equilibration = round(config.equilibration_ps * 1000 / config.timestep_fs)
    total = equilibration + frames * stride
    for done in range(0, equilibration, stride):
        integrator.step(min(stride, equilibration - done))
        report(done / total)
    positions = np.empty((frames, atoms, 3), np.float32)
    forces = np.empty((frames, atoms, 3), np.float32)
    energies, temperatures = np.empty(frames), np.empty(frames)
    for frame in range(frames):
        integrator.step(stride)
        # Molecules are wrapped as wholes, so coordinates stay small and float32 keeps about 1e-6 Å.
        state = context.getState(getPositions=True, getEnergy=True, enforcePeriodicBox=True)
        positions[frame] = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
        energies[frame], forces[frame] = evaluate(labels, positions[frame])
        kinetic = state.getKineticEnergy().value_in_unit(unit.joule / unit.mole)
        temperatures[frame] = 2 * kinetic / (freedoms * R)
        if not (np.isfinite(energies[frame]) and np.isfinite(forces[frame]).all()):
            raise openmm.OpenMMException(f"energy or forces of frame {frame} are not finite")
        report((equilibration + (frame + 1) * stride) / total)
    return positions, energies, forces, temperatures
