"""TIP3P water: units, physics, determinism, files."""

import copy
import io
import json
from pathlib import Path

import MDAnalysis
import numpy as np
import openmm
import pytest
import torch
from openmm import app, unit
from pydantic import ValidationError
from torch_geometric.data import Data

from tasks.datasets.base import Dataset, DatasetError
from tasks.datasets.storage import cache
from tasks.datasets.tip3p import simulation
from tasks.datasets.tip3p.options import TIP3PConfig
from tasks.datasets.tip3p.simulation import evaluate, label_context, place_molecules, water_system
from tasks.datasets.tip3p.task import FORMAT_VERSION, TIP3P
from tasks.geometry import minimum_image
from tasks.simulation.structures import repeated

TINY = {
    "molecules": 8,
    "density_g_per_cm3": 0.997,
    "cutoff_A": 3.0,
    "equilibration_ps": 0.05,
    "trajectories": 2,
    "frames_per_trajectory": 4,
}
LONG = TINY | {
    "trajectories": 1,
    "frames_per_trajectory": 120,
    "equilibration_ps": 0.5,
    "lennard_jones": "switched",
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:DCDReader currently makes:DeprecationWarning"),
]


def make(data_dir: Path, workers: int = 1, **changes) -> tuple[TIP3P, Dataset]:
    task = TIP3P(TIP3PConfig(**(TINY | changes)))
    task.prepare(data_dir, workers=workers)
    return task, task.load(data_dir)


@pytest.fixture(scope="session")
def flexible(tmp_path_factory: pytest.TempPathFactory) -> tuple[TIP3P, Dataset, Path]:
    data_dir = tmp_path_factory.mktemp("flexible")
    return *make(data_dir), data_dir


@pytest.fixture(scope="session")
def rigid(tmp_path_factory: pytest.TempPathFactory) -> tuple[TIP3P, Dataset]:
    return make(tmp_path_factory.mktemp("rigid"), rigid=True, lennard_jones="switched")


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[TIP3P, Dataset]:
    return make(tmp_path_factory.mktemp("long"), **LONG)


def frames(dataset: Dataset) -> torch.Tensor:
    return torch.stack([sample.pos for sample in dataset.samples])


def folder_of(task: TIP3P, data_dir: Path) -> Path:
    return cache.dataset_folder(data_dir, task.kind, task.config.model_dump(mode="json"), FORMAT_VERSION)


def independent_context(rigid: bool, tolerance: float = 1e-4) -> openmm.Context:
    """OpenMM set up from scratch for the tiny box; nothing of the project's set-up is used."""
    side_nm = (8 * 18.015324 / (0.997 * 6.02214076e23)) ** (1 / 3) * 1e7
    atoms = "".join(
        f"HETATM{3 * m + i + 1:5d}  {name:3s} HOH A{m + 1:4d}    {m * 2.0 + i * 0.5:8.3f}   0.000   0.000\n"
        for m in range(8)
        for i, name in enumerate(("O", "H1", "H2"))
    )
    topology = app.PDBFile(io.StringIO(atoms + "END\n")).topology
    topology.setUnitCellDimensions(openmm.Vec3(side_nm, side_nm, side_nm))
    system = app.ForceField("tip3p.xml").createSystem(
        topology,
        nonbondedMethod=app.PME if rigid else app.LJPME,
        nonbondedCutoff=0.3,
        switchDistance=0.24 if rigid else None,
        ewaldErrorTolerance=tolerance,
        rigidWater=rigid,
    )
    platform = openmm.Platform.getPlatformByName("Reference")
    return openmm.Context(system, openmm.VerletIntegrator(0.001), platform)


def energy_eV(context: openmm.Context, positions_A: np.ndarray) -> float:
    context.setPositions(positions_A * unit.angstrom)
    energy = context.getState(getEnergy=True).getPotentialEnergy() / unit.AVOGADRO_CONSTANT_NA
    return energy.value_in_unit(unit.joule) / 1.602176634e-19


@pytest.mark.parametrize("form", ["flexible", "rigid"])
def test_units_of_energy_and_forces(form: str, request: pytest.FixtureRequest) -> None:
    dataset = request.getfixturevalue(form)[1]
    context = independent_context(rigid=form == "rigid")
    for sample in dataset.samples[::3]:
        positions = sample.pos.double().numpy()
        assert sample.y.item() == pytest.approx(energy_eV(context, positions), abs=1e-6)
        forces = context.getState(getForces=True).getForces(asNumpy=True)
        forces_N = (forces / unit.AVOGADRO_CONSTANT_NA).value_in_unit(unit.joule / unit.meter)
        np.testing.assert_allclose(sample.neg_dy, forces_N * 1e-10 / 1.602176634e-19, atol=1e-5)


def closest_to(length_A: float, sample: Data) -> float:
    """Smallest difference between a distance of two atoms (minimum image) and a length, Å."""
    vectors = (sample.pos[:, None] - sample.pos).double().reshape(-1, 3)
    return float((minimum_image(vectors, sample.box[0].double()).norm(dim=1) - length_A).abs().min())


@pytest.mark.parametrize("form", ["flexible", "rigid"])
def test_forces_are_minus_the_gradient_of_the_energies(form: str, request: pytest.FixtureRequest) -> None:
    context, step = independent_context(rigid=form == "rigid"), 1e-4
    # Ewald sums are cut off in direct space: where a pair crosses the cutoff the energy jumps, and has no slope.
    samples = request.getfixturevalue(form)[1].samples
    sample = next(sample for sample in samples if closest_to(TINY["cutoff_A"], sample) > 2 * step)
    start = sample.pos.double().numpy()
    for atom, axis in [(0, 0), (1, 1), (5, 2), (12, 0), (23, 1)]:
        shift = np.zeros_like(start)
        shift[atom, axis] = step
        numerical = -(energy_eV(context, start + shift) - energy_eV(context, start - shift)) / (2 * step)
        assert sample.neg_dy[atom, axis].item() == pytest.approx(numerical, abs=1e-4)


def test_sample_fields(flexible: tuple[TIP3P, Dataset, Path]) -> None:
    task, dataset, _ = flexible
    assert len(dataset.samples) == 8
    assert dataset.outline.groups.dtype == np.int64
    assert dataset.outline.groups.tolist() == [0] * 4 + [1] * 4
    assert dataset.species == (1, 8)
    assert task.title == "TIP3P water, flexible, 8 molecules, 300 K"
    example = task.example(Path())
    for sample in dataset.samples:
        assert sample.z.tolist() == [8, 1, 1] * 8
        assert sample.z.dtype == torch.int64
        assert sample.molecule.tolist() == [m for m in range(8) for _ in range(3)]
        assert sample.pos.shape == sample.neg_dy.shape == (24, 3)
        assert sample.pos.dtype == sample.neg_dy.dtype == sample.box.dtype == torch.float32
        assert sample.y.shape == (1, 1)
        assert sample.y.dtype == torch.float64
        assert torch.equal(sample.box, torch.eye(3)[None] * task.config.side_A)
        for field in ("z", "box", "molecule"):
            assert torch.equal(example[field], sample[field])
            assert example[field].dtype == sample[field].dtype
    assert example.pos.shape == (24, 3)
    assert not torch.equal(example.pos, task.example(Path(), 1).pos)
    volume_cm3 = float(np.prod(np.diag(dataset.samples[0].box[0].double()))) * 1e-24
    assert 8 * 18.0153 / 6.02214076e23 / volume_cm3 == pytest.approx(0.997, rel=1e-5)


def test_a_sample_does_not_carry_its_trajectory(flexible: tuple[TIP3P, Dataset, Path]) -> None:
    for field in ("pos", "neg_dy", "y"):
        tensor = copy.copy(flexible[1].samples[0][field])
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


def test_same_seed_same_frames_whatever_the_workers(flexible: tuple[TIP3P, Dataset, Path], tmp_path: Path) -> None:
    again = make(tmp_path, workers=2)[1]
    for one, other in zip(flexible[1].samples, again.samples, strict=True):
        assert torch.equal(one.pos, other.pos)
        assert torch.equal(one.y, other.y)
        assert torch.equal(one.neg_dy, other.neg_dy)


def test_other_seed_and_other_trajectory_give_other_frames(
    flexible: tuple[TIP3P, Dataset, Path], tmp_path: Path
) -> None:
    reference = frames(flexible[1])
    other = frames(make(tmp_path, seed=1, trajectories=1)[1])
    assert (reference[:4] - other).abs().mean() > 0.5
    assert (reference[:4] - reference[4:]).abs().mean() > 0.5
    # More trajectories do not change the earlier ones.
    assert torch.equal(frames(make(tmp_path, trajectories=1)[1]), reference[:4])


def test_mdanalysis_reads_the_files(flexible: tuple[TIP3P, Dataset, Path]) -> None:
    task, dataset, data_dir = flexible
    folder = folder_of(task, data_dir)
    universe = MDAnalysis.Universe(str(folder / "topology.pdb"), str(folder / "trajectory-001.dcd"))
    assert list(universe.atoms.elements) == ["O", "H", "H"] * 8
    assert len(universe.residues) == 8
    assert set(universe.residues.resnames) == {"HOH"}
    assert universe.trajectory.n_frames == 4
    assert universe.trajectory.dt == pytest.approx(0.025, rel=1e-5)
    np.testing.assert_allclose(universe.dimensions, [task.config.side_A] * 3 + [90] * 3)
    for step, sample in zip(universe.trajectory, dataset.samples[4:], strict=True):
        assert np.array_equal(step.positions, sample.pos.numpy())


def bond_lengths(dataset: Dataset) -> np.ndarray:
    """O-H distances without any minimum image: molecules are stored whole."""
    molecules = frames(dataset).reshape(-1, 3, 3).double()
    return (molecules[:, 1:] - molecules[:, :1]).norm(dim=-1).numpy()


def test_geometry_of_flexible_water(long: tuple[TIP3P, Dataset]) -> None:
    lengths = bond_lengths(long[1])
    # Harmonic bond, k = 462750 kJ/mol/nm²: sd sqrt(kT/k) = 0.0232 Å; the liquid stretches it by some 0.01 Å.
    assert lengths.mean() == pytest.approx(0.965, abs=0.015)
    assert lengths.std() == pytest.approx(0.0232, rel=0.25)


def test_geometry_of_rigid_water(rigid: tuple[TIP3P, Dataset]) -> None:
    np.testing.assert_allclose(bond_lengths(rigid[1]), 0.9572, atol=1e-5)
    molecules = frames(rigid[1]).reshape(-1, 3, 3)
    np.testing.assert_allclose((molecules[:, 1] - molecules[:, 2]).norm(dim=-1), 1.5139, atol=1e-4)


def test_temperature(long: tuple[TIP3P, Dataset]) -> None:
    # One frame has sd 300 K * sqrt(2 / 69) = 51 K; the mean of 3 ps of them is known to some 15 K.
    assert long[1].provenance["mean_temperature_K"] == pytest.approx(300, abs=45)


def test_provenance_is_json_and_complete(flexible: tuple[TIP3P, Dataset, Path]) -> None:
    provenance = json.loads(json.dumps(flexible[1].provenance))
    assert provenance["parameters"] == flexible[0].config.model_dump(mode="json")
    assert provenance["versions"]["openmm"]
    assert provenance["units"]["neg_dy"] == "eV/Å"


def test_progress_rises_to_one(tmp_path: Path) -> None:
    seen: list[float] = []
    TIP3P(TIP3PConfig(**TINY)).prepare(tmp_path, lambda message, fraction: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] == 1
    assert len(set(seen)) > 8


def test_interrupted_generation_leaves_no_dataset(tmp_path: Path) -> None:
    task = TIP3P(TIP3PConfig(**TINY))

    def interrupt(message: str, fraction: float) -> None:
        if fraction > 0.6:  # the first trajectory is on disk
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        task.prepare(tmp_path, interrupt)
    with pytest.raises(DatasetError, match="no complete dataset"):
        task.load(tmp_path)
    task.prepare(tmp_path)
    assert len(task.load(tmp_path).samples) == 8


def test_damaged_trajectory_is_named(tmp_path: Path) -> None:
    task, _ = make(tmp_path, trajectories=1, frames_per_trajectory=1)
    file = folder_of(task, tmp_path) / "trajectory-000.dcd"
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)
    with pytest.raises(DatasetError, match=r"trajectory-000\.dcd"):
        task.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"cutoff_A": 3.2},
            r"cutoff_A is 3\.2 Å, over half the box of 6\.215 Å; allowed is at most 3\.107 Å",
        ),
        ({"molecules": 0}, "molecules"),
        ({"temperature_K": -1.0}, "temperature_K"),
        ({"box_A": 7.0}, "exactly one"),
        ({"density_g_per_cm3": None}, "exactly one"),
        ({"timestep_fs": 2.0}, "flexible water allows at most 1 fs"),
        ({"temperature_K": float("nan")}, "temperature_K"),
        ({"molecule": 3}, "molecule"),
    ],
)
def test_bad_parameters(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TIP3PConfig(**(TINY | changes))


def test_half_the_box_is_allowed() -> None:
    paper = TIP3PConfig(box_A=20.0)
    assert paper.cutoff_A == 10.0
    assert paper.molecules == 258
    TIP3P(paper).check(10.0)
    with pytest.raises(DatasetError, match=r"10\.1 Å is over half the box of 20\.000 Å.*at most 10\.000"):
        TIP3P(paper).check(10.1)


def test_unknown_platform(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no platform 'Abacus'.*Reference"):
        TIP3P(TIP3PConfig(**(TINY | {"platform": "Abacus"}))).prepare(tmp_path)


def test_box_too_dense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "PLACEMENTS", 500)
    task = TIP3P(TIP3PConfig(molecules=8, box_A=4.0, cutoff_A=2.0, trajectories=1))
    with pytest.raises(DatasetError, match=r"8 water molecules do not fit .* box of 4\.000 Å"):
        task.prepare(tmp_path)


def test_placed_molecules_keep_their_distances() -> None:
    side = 7.82
    atoms = place_molecules(16, side, np.random.default_rng(3)).reshape(16, 3, 3)
    np.testing.assert_allclose(np.linalg.norm(atoms[:, 1:] - atoms[:, :1], axis=-1), 0.9572)
    apart = atoms[:, None, :, None] - atoms[None, :, None, :]
    distances = np.linalg.norm(apart - side * np.round(apart / side), axis=-1)
    distances[np.arange(16), np.arange(16)] = np.inf
    assert distances.min() >= 1.4
    assert distances[:, :, 0, 0].min() >= 2.4


def test_the_own_model_gives_the_labels_and_those_of_other_boxes(tmp_path):
    task = TIP3P(TIP3PConfig(molecules=8, density_g_per_cm3=0.997, cutoff_A=3.1))
    sample = task.example(tmp_path)
    pos = sample.pos.double().numpy()
    exact = evaluate(label_context(water_system(task.config)), pos)
    energy, forces = task.own_model(sample)(pos)
    assert energy == exact[0]
    np.testing.assert_array_equal(forces, exact[1])
    # Two boxes side by side hold the same water: lattice sums know no border.
    twice = repeated(sample, 2)
    energy, forces = task.own_model(twice)(twice.pos.double().numpy())
    assert energy == pytest.approx(2 * exact[0], abs=0.02)
    np.testing.assert_allclose(forces[:24], exact[1], atol=0.02)
    assert task.temperature_K == 300


def test_what_has_no_own_model(tmp_path):
    options = {"molecules": 8, "density_g_per_cm3": 0.997, "cutoff_A": 3.1}
    sample = TIP3P(TIP3PConfig(**options)).example(tmp_path)
    assert TIP3P(TIP3PConfig(**options, rigid=True)).own_model(sample) is None
    smaller = sample.clone()
    smaller.box = sample.box * 0.95
    switched = TIP3P(TIP3PConfig(**options, lennard_jones="switched"))
    assert switched.own_model(sample) is not None
    assert switched.own_model(smaller) is None
    smaller.z = smaller.z.flip(0)
    assert TIP3P(TIP3PConfig(**options)).own_model(smaller) is None
