"""Water data of the suite against the bare steps of the same simulation in OpenMM."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openmm
from openmm import unit

from performance.rows import Finding, Row, Settings, of_pairs
from performance.timing import alternate
from tasks.datasets.tip3p.options import TIP3PConfig
from tasks.datasets.tip3p.simulation import (
    COLLISION_RATE_PER_PS,
    TrajectoryJob,
    place_molecules,
    run_trajectory,
    water_system,
    write_topology,
)

# As scale quick of suite water has them, and half as long as scale standard has them.
QUICK = TIP3PConfig(
    molecules=16, density_g_per_cm3=0.997, cutoff_A=3.9, trajectories=1, frames_per_trajectory=16, equilibration_ps=2
)
STANDARD = TIP3PConfig(
    molecules=64, density_g_per_cm3=0.997, cutoff_A=6.2, trajectories=1, frames_per_trajectory=100, equilibration_ps=2.5
)


def bare(config: TIP3PConfig) -> Callable[[], None]:
    """The steps of a trajectory of the suite on the same platform with the same settings, and nothing else."""
    context = openmm.Context(
        water_system(config),
        openmm.NoseHooverIntegrator(
            config.temperature_K * unit.kelvin,
            COLLISION_RATE_PER_PS / unit.picosecond,
            config.timestep_fs * unit.femtosecond,
        ),
        openmm.Platform.getPlatformByName(config.platform),
        {"Threads": "1", "DeterministicForces": "true"},
    )
    start = place_molecules(config.molecules, config.side_A, np.random.default_rng(0))
    context.setPositions(start / 10)
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, 200)
    context.setVelocitiesToTemperature(config.temperature_K, 1)
    steps = steps_of(config)
    return lambda: context.getIntegrator().step(steps)


def steps_of(config: TIP3PConfig) -> int:
    """Time steps of a trajectory."""
    equilibration = round(config.equilibration_ps * 1000 / config.timestep_fs)
    return equilibration + config.frames_per_trajectory * config.steps_between_frames


def measure(settings: Settings) -> list[Finding]:
    """One trajectory on one thread: structure, minimisation, dynamics, labels and files, against its dynamics."""
    found = []
    for name, config in (("quick", QUICK), ("standard", STANDARD)):
        with tempfile.TemporaryDirectory() as folder:
            write_topology(config, Path(folder))
            job = TrajectoryJob(config, 0, Path(folder))
            pairs = alternate(
                lambda job=job: run_trajectory(job, lambda done: None),  # type: ignore[misc]
                bare(config),
                settings.budget(20),
                warm_up=1,
                fewest=3,
            )
        what = f"water data, {config.molecules} molecules, {config.frames_per_trajectory} frames ({name})"
        against = f"the {steps_of(config)} bare OpenMM steps"
        found.append(of_pairs(f"dynamics-{name}", what, against, pairs, 0.9))
    return found


ROWS = (Row("dynamics", "OpenMM data against bare OpenMM steps", measure),)
