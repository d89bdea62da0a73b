"""The user's own trajectories: positions, boxes, elements, bonds, frames, and what is refused."""

from __future__ import annotations

import hashlib
import warnings
from importlib.metadata import version

import ase.io
import MDAnalysis
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from hypothesis import given, settings
from hypothesis import strategies as st
from MDAnalysis.lib.mdamath import triclinic_vectors
from pydantic import ValidationError

from tasks.datasets.base import DatasetError
from tasks.datasets.own.trajectory import Trajectory, TrajectoryConfig

ETHANOL = molecule("CH3CH2OH")
CUBE = [8.0, 8.0, 8.0, 90, 90, 90]


def waters(molecules: int = 4) -> Atoms:
    atoms = Atoms()
    for number in range(molecules):
        one = molecule("H2O")
        one.translate((0, 0, 3 * number))
        atoms += one
    return atoms


def universe_of(atoms: Atoms, frames: np.ndarray, dimensions=None, elements=True, bonds=None) -> MDAnalysis.Universe:
    """A universe in memory: atoms named by their elements, frames (F, N, 3) Å, one box for all."""
    universe = MDAnalysis.Universe.empty(len(atoms), trajectory=True)
    universe.add_TopologyAttr("names", atoms.get_chemical_symbols())
    universe.add_TopologyAttr("resnames", ["MOL"])
    if elements:
        universe.add_TopologyAttr("elements", atoms.get_chemical_symbols())
    if bonds is not None:
        universe.add_TopologyAttr("bonds", bonds)
    universe.load_new(np.asarray(frames, dtype=np.float32), order="fac", dimensions=dimensions)
    return universe


def jittered(atoms: Atoms, frames: int, seed: int = 0) -> np.ndarray:
    return atoms.positions + np.random.default_rng(seed).normal(scale=0.02, size=(frames, len(atoms), 3))


@pytest.fixture
def write(tmp_path):
    """Writes a topology and a trajectory, and gives the task that reads them."""

    def make(atoms=ETHANOL, frames=12, dimensions=None, topology="md.pdb", trajectory="md.dcd", options=None, **how):
        positions = jittered(atoms, frames) if isinstance(frames, int) else frames
        universe = universe_of(atoms, positions, dimensions, **how)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fields that the formats have and these atoms lack
            universe.atoms.write(tmp_path / topology, **({"bonds": "all"} if how.get("bonds") is not None else {}))
            universe.atoms.write(tmp_path / trajectory, frames="all")
        return task(topology=topology, trajectory=trajectory, **(options or {}))

    return make


def task(**options) -> Trajectory:
    return Trajectory(TrajectoryConfig(**options))


@pytest.mark.parametrize(
    ("topology", "trajectory", "tolerance_A"),
    [
        ("md.pdb", "md.dcd", 1e-6),  # float32
        ("md.pdb", "md.trr", 1e-5),  # float32 in nm
        ("md.pdb", "md.xtc", 6e-3),  # hundredths of Å
        ("md.pdb", "md.xyz", 6e-6),  # five decimals
        ("md.pdb", "md.pdb", 6e-4),  # three decimals
        ("md.gro", "md.dcd", 1e-6),
        ("md.xyz", "md.xyz", 6e-6),
    ],
)
def test_positions_come_back_within_the_formats_precision(write, tmp_path, topology, trajectory, tolerance_A):
    frames = jittered(ETHANOL, 5)
    own = write(frames=frames, topology=topology, trajectory=trajectory, options={"blocks": 5})
    data = own.load(tmp_path)
    assert data.trajectory_frames.tolist() == [[0, frame] for frame in range(5)]
    for sample, expected in zip(data.samples, frames, strict=True):
        assert sample.z.tolist() == ETHANOL.numbers.tolist()
        assert set(sample.keys()) == {"z", "pos", "molecule", "site"}
        np.testing.assert_allclose(sample.pos, expected, rtol=0, atol=tolerance_A + 1e-6)
        assert sample.molecule.tolist() == [0] * 9
        assert sample.site.tolist() == [0, 1, 2, 2, 1, 1, 0, 0, 0]
    assert Trajectory.labelled is False
    assert data.title == f"5 frames of C2H6O from {trajectory}"


@settings(max_examples=25)
@given(
    lengths=st.tuples(*[st.floats(6.5, 8)] * 2, st.floats(12.5, 14)),
    angles=st.tuples(*[st.floats(70, 110)] * 3),
    seed=st.integers(0, 1000),
)
def test_triclinic_boxes_keep_distances_and_wrapped_molecules(tmp_path_factory, lengths, angles, seed):
    folder = tmp_path_factory.mktemp("triclinic")
    atoms = waters()
    atoms.positions += np.random.default_rng(seed).uniform(0, 8, 3)
    vectors = triclinic_vectors([*lengths, *angles]).astype(np.float64)
    atoms.set_cell(vectors)
    atoms.pbc = True
    atoms.wrap()
    universe = universe_of(atoms, atoms.positions[None], [*lengths, *angles])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe.atoms.write(folder / "md.pdb")
        universe.atoms.write(folder / "md.dcd", frames="all")
    sample = task(topology="md.pdb", trajectory="md.dcd", blocks=1).load(folder).samples[0]
    box = sample.box[0].double().numpy()
    assert (box[0, 1], box[0, 2], box[1, 2]) == (0, 0, 0)
    assert np.linalg.det(box) == pytest.approx(atoms.get_volume(), rel=1e-5)
    read = Atoms(sample.z.numpy(), sample.pos.numpy(), cell=box, pbc=True)
    near = atoms.get_all_distances(mic=True)
    np.testing.assert_allclose(read.get_all_distances(mic=True), near, rtol=0, atol=1e-4)
    assert sample.molecule.tolist() == sample.site.tolist() == np.repeat(np.arange(4), 3).tolist()


def test_a_box_for_every_frame(tmp_path):
    """As in a simulation at constant pressure."""
    atoms = waters(2)
    universe = universe_of(atoms, jittered(atoms, 3), CUBE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe.atoms.write(tmp_path / "md.pdb")
        with MDAnalysis.Writer(str(tmp_path / "md.dcd"), len(atoms)) as writer:
            for frame, step in enumerate(universe.trajectory):
                step.dimensions = [8 + frame, 8, 8, 90, 90, 90]
                writer.write(universe.atoms)
    data = task(topology="md.pdb", trajectory="md.dcd", blocks=1).load(tmp_path)
    assert [sample.box[0, 0, 0].item() for sample in data.samples] == [8, 9, 10]


def test_frames_and_blocks_of_several_files(write, tmp_path):
    write(frames=12)
    (tmp_path / "md.dcd").rename(tmp_path / "first.dcd")
    write(frames=9, trajectory="second.dcd")
    own = task(topology="md.pdb", trajectory=["first.dcd", "second.dcd"], start=1, stop=11, every=3, blocks=2)
    data = own.load(tmp_path)
    assert data.trajectory_frames.tolist() == [[0, 1], [0, 4], [0, 7], [0, 10], [1, 1], [1, 4], [1, 7]]
    assert data.outline.groups.tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert own.outline(tmp_path).groups.tolist() == data.outline.groups.tolist()
    np.testing.assert_allclose(data.samples[1].pos, jittered(ETHANOL, 12)[4], rtol=0, atol=1e-6)
    np.testing.assert_allclose(data.samples[6].pos, jittered(ETHANOL, 9)[7], rtol=0, atol=1e-6)


def test_a_selection_leaves_whole_molecules(write, tmp_path):
    water = molecule("H2O")
    water.translate((0, 0, 9))
    atoms = ETHANOL + Atoms("Na", [[0, 0, 6]]) + water
    data = write(atoms, options={"selection": "not name Na"}).load(tmp_path)
    assert data.species == (1, 6, 8)
    assert data.samples[0].molecule.tolist() == [0] * 9 + [1] * 3
    np.testing.assert_allclose(data.samples[3].pos[9:], jittered(atoms, 12)[3, 10:], rtol=0, atol=1e-6)


def test_elements_are_guessed_from_names_with_a_warning(write, tmp_path):
    data = write(topology="md.gro").load(tmp_path)
    assert data.samples[0].z.tolist() == ETHANOL.numbers.tolist()
    assert data.warnings == ("md.gro names no elements; guessed from the names: C is C, H is H, O is O",)
    assert write().load(tmp_path).warnings == ()


def test_bonds_of_the_topology_are_taken_if_no_hydrogen_lacks_one(write, tmp_path):
    # Bonds that the geometry does not show: the second hydrogen belongs to the other molecule's oxygen.
    atoms = waters(2)
    crossed = [(0, 1), (3, 2), (3, 4), (0, 5)]
    of_topology = write(atoms, bonds=crossed).load(tmp_path)
    assert of_topology.samples[0].molecule.tolist() == [0, 0, 1, 1, 1, 0]
    assert of_topology.provenance["bonds"] == "topology"
    of_geometry = write(atoms, bonds=crossed, options={"guess_bonds": True}).load(tmp_path)
    assert of_geometry.samples[0].molecule.tolist() == [0, 0, 0, 1, 1, 1]
    partly = write(atoms, bonds=crossed[:3]).load(tmp_path)
    assert partly.samples[0].molecule.tolist() == [0, 0, 0, 1, 1, 1]
    assert partly.provenance["bonds"] == "distances in the first frame"
    as_it_is = write(atoms, bonds=crossed[:3], options={"guess_bonds": False}).load(tmp_path)
    assert as_it_is.samples[0].molecule.tolist() == [0, 0, 1, 1, 1, 2]
    with pytest.raises(DatasetError, match=r"md.pdb: no bonds among the chosen atoms, and guess_bonds is false"):
        write(atoms, options={"guess_bonds": False}).load(tmp_path)


def test_provenance_names_the_files(write, tmp_path):
    provenance = write().load(tmp_path).provenance
    assert provenance["files"] == {
        name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("md.pdb", "md.dcd")
    }
    assert provenance["versions"] == {"MDAnalysis": version("MDAnalysis")}
    assert provenance["options"]["every"] == 1


def test_prepare_reads_and_example_is_the_first_frame(write, tmp_path):
    own = write(options={"start": 2})
    messages = []
    own.prepare(tmp_path, lambda message, done: messages.append((message, done)))
    assert messages[-1] == ("10 frames of C2H6O from md.dcd: ready", 1.0)
    np.testing.assert_allclose(own.example(tmp_path).pos, jittered(ETHANOL, 12)[2], rtol=0, atol=1e-6)
    assert torch.equal(own.example(tmp_path, 13).pos, own.load(tmp_path).samples[3].pos)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trajectory": "away.dcd"}, r"no file 'away.dcd'; looked for .*away.dcd"),
        ({"topology": "away.pdb"}, "no file 'away.pdb'"),
        ({"start": 12}, r"md.dcd: start 12, stop None and every 1 select none of its 12 frames"),
        ({"selection": "name Q*"}, r"selection 'name Q\*' takes none of the 9 atoms"),
        ({"selection": "nme O"}, r"selection 'nme O' cannot be used"),
        ({"selection": "prop mass2 > 1"}, r"selection .* cannot be used"),
        ({"blocks": 13}, r"md.dcd: 12 frames cannot be cut into 13 blocks"),
    ],
)
def test_what_cannot_be_read_is_told(write, tmp_path, options, message):
    write()
    own = task(**({"topology": "md.pdb", "trajectory": "md.dcd"} | options))
    with pytest.raises(DatasetError, match=message):
        own.prepare(tmp_path)


def test_atoms_of_topology_and_trajectory_must_agree(write, tmp_path):
    write()
    write(molecule("H2O"), topology="water.pdb", trajectory="water.dcd")
    own = task(topology="md.pdb", trajectory="water.dcd")
    for read in (own.prepare, own.outline):
        with pytest.raises(
            DatasetError, match=r"water.dcd cannot be read .*(same number of atoms|belong to the topology)"
        ):
            read(tmp_path)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # MDAnalysis closes what it never opened
def test_truncated_and_damaged_files(write, tmp_path):
    own = write()
    whole = (tmp_path / "md.dcd").read_bytes()
    (tmp_path / "md.dcd").write_bytes(whole[: len(whole) * 3 // 4])
    for read in (own.prepare, own.outline):
        with pytest.raises(
            DatasetError, match=r"truncated, its header speaks of 12 frames and (\d) are there.*'stop': \1"
        ):
            read(tmp_path)
    assert len(task(topology="md.pdb", trajectory="md.dcd", stop=6, blocks=2).load(tmp_path).samples) == 6
    (tmp_path / "md.dcd").write_bytes(whole[:50])
    with pytest.raises(DatasetError, match=r"md.dcd cannot be read"):
        own.load(tmp_path)
    (tmp_path / "md.dcd").write_bytes(whole)
    assert len(own.load(tmp_path).samples) == 12
    (tmp_path / "md.pdb").write_text("no atoms", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"(md.pdb|md.dcd) cannot be read"):
        own.load(tmp_path)


def test_files_that_end_within_a_frame(write, tmp_path):
    own = write(trajectory="md.xyz", frames=4, options={"blocks": 1})
    whole = (tmp_path / "md.xyz").read_bytes()
    (tmp_path / "md.xyz").write_bytes(whole[:-40])
    with pytest.raises(DatasetError, match=r"md.xyz: frame 3 cannot be read .*truncated or damaged"):
        own.load(tmp_path)
    # XTC does not say how many frames it holds; the whole ones are taken, as MDAnalysis does.
    own = write(trajectory="md.xtc", frames=4, options={"blocks": 1})
    whole = (tmp_path / "md.xtc").read_bytes()
    (tmp_path / "md.xtc").write_bytes(whole[:-40])
    samples = own.load(tmp_path).samples
    assert len(samples) == len(own.outline(tmp_path).groups) == 3
    np.testing.assert_allclose(samples[2].pos, jittered(ETHANOL, 4)[2], rtol=0, atol=6e-3)


def test_positions_that_are_no_numbers(write, tmp_path):
    frames = jittered(ETHANOL, 12)
    frames[7, 2, 1] = np.nan
    own = write(frames=frames)
    with pytest.raises(DatasetError, match=r"md.dcd: frame 7: positions are NaN or infinite"):
        own.prepare(tmp_path)


def test_boxes_that_are_none(write, tmp_path):
    own = write(waters(2), dimensions=[8, 8, 8, 30, 30, 120])
    with pytest.raises(DatasetError, match=r"frame 0: .*(not those of a box|flat)"):
        own.prepare(tmp_path)


def test_atoms_without_an_element(write, tmp_path):
    atoms = ETHANOL.copy()
    own = write(atoms, elements=False, topology="md.gro")
    text = (tmp_path / "md.gro").read_text(encoding="utf-8")
    (tmp_path / "md.gro").write_text(text.replace("    O    3", "   QQ    3"), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"md.gro: no elements of QQ\. .*'selection'"):
        own.load(tmp_path)
    assert len(task(topology="md.gro", trajectory="md.dcd", selection="not name QQ").load(tmp_path).samples) == 12


def test_an_impossible_mixture_of_boxes(tmp_path):
    for name, pbc in (("one", False), ("two", True)):
        atoms = ETHANOL.copy()
        atoms.set_cell([9, 9, 9])
        atoms.pbc = pbc
        if not pbc:
            atoms.cell = None
        ase.io.write(tmp_path / f"{name}.pdb", atoms)
    own = task(topology="one.pdb", trajectory=["one.pdb", "two.pdb"], blocks=1)
    with pytest.raises(DatasetError, match="frame 0 is isolated and frame 1 is periodic"):
        own.load(tmp_path)


@pytest.mark.parametrize("options", [{"every": 0}, {"start": -1}, {"trajectory": []}, {"blocks": 0}, {"selection": ""}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValidationError):
        TrajectoryConfig(**({"topology": "md.pdb", "trajectory": "md.dcd"} | options))
