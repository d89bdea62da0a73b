"""Molecular dynamics of several replicas at once, and when a simulation counts as blown up.

The integrator is BAOAB for Langevin dynamics (Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34,
doi 10.1093/amrx/abs010): half a kick, half a drift, friction and noise exactly, half a drift, half a kick. Without
friction it is velocity Verlet (Swope et al., J. Chem. Phys. 76, 637 (1982)). ASE's integrators cost more than a small
network's forces: for one structure, and once for each replica.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from tasks.geometry import minimum_image
from tasks.simulation.fields import Field
from tasks.simulation.units import ACCELERATION, temperature_K, thermal_speed

BOND_A = 0.5
"""A bond that is off its mean length by more than this is broken: the criterion of Fu et al., arXiv 2210.07237."""
TEMPERATURE_SDS = 8.0
"""A kinetic temperature further above the thermostat's than so many standard deviations is out of bounds."""

Broken = str
"""Why a simulation ended early: `bond`, `temperature` or `not finite`."""


@dataclass
class Replicas:
    """R replicas of one structure with N atoms on their way; those that ended stay where they were.

    Attributes:
        pos: (R, N, 3), Å, not wrapped into the box.
        velocities: (R, N, 3), Å/fs.
        masses: (N,), amu.
        boxes: (R, 3, 3), Å; None if not periodic.
        energy: potential energies (R,), eV, of the present positions.
        forces: (R, N, 3), eV/Å, likewise.
        ended: why each replica ended, by its number.
    """

    pos: Tensor
    velocities: Tensor
    masses: Tensor
    boxes: Tensor | None
    energy: Tensor = field(init=False)
    forces: Tensor = field(init=False)
    ended: dict[int, Broken] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pos = self.pos.double().clone()
        self.energy = torch.full(self.pos.shape[:1], torch.nan).double()
        self.forces = torch.zeros_like(self.pos)

    @property
    def running(self) -> Tensor:
        """Numbers of the replicas that have not ended, (A,)."""
        return torch.tensor([i for i in range(len(self.pos)) if i not in self.ended], dtype=torch.long)


def thermal_velocities(masses: Tensor, replicas: int, temperature: float, generator: Generator) -> Tensor:
    """Velocities (R, N, 3) in Å/fs of the Maxwell–Boltzmann distribution at a temperature in K; centres rest."""
    drawn = torch.randn(replicas, len(masses), 3, generator=generator, dtype=torch.float64)
    velocities = drawn * thermal_speed(masses, temperature)
    momentum = (masses[:, None] * velocities).sum(1, keepdim=True)
    return velocities - momentum / masses.sum()


@dataclass(frozen=True)
class Limits:
    """When a simulation counts as blown up: a broken bond, a temperature out of bounds, or what is not finite.

    Attributes:
        bonds: (M, 2), atoms.
        lengths: their mean lengths (M,), Å.
        highest_K: largest kinetic temperature.
    """

    bonds: Tensor
    lengths: Tensor
    highest_K: float = float("inf")

    @classmethod
    def at(cls, temperature: float, atoms: int, bonds: Tensor, lengths: Tensor) -> Limits:
        """Limits at the temperature of a thermostat: the kinetic one of N atoms scatters by T √(2 / 3N)."""
        return cls(bonds, lengths, temperature * (1 + TEMPERATURE_SDS * (2 / (3 * atoms)) ** 0.5))

    def broken(self, replicas: Replicas) -> dict[int, Broken]:
        """Which of the running replicas have blown up, and why."""
        which = replicas.running
        pos, velocities = replicas.pos[which], replicas.velocities[which]
        finite = (pos.isfinite() & velocities.isfinite() & replicas.forces[which].isfinite()).flatten(1).all(1)
        vectors = pos[:, self.bonds[:, 0]] - pos[:, self.bonds[:, 1]]
        if replicas.boxes is not None:
            boxes = replicas.boxes[which].repeat_interleave(len(self.bonds), 0)
            vectors = minimum_image(vectors.reshape(-1, 3), boxes).reshape(vectors.shape)
        stretched = ((vectors.norm(dim=2) - self.lengths).abs() > BOND_A).any(1)
        hot = temperature_K(velocities, replicas.masses, 3 * len(replicas.masses)) > self.highest_K
        causes = zip(which.tolist(), finite.tolist(), stretched.tolist(), hot.tolist(), strict=True)
        return {
            number: "not finite" if not fine else "bond" if long else "temperature"
            for number, fine, long, high in causes
            if not fine or long or high
        }


Sampler = Callable[[Replicas, int], None]
"""Is shown the replicas at step 0 and after every so many steps."""


def simulate(
    replicas: Replicas,
    forces: Field,
    steps: int,
    timestep_fs: float,
    temperature: float | None = None,
    friction_per_ps: float = 0.0,
    generator: Generator | None = None,
    limits: Limits | None = None,
    check_every: int = 10,
    samplers: Sequence[tuple[int, Sampler]] = (),
) -> dict[int, int]:
    """Integrate the replicas for so many steps, or until they blow up.

    Args:
        replicas: where they start; moved on.
        forces: energies and forces.
        steps: at most.
        timestep_fs: in fs.
        temperature: of the thermostat in K; None with no friction.
        friction_per_ps: of the thermostat; 0 for none, which is velocity Verlet.
        generator: source of the noise, drawn for all replicas whether they run or not.
        limits: when a replica has blown up; None for never.
        check_every: steps between looks at that.
        samplers: (steps between samples, sampler).

    Returns:
        Number of steps that each replica made.
    """
    half = timestep_fs / 2
    decay = torch.exp(torch.tensor(-friction_per_ps / 1000 * timestep_fs, dtype=torch.float64))
    noise = (1 - decay**2).sqrt() * (thermal_speed(replicas.masses, temperature) if temperature else 0.0)
    kick = half * ACCELERATION / replicas.masses[:, None]
    made = dict.fromkeys(range(len(replicas.pos)), 0)
    which = replicas.running
    replicas.energy[which], replicas.forces[which] = forces(replicas.pos[which], which)
    for _, sampler in samplers:
        sampler(replicas, 0)
    for step in range(1, steps + 1):
        velocities = replicas.velocities[which] + kick * replicas.forces[which]
        pos = replicas.pos[which] + half * velocities
        if friction_per_ps:
            drawn = torch.randn(replicas.pos.shape, generator=generator, dtype=torch.float64)
            velocities = decay * velocities + noise * drawn[which]
        pos = pos + half * velocities
        energy, found = forces(pos, which)
        replicas.pos[which], replicas.energy[which], replicas.forces[which] = pos, energy, found
        replicas.velocities[which] = velocities + kick * found
        for number in which.tolist():
            made[number] = step
        if limits is not None and (step % check_every == 0 or step == steps):
            broken = limits.broken(replicas)
            if broken:
                replicas.ended.update(broken)
                which = replicas.running
        for every, sampler in samplers:
            if step % every == 0:
                sampler(replicas, step)
        if not len(which):
            break
    return made
