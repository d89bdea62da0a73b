"""The integrator on harmonic oscillators and against ASE's, and when a simulation counts as blown up."""

from __future__ import annotations

import ase.md.verlet
import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.calculators.lj import LennardJones

from tasks.simulation.dynamics import Limits, Replicas, simulate, thermal_velocities
from tasks.simulation.fields import ModelField
from tasks.simulation.units import (
    ACCELERATION,
    BOLTZMANN_eV_PER_K,
    kinetic_energy_eV,
    masses_amu,
    temperature_K,
)

SPRING = 5.0  # eV/Å²
NO_BONDS = torch.zeros(0, 2, dtype=torch.long), torch.zeros(0, dtype=torch.float64)


def springs(pos, which):
    """Every atom on a spring to the origin."""
    return 0.5 * SPRING * pos.square().sum((1, 2)), -SPRING * pos


def replicas_of(pos, velocities=None, masses=None):
    pos = torch.as_tensor(pos, dtype=torch.float64)
    masses = torch.ones(pos.shape[1]).double() if masses is None else masses
    return Replicas(pos, torch.zeros_like(pos) if velocities is None else velocities, masses, None)


def test_an_oscillator_swings_as_it_should():
    mass, step = 4.0, 0.05
    replicas = replicas_of([[[0.1, 0.0, 0.0]]], masses=torch.tensor([mass]).double())
    omega = (SPRING / mass * ACCELERATION) ** 0.5
    steps = round(2 * np.pi / omega / step * 0.75)
    simulate(replicas, springs, steps, step)
    assert float(replicas.pos[0, 0, 0]) == pytest.approx(0.1 * np.cos(omega * steps * step), abs=1e-6)
    assert float(replicas.velocities[0, 0, 0]) == pytest.approx(-0.1 * omega * np.sin(omega * steps * step), rel=1e-4)


def test_verlet_keeps_the_energy_to_second_order():
    def wandering(step):
        replicas, totals = replicas_of([[[0.1, 0.0, 0.0]]]), []

        def look(replicas, _):
            totals.append(float(replicas.energy + kinetic_energy_eV(replicas.velocities, replicas.masses)))

        simulate(replicas, springs, round(200 / step), step, samplers=[(1, look)])
        return max(totals) - min(totals)

    assert wandering(0.5) / wandering(0.25) == pytest.approx(4, rel=0.05)


def test_baoab_samples_the_oscillator_exactly():
    """Positions of a harmonic oscillator have variance kT/k under BAOAB at any stable step (its authors' result)."""
    temperature, generator = 300.0, torch.Generator().manual_seed(0)
    masses = torch.full((50,), 16.0).double()
    pos = torch.randn(8, 50, 3, generator=generator, dtype=torch.float64) * 0.07
    replicas = replicas_of(pos, thermal_velocities(masses, 8, temperature, generator), masses)
    squares, temperatures = [], []

    def look(replicas, step):
        if step > 100:
            squares.append(float(replicas.pos.square().mean()))
            temperatures.append(float(temperature_K(replicas.velocities, masses, 150).mean()))

    simulate(replicas, springs, 2000, 4.0, temperature, 20.0, generator, samplers=[(5, look)])
    exact = BOLTZMANN_eV_PER_K * temperature / SPRING
    assert np.mean(squares) == pytest.approx(exact, rel=0.03)
    # Half-step velocities of BAOAB are too cold by (ω dt)²/4, which is known; here 5 %.
    omega = (SPRING / 16 * ACCELERATION) ** 0.5
    assert np.mean(temperatures) == pytest.approx(temperature * (1 - (omega * 4.0) ** 2 / 4), rel=0.03)


def test_without_friction_it_is_ases_verlet():
    rng = np.random.default_rng(3)
    atoms = Atoms(
        "Ar4", 3.8 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]) + rng.normal(scale=0.1, size=(4, 3))
    )
    atoms.set_velocities(rng.normal(scale=0.02, size=(4, 3)))
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.0103, rc=12)
    start, speed = atoms.positions.copy(), atoms.get_velocities() * units.fs

    def model(pos):
        moved = atoms.copy()
        moved.positions, moved.calc = pos, LennardJones(sigma=3.4, epsilon=0.0103, rc=12)
        return moved.get_potential_energy(), moved.get_forces()

    replicas = replicas_of(start[None], torch.tensor(speed[None]), masses_amu(atoms.numbers))
    simulate(replicas, ModelField([model]), 50, 2.0)
    ase.md.verlet.VelocityVerlet(atoms, 2.0 * units.fs).run(50)
    np.testing.assert_allclose(replicas.pos[0].numpy(), atoms.positions, atol=1e-10)
    np.testing.assert_allclose(replicas.velocities[0].numpy(), atoms.get_velocities() * units.fs, atol=1e-10)


def test_initial_velocities_are_thermal_and_centres_rest():
    masses = masses_amu(np.array([8, 1, 1] * 50))
    velocities = thermal_velocities(masses, 20, 350.0, torch.Generator().manual_seed(1))
    assert float(temperature_K(velocities, masses, 3 * 150 - 3).mean()) == pytest.approx(350, rel=0.03)
    torch.testing.assert_close((masses[:, None] * velocities).sum(1), torch.zeros(20, 3).double(), atol=1e-12, rtol=0)


def test_replicas_do_not_hang_on_each_other():
    """One that ends takes nothing from the others: neither their noise nor their place."""
    start = torch.full((3, 2, 3), 0.1).double()
    masses, bonds = torch.ones(2).double(), (torch.tensor([[0, 1]]), torch.zeros(1).double())

    def run(push):
        replicas = replicas_of(start.clone(), masses=masses)
        replicas.velocities[1, 0] = push
        made = simulate(
            replicas, springs, 60, 0.5, 300.0, 5.0, torch.Generator().manual_seed(5), Limits(*bonds), check_every=10
        )
        return replicas, made

    (calm, all_made), (torn, made) = run(0.0), run(1.0)
    assert set(all_made.values()) == {60}
    assert torn.ended == {1: "bond"}
    assert made == {0: 60, 1: 10, 2: 60}
    for number in (0, 2):
        assert torch.equal(calm.pos[number], torn.pos[number])


def test_what_counts_as_blown_up():
    limits = Limits.at(300.0, 2, torch.tensor([[0, 1]]), torch.tensor([1.0]).double())
    assert limits.highest_K == pytest.approx(300 * (1 + 8 / 3**0.5))
    pos = torch.tensor([[[0.0, 0, 0], [distance, 0, 0]] for distance in (1.49, 1.51, 0.49, 1.0, 1.0)])
    replicas = replicas_of(pos)
    replicas.velocities[3] = 0.2
    replicas.forces[4, 0, 0] = torch.nan
    assert limits.broken(replicas) == {1: "bond", 2: "bond", 3: "temperature", 4: "not finite"}


def test_bonds_are_seen_across_the_border():
    pos = torch.tensor([[[0.2, 0, 0], [7.8, 0, 0]]]).double()
    replicas = Replicas(pos, torch.zeros_like(pos), torch.ones(2).double(), torch.eye(3).double()[None] * 8)
    assert Limits(torch.tensor([[0, 1]]), torch.tensor([0.4]).double()).broken(replicas) == {}


def test_forces_that_fail_end_their_replica_alone():
    def failing(pos, which):
        energy, forces = springs(pos, which)
        forces[which == 1] = torch.nan
        return energy, forces

    replicas = replicas_of(torch.full((2, 1, 3), 0.1))
    made = simulate(replicas, failing, 20, 0.5, limits=Limits(*NO_BONDS), check_every=5)
    assert replicas.ended == {1: "not finite"}
    assert made == {0: 20, 1: 5}
