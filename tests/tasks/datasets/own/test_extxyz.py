"""The user's own labelled structures: labels, units, boxes, groups, and what is refused."""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import version

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.datasets.base import DatasetError
from tasks.datasets.own.extxyz import ExtXYZ
from tasks.datasets.own.options import ExtXYZConfig
from tests.tasks.conftest import random_rotation

LABELS = {"energy", "forces"}


def labelled(atoms: Atoms, seed: int = 0) -> Atoms:
    """Random labels on a copy of the structure, slightly moved and, if periodic, wrapped atom by atom."""
    rng = np.random.default_rng(seed)
    atoms = atoms.copy()
    atoms.positions += rng.normal(scale=0.02, size=atoms.positions.shape)
    if atoms.pbc.any():
        atoms.wrap()
    atoms.calc = SinglePointCalculator(atoms, energy=rng.normal(), forces=rng.normal(size=atoms.positions.shape))
    return atoms


def ethanols(frames: int = 6) -> list[Atoms]:
    return [labelled(molecule("CH3CH2OH"), seed) for seed in range(frames)]


def water_box(vectors: np.ndarray) -> Atoms:
    """Eight molecules in any box."""
    one = molecule("H2O")
    sites = np.stack(np.meshgrid(*[[0.1, 0.6]] * 3, indexing="ij"), -1).reshape(-1, 3) @ vectors
    atoms = sum((Atoms(one.numbers, one.positions + site) for site in sites), Atoms())
    atoms.set_cell(vectors)
    atoms.pbc = True
    return atoms


@pytest.fixture
def write(tmp_path):
    """Writes frames and gives the task that reads them."""

    def make(frames, name="own.extxyz", **options):
        ase.io.write(tmp_path / name, frames)
        return task(name, **options)

    return make


def task(name, **options) -> ExtXYZ:
    return ExtXYZ(ExtXYZConfig(path=name, **options))


def edit(path, old: str, new: str, count: int = 1):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, count), encoding="utf-8")


def test_labels_and_structures_arrive_as_they_were_written(write, tmp_path):
    frames = ethanols()
    data = write(frames).load(tmp_path)
    assert len(data.samples) == len(frames)
    for sample, atoms in zip(data.samples, frames, strict=True):
        assert sample.z.tolist() == atoms.numbers.tolist()
        assert "box" not in sample
        # Extended XYZ keeps eight decimals.
        np.testing.assert_allclose(sample.pos, atoms.positions, rtol=0, atol=1e-6)
        np.testing.assert_allclose(sample.neg_dy, atoms.get_forces(), rtol=0, atol=1e-6)
        np.testing.assert_allclose(sample.y, [[atoms.get_potential_energy()]], rtol=0, atol=1e-8)
        assert sample.molecule.tolist() == [0] * 9
        # CH3, CH2 and OH; atoms come as C C O H(O) H2(C) H3(C).
        assert sample.site.tolist() == [0, 1, 2, 2, 1, 1, 0, 0, 0]
    assert {str(data.samples[0][name].dtype) for name in ("z", "molecule", "site")} == {"torch.int64"}
    assert (data.samples[0].y.dtype, data.samples[0].pos.dtype) == (torch.float64, torch.float32)
    assert data.title == "6 frames of C2H6O from own.extxyz"


def test_provenance_says_what_was_read(write, tmp_path):
    provenance = write(ethanols(3), energy_unit="hartree", length_unit="bohr").load(tmp_path).provenance
    digest = hashlib.sha256((tmp_path / "own.extxyz").read_bytes()).hexdigest()
    assert (provenance["file"], provenance["sha256"]) == ("own.extxyz", digest)
    assert provenance["compositions"] == {"C2H6O": 3}
    assert provenance["units_of_file"] == {"energy": "hartree", "length": "bohr", "force": "hartree/bohr"}
    assert provenance["versions"]["ase"] == version("ase")


@given(
    energy=st.sampled_from(["eV", "meV", "Hartree", "Ry", "kcal/mol", "kJ/mol"]),
    length=st.sampled_from(["Å", "angstrom", "nm", "Bohr"]),
)
def test_units_are_converted_once(tmp_path_factory, energy, length):
    folder = tmp_path_factory.mktemp("units")
    # Independent of the table under test.
    in_eV = {
        "eV": 1.0,
        "meV": 1e-3,
        "Hartree": 27.211386,
        "Ry": 13.605693,
        "kcal/mol": 0.0433641,
        "kJ/mol": 0.01036427,
    }[energy]
    in_A = {"Å": 1.0, "angstrom": 1.0, "nm": 10.0, "Bohr": 0.5291772}[length]
    atoms = labelled(water_box(np.eye(3) * 7.0))
    kept = Atoms(atoms.numbers, atoms.positions / in_A, cell=atoms.cell / in_A, pbc=True)
    kept.calc = SinglePointCalculator(
        kept, energy=atoms.get_potential_energy() / in_eV, forces=atoms.get_forces() / in_eV * in_A
    )
    ase.io.write(folder / "own.traj", kept)
    sample = task("own.traj", energy_unit=energy, length_unit=length).load(folder).samples[0]
    np.testing.assert_allclose(sample.y, [[atoms.get_potential_energy()]], rtol=1e-6)
    np.testing.assert_allclose(sample.neg_dy, atoms.get_forces(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sample.pos, atoms.positions, rtol=0, atol=1e-5)
    np.testing.assert_allclose(sample.box[0], atoms.cell, rtol=0, atol=1e-5)
    assert sample.molecule.tolist() == np.repeat(np.arange(8), 3).tolist()


def test_the_force_unit_may_be_another_than_the_others_make(write, tmp_path):
    atoms = labelled(molecule("H2O"))
    forces = write([atoms], energy_unit="hartree", force_unit="kcal/mol/Å").load(tmp_path).samples[0].neg_dy
    np.testing.assert_allclose(forces, atoms.get_forces() * units.kcal / units.mol, rtol=1e-5, atol=1e-9)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_boxes_turn_with_positions_and_forces(tmp_path_factory, seed):
    """In any cell: distances stay, angles between forces and bonds stay, wrapped molecules are found whole."""
    folder = tmp_path_factory.mktemp("boxes")
    rng = np.random.default_rng(seed)
    vectors = (np.diag(rng.uniform(6.5, 8.0, 3)) + rng.uniform(-1.5, 1.5, (3, 3))) @ random_rotation(rng).T
    atoms = labelled(water_box(vectors), seed)
    ase.io.write(folder / "own.extxyz", atoms)
    sample = task("own.extxyz").load(folder).samples[0]
    a, b, c = sample.box[0].tolist()
    assert (a[1], a[2], b[2]) == (0, 0, 0)
    assert abs(b[0]) <= a[0] / 2 + 1e-4
    assert abs(c[0]) <= a[0] / 2 + 1e-4
    assert abs(c[1]) <= b[1] / 2 + 1e-4
    read = Atoms(sample.z.numpy(), sample.pos.numpy(), cell=sample.box[0].numpy(), pbc=True)
    near = atoms.get_all_distances(mic=True)
    np.testing.assert_allclose(read.get_all_distances(mic=True), near, rtol=0, atol=2e-5)
    assert sample.molecule.tolist() == np.repeat(np.arange(8), 3).tolist()
    before, after = np.asarray(atoms.get_forces()), sample.neg_dy.numpy()
    np.testing.assert_allclose(after @ after.T, before @ before.T, rtol=0, atol=1e-5)
    bond_before = atoms.get_distances(0, [1, 2], mic=True, vector=True)
    bond_after = read.get_distances(0, [1, 2], mic=True, vector=True)
    np.testing.assert_allclose(bond_after @ after[0], bond_before @ before[0], rtol=0, atol=1e-4)


def test_labels_under_other_names(write, tmp_path):
    atoms = molecule("H2O")
    atoms.info["REF_energy"] = -2.5
    atoms.new_array("REF_forces", np.arange(9.0).reshape(3, 3))
    sample = write([atoms], energy_key="REF_energy", forces_key="REF_forces").load(tmp_path).samples[0]
    assert sample.y.item() == -2.5
    assert sample.neg_dy.flatten().tolist() == list(range(9))


def test_forces_of_fixed_atoms_are_kept(write, tmp_path):
    atoms = labelled(molecule("H2O"))
    forces = atoms.get_forces()
    atoms.set_constraint(FixAtoms([0]))
    assert not atoms.get_forces()[0].any()
    sample = write([atoms], name="own.traj").load(tmp_path).samples[0]
    np.testing.assert_allclose(sample.neg_dy, forces, rtol=1e-6)


@pytest.mark.parametrize(("index", "expected"), [(":", [0, 1, 2, 3, 4, 5]), ("1::2", [1, 3, 5]), ("-2:", [4, 5])])
def test_index_chooses_frames(write, tmp_path, index, expected):
    frames = ethanols()
    data = write(frames, index=index).load(tmp_path)
    energies = [frames[number].get_potential_energy() for number in expected]
    np.testing.assert_allclose([s.y.item() for s in data.samples], energies, rtol=0, atol=1e-8)


def test_groups_are_single_frames_blocks_or_named(write, tmp_path):
    frames = ethanols(7)
    for atoms, run in zip(frames, "aabbbac", strict=True):
        atoms.info["run"] = run
    alone = write(frames).load(tmp_path)
    assert alone.outline.groups.tolist() == list(range(7))
    assert alone.trajectory_frames is None
    blocks = write(frames, blocks=3).load(tmp_path)
    assert blocks.outline.groups.tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert blocks.trajectory_frames.tolist() == [[0, frame] for frame in range(7)]
    named = write(frames, group_key="run").load(tmp_path)
    assert named.outline.groups.tolist() == [0, 0, 1, 1, 1, 0, 2]
    assert named.trajectory_frames.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [0, 2], [2, 0]]


def test_outline_example_and_prepare_read_the_same_file_and_write_nothing(write, tmp_path):
    own = write(ethanols(4), blocks=2)
    before = sorted(tmp_path.iterdir())
    messages = []
    own.prepare(tmp_path, lambda message, done: messages.append((message, done)))
    assert messages[-1] == ("4 frames of C2H6O from own.extxyz: ready", 1.0)
    assert own.outline(tmp_path).groups.tolist() == own.load(tmp_path).outline.groups.tolist() == [0, 0, 1, 1]
    assert not {"y", "neg_dy"} & set(own.example(tmp_path).keys())
    assert torch.equal(own.example(tmp_path).pos, own.load(tmp_path).samples[0].pos)
    assert torch.equal(own.example(tmp_path, 6).pos, own.load(tmp_path).samples[2].pos)
    assert sorted(tmp_path.iterdir()) == before


def test_who_changes_a_sample_changes_no_other_reading(write, tmp_path):
    own = write(ethanols(2))
    del own.load(tmp_path).samples[0].y
    assert "y" in own.load(tmp_path).samples[0]


def test_a_changed_file_is_read_again(write, tmp_path):
    assert len(write(ethanols(2)).load(tmp_path).samples) == 2
    assert len(write(ethanols(3)).load(tmp_path).samples) == 3


def test_paths_are_of_the_data_folder_then_of_the_working_directory(write, tmp_path, monkeypatch):
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    monkeypatch.chdir(tmp_path)
    own = write(ethanols(2))
    assert len(own.load(data_dir).samples) == 2
    ase.io.write(data_dir / "own.extxyz", ethanols(5))
    assert len(own.load(data_dir).samples) == 5
    assert len(task(os.fspath(tmp_path / "own.extxyz")).load(data_dir).samples) == 2
    with pytest.raises(DatasetError, match=r"no file 'away.extxyz'; looked for .*data/away.extxyz and .*away.extxyz"):
        task("away.extxyz").load(data_dir)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "energy=",
            "total=",
            r"frame 0: no energy under the name 'energy'; of the right shape are \['total'.*energy_key",
        ),
        (":forces:R:3", ":push:R:3", r"frame 0: no forces under the name 'forces'; .*\['push'\].*'forces_key'"),
        ("\nO ", "\nX ", "frame 0: atom 2 is of an unknown element"),
        ("\nO ", "\nXx ", "cannot be read .*Xx"),
        ("\n9\n", "\n8\n", "cannot be read"),
        ("energy=-", "energy=nan unused=-", r"frame \d: energy: NaN or infinite"),
        ('pbc="F F F"', 'pbc="T T T"', r"frame 0: box vectors \[\[0.0, 0.0, 0.0\].* are flat"),
        ('pbc="F F F"', 'pbc="T T F" Lattice="9 0 0 0 9 0 0 0 9"', "frame 0: periodic in 2 of 3 directions"),
        ('pbc="F F F"', 'pbc="T T T" Lattice="0 9 0 9 0 0 0 0 9"', "frame 0: .* are left-handed"),
        ('pbc="F F F"', 'pbc="T T T" Lattice="9 0 0 0 9 0 0 0 9"', "frame 0 is periodic and frame 1 is isolated"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(write, tmp_path, old, new, message):
    own = write(ethanols(3))
    edit(tmp_path / "own.extxyz", old, new)
    for read in (own.prepare, own.load, own.outline):
        with pytest.raises(DatasetError, match=message) as told:
            read(tmp_path)
        assert str(tmp_path / "own.extxyz") in str(told.value)


def test_a_truncated_file_is_refused_wherever_it_ends(write, tmp_path):
    own = write(ethanols(3))
    lines = (tmp_path / "own.extxyz").read_text(encoding="utf-8").splitlines(keepends=True)
    for kept in range(1, len(lines)):
        (tmp_path / "own.extxyz").write_text("".join(lines[:kept]), encoding="utf-8")
        if kept % 11 == 0:  # nine atoms and two lines of head: whole frames
            assert len(own.load(tmp_path).samples) == kept // 11
        else:
            with pytest.raises(DatasetError, match="truncated or damaged"):
                own.load(tmp_path)


def test_nothing_is_kept_of_bad_input(write, tmp_path):
    own = write(ethanols(3))
    good = (tmp_path / "own.extxyz").read_bytes()
    (tmp_path / "own.extxyz").write_bytes(good[:-100])
    with pytest.raises(DatasetError):
        own.load(tmp_path)
    (tmp_path / "own.extxyz").write_bytes(good)
    assert len(own.load(tmp_path).samples) == 3


def test_unreadable_files_and_empty_choices(write, tmp_path):
    (tmp_path / "notes.txt").write_text("no structures", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"notes.txt cannot be read .*option 'format'"):
        task("notes.txt").load(tmp_path)
    (tmp_path / "empty.extxyz").write_text("", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"empty.extxyz cannot be read"):
        task("empty.extxyz").load(tmp_path)
    with pytest.raises(DatasetError, match="index '9:' selects no frame"):
        write(ethanols(3), index="9:").load(tmp_path)
    with pytest.raises(DatasetError, match=r"3 frames cannot be cut into 4 blocks.*'blocks'"):
        write(ethanols(3), blocks=4).load(tmp_path)
    with pytest.raises(DatasetError, match=r"frame 0: no 'run' in its comment line; .*'group_key'"):
        write(ethanols(3), group_key="run").load(tmp_path)


def test_a_plain_file_name_with_the_format_as_an_option(write, tmp_path):
    write(ethanols(2))
    (tmp_path / "own.extxyz").rename(tmp_path / "own.run@7")
    assert len(task("own.run@7", format="extxyz").load(tmp_path).samples) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"energy_unit": "kcal"}, r"unknown unit 'kcal'; known are eV, .*kJ/mol"),
        ({"length_unit": "pm"}, "unknown unit 'pm'; known are Å, nm, bohr"),
        ({"force_unit": "eV"}, "write ENERGY/LENGTH"),
        ({"force_unit": "eV/pm"}, "unknown unit 'pm'"),
        ({"index": "first"}, "is not a slice"),
        ({"blocks": 3, "group_key": "run"}, "exclude each other"),
        ({"blocks": 1}, "greater than 1"),
    ],
)
def test_wrong_options_are_refused_before_a_file_is_opened(options, message):
    with pytest.raises(ValidationError, match=message):
        ExtXYZConfig(path="own.extxyz", **options)


def test_a_crystal_of_one_atom_a_cell(write, tmp_path):
    """The smallest of boxes: no pair of atoms within the cell."""
    sample = write([labelled(bulk("Cu"))]).load(tmp_path).samples[0]
    assert sample.molecule.tolist() == sample.site.tolist() == [0]
    assert torch.linalg.det(sample.box[0]).item() == pytest.approx(bulk("Cu").get_volume(), rel=1e-5)


def test_a_number_of_atoms_beyond_the_file_is_refused_at_once(write, tmp_path):
    own = write(ethanols(2))
    edit(tmp_path / "own.extxyz", "9\n", "1000000000\n")
    with pytest.raises(
        DatasetError, match=r"own\.extxyz, line 1: 1000000000 atoms are announced, and the file has \d+"
    ):
        own.load(tmp_path)


@pytest.mark.parametrize(
    "columns", ["199999999999999999999", "1000000000", "9" * 5000], ids=["21 digits", "10 digits", "5000 digits"]
)
def test_a_number_of_columns_beyond_the_file_is_refused_at_once(write, tmp_path, columns):
    """ASE would make room for them, until the machine's memory is at its end."""
    own = write(ethanols(2))
    edit(tmp_path / "own.extxyz", "species:S:1", f"species:S:{columns}")
    with pytest.raises(DatasetError, match=rf"own\.extxyz, line 2: {columns[:20]} columns of species are announced"):
        own.load(tmp_path)


@pytest.mark.parametrize("what", ["position", "force", "lattice"])
def test_finite_numbers_that_float32_cannot_hold_are_refused(write, tmp_path, what):
    atoms = labelled(water_box(np.eye(3) * 10))
    forces = atoms.get_forces()
    if what == "position":
        atoms.positions[1, 2] = 1e39
    elif what == "lattice":
        atoms.set_cell(np.eye(3) * 1e50)
    else:
        forces[1, 2] = 1e39
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=forces)
    with pytest.raises(DatasetError, match=r"frame 0.* beyond 1e\+09"):
        write([atoms]).load(tmp_path)


def test_a_file_without_labels_is_told_what_it_is_for(write, tmp_path):
    with pytest.raises(
        DatasetError, match="no energy under the name 'energy'; nothing in the file has the right shape"
    ):
        write([molecule("CH3SH")]).load(tmp_path)
