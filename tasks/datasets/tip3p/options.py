"""Options of TIP3P water."""

from __future__ import annotations

import math
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tasks.datasets.base import DatasetConfig

MOLAR_MASS_G_PER_MOL = 15.99943 + 2 * 1.007947  # the masses of tip3p.xml
AVOGADRO_PER_MOL = 6.02214076e23  # exact, by definition of the mole


class TIP3PConfig(DatasetConfig):
    """Parameters of a TIP3P water dataset."""

    molecules: int = Field(258, ge=1, le=1_000_000, description="Water molecules in the box.")
    box_A: float | None = Field(
        None, gt=0, description="Side of the cubic box in Å (20 in the paper). Give this or density_g_per_cm3."
    )
    density_g_per_cm3: float | None = Field(
        None, gt=0, description="Density in g/cm³, which determines the box. Give this or box_A."
    )
    temperature_K: float = Field(300.0, gt=0, description="Temperature of the thermostat in K.")
    cutoff_A: float = Field(
        10.0,
        gt=0,
        description="Cutoff in Å of real-space PME and Lennard-Jones; at most half the box.",
    )
    lennard_jones: Literal["lattice_sum", "switched"] = Field(
        "lattice_sum",
        description=(
            "lattice_sum: dispersion by LJPME. switched: smoothly switched off between 0.8 of the cutoff "
            "and the cutoff; faster. With the cutoff at half the box, forces in boxes of 16 and 32 molecules "
            "differ from those of a 3 x 3 x 3 replica with a cutoff of 11.7 Å by 1.6 and 0.2 meV/Å (rms) "
            "with lattice_sum, by 6.3 and 2.7 meV/Å with switched."
        ),
    )
    ewald_tolerance: float = Field(
        1e-4, gt=0, lt=0.1, description="Relative error tolerance of PME, which determines its splitting and grid."
    )
    rigid: bool = Field(
        False,
        description=(
            "Keep bonds and angles fixed (SETTLE). Energies and forces then have no bond and angle terms. "
            "The forces are those of OpenMM's getForces: minus the gradient of that energy for every atom, "
            "without the constraint forces that keep a molecule rigid."
        ),
    )
    timestep_fs: float = Field(
        0.5,
        gt=0,
        le=4,
        description="Time step in fs; at most 1 if flexible (an O-H vibration takes about 10 fs).",
    )
    steps_between_frames: int = Field(50, ge=1, le=1_000_000_000, description="Time steps between saved frames.")
    equilibration_ps: float = Field(
        5.0,
        ge=0,
        le=1e6,
        description="Dynamics in ps before the first frame; the energy of 16 molecules equilibrates in 2 ps.",
    )
    trajectories: int = Field(
        10, ge=1, le=100_000, description="Independent trajectories, each starting from its own random structure."
    )
    frames_per_trajectory: int = Field(1000, ge=1, le=100_000_000, description="Frames saved from each trajectory.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of all random numbers (structures, initial velocities).")
    platform: str = Field(
        "CPU",
        description=(
            "OpenMM platform for the dynamics, with deterministic forces if the platform has such a setting, and "
            "with one thread per trajectory on the CPU. Labels always come from Reference (double precision)."
        ),
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.box_A is None) == (self.density_g_per_cm3 is None):
            raise ValueError(
                f"box_A is {self.box_A} and density_g_per_cm3 is {self.density_g_per_cm3}; give exactly one of them"
            )
        if self.cutoff_A > self.side_A / 2:
            raise ValueError(
                f"cutoff_A is {self.cutoff_A} Å, over half the box of {self.side_A:.3f} Å; "
                f"allowed is at most {self.half_box_text}: shorten the cutoff or use more molecules"
            )
        if not self.rigid and self.timestep_fs > 1:
            raise ValueError(
                f"timestep_fs is {self.timestep_fs} fs; flexible water allows at most 1 fs (use rigid: true for more)"
            )
        return self

    @property
    def side_A(self) -> float:
        """Side of the cubic box in Å, rounded to float32, in which it is stored with the frames."""
        if self.box_A is not None:
            return float(np.float32(self.box_A))
        assert self.density_g_per_cm3 is not None
        volume_cm3 = self.molecules * MOLAR_MASS_G_PER_MOL / (AVOGADRO_PER_MOL * self.density_g_per_cm3)
        return float(np.float32(volume_cm3 ** (1 / 3) * 1e8))

    @property
    def half_box_text(self) -> str:
        """Half the box for messages, rounded down so that the number shown is itself allowed."""
        return f"{math.floor(self.side_A / 2 * 1000) / 1000:.3f} Å"
