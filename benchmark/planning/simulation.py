"""How potentials are simulated. Torch is not imported."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Test = Literal["nvt", "nve", "elsewhere", "scans"]


class SimulationSettings(BaseModel):
    """What a potential goes through in `simulate`; the same for all potentials of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tests: tuple[Test, ...] = Field(
        ("nvt", "nve", "elsewhere", "scans"),
        min_length=1,
        description="nvt: stability and structure. nve: energy conservation and vibrations. elsewhere: errors on "
        "structures of the data's own model at other temperatures and densities and in a larger box. scans: energies "
        "along a bond, an angle and a distance of two molecules.",
    )
    replicas: int = Field(2, ge=1, description="Simulations of each potential and test, from different test frames.")
    boxes: int = Field(
        1,
        ge=1,
        exclude_if=lambda boxes: boxes == 1,
        description="With and without a thermostat the box has so many boxes of the data side by side, along the first "
        "box vector; isolated molecules stay one.",
    )
    nvt_ps: float = Field(10.0, gt=0, description="Length with a thermostat, ps.")
    nve_ps: float = Field(5.0, gt=0, description="Length without a thermostat, ps.")
    timestep_fs: float = Field(0.5, gt=0, le=2, description="Time step, fs.")
    temperature_K: float | None = Field(
        None, gt=0, description="Temperature, K; without one, that of the data, or 300 K where it has none."
    )
    friction_per_ps: float = Field(1.0, gt=0, description="Friction of the Langevin thermostat, 1/ps.")
    equilibration: float = Field(
        0.1, ge=0, lt=1, description="Share of a simulation with a thermostat that its averages leave out."
    )
    frame_fs: float = Field(50.0, gt=0, description="Time between frames that structure is measured in, fs.")
    velocity_fs: float = Field(2.0, gt=0, le=4, description="Time between frames that spectra are made from, fs.")
    reference_factor: int = Field(
        4, ge=2, description="The data's own model has so many times as many replicas: it is the reference."
    )
    temperatures_K: tuple[float, ...] = Field(
        (250.0, 350.0, 400.0), description="Temperatures of the test elsewhere, K, beside that of the data."
    )
    densities: tuple[float, ...] = Field(
        (0.9, 1.1), description="Densities of the test elsewhere, relative to that of the data."
    )
    copies: int = Field(2, ge=1, description="The larger box of the test elsewhere is so many boxes side by side.")
    elsewhere_ps: float = Field(
        2.0, gt=0, description="Length for each condition elsewhere, ps, half of it to get there."
    )
    elsewhere_frames: int = Field(20, ge=1, description="Structures of each condition.")
    seed: int = Field(0, ge=0, description="Of initial velocities and noise.")
    keep_trajectories: bool = Field(False, description="Keep the trajectories with a thermostat, as DCD files.")
