"""Units of simulations: Å, fs, eV, amu and K; every conversion between them is here, from ASE's constants."""

from __future__ import annotations

import numpy as np
import torch
from ase import units
from ase.data import atomic_masses
from numpy.typing import NDArray
from scipy.constants import c
from torch import Tensor

ACCELERATION: float = units.fs**2
"""Å/fs² of 1 eV/Å on 1 amu."""
BOLTZMANN_eV_PER_K: float = units.kB
PER_CM_OF_PER_FS: float = 1e15 / (100 * c)
"""Wavenumber in 1/cm of a frequency of 1/fs."""
MEV = 1000.0
"""meV in 1 eV."""


def masses_amu(z: NDArray[np.integer]) -> Tensor:
    """Masses of atoms with these atomic numbers (N,), in amu, float64."""
    return torch.from_numpy(atomic_masses[np.asarray(z)].astype(np.float64))


def kinetic_energy_eV(velocities: Tensor, masses: Tensor) -> Tensor:
    """Kinetic energies (R,) of velocities (R, N, 3) in Å/fs and masses (N,) in amu."""
    return 0.5 * (masses[:, None] * velocities.square()).sum((1, 2)) / ACCELERATION


def temperature_K(velocities: Tensor, masses: Tensor, freedoms: int) -> Tensor:
    """Kinetic temperatures (R,), with so many degrees of freedom."""
    return 2 * kinetic_energy_eV(velocities, masses) / (freedoms * BOLTZMANN_eV_PER_K)


def thermal_speed(masses: Tensor, temperature: float) -> Tensor:
    """Standard deviation of each component of the velocity, Å/fs, (N, 1)."""
    return (BOLTZMANN_eV_PER_K * temperature * ACCELERATION / masses).sqrt()[:, None]
