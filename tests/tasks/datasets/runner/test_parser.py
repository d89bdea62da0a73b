"""n2p2's and RuNNer's input.data: numbers, units, cells, several files, and what is wrong with one."""

from pathlib import Path

import numpy as np
import pytest
from ase.geometry import cellpar_to_cell
from hypothesis import given
from hypothesis import strategies as st

from tasks.datasets.base import DatasetError
from tasks.datasets.runner.parser import read_comments, read_structures
from tasks.datasets.structures.boxes import box_widths
from tasks.datasets.structures.molecules import pair_distances

A_PER_BOHR, EV_PER_HARTREE = 0.529177210903, 27.211386245988  # CODATA 2018

TWO = """\
 begin
comment first one
lattice 10.0 0.0 0.0
lattice 0.0 12.0 0.0
lattice 0.0 0.0 14.0
atom 1.0 2.0 3.0 O -0.4 0.0 0.01 -0.02 0.03
 atom\t-1.0 2.0 3.0 H 0.2 0.0 0.0 0.0 -1.0e-2
energy -76.5
charge 0.0
 end

begin
comment second
comment of two lines
energy 1.5
atom 0 0 0.5 Li 0.0 0.0 1 0 0
charge 0.0
end
"""


def write(folder: Path, text: str, name: str = "input.data") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_units_and_fields_of_a_file_by_hand(tmp_path: Path) -> None:
    path = write(tmp_path, TWO)
    read = read_structures(path)
    assert len(read) == 2
    assert read.offsets.tolist() == [0, 2, 3]
    assert read.numbers.tolist() == [8, 1, 3]
    assert read.comments == read_comments(path) == ["first one", "second of two lines"]
    assert read.places == [f"{path}, line 1", f"{path}, line 12"]
    # 1 bohr = 0.529177 Å, 1 hartree = 27.2114 eV, 1 hartree/bohr = 51.4221 eV/Å.
    positions = [[0.5291772, 1.0583544, 1.5875316], [-0.5291772, 1.0583544, 1.5875316], [0, 0, 0.2645886]]
    forces = [[0.5142207, -1.0284413, 1.5426620], [0, 0, -0.5142207], [51.4220675, 0, 0]]
    np.testing.assert_allclose(read.positions, positions, atol=1e-7)
    np.testing.assert_allclose(read.forces, forces, atol=1e-6)
    np.testing.assert_allclose(read.energies, [-2081.67104782, 40.81707937], atol=1e-7)
    np.testing.assert_allclose(read.boxes[0], np.diag([5.2917721, 6.3501265, 7.4084810]), atol=1e-7)
    assert np.isnan(read.boxes[1]).all()


def runner_text(cell: np.ndarray, positions: np.ndarray, forces: np.ndarray, energy: float) -> str:
    """A structure as text, all digits; bohr and hartree."""
    lines = ["begin", *(f"lattice {a!r} {b!r} {c!r}" for a, b, c in cell.tolist())]
    for (x, y, z), (fx, fy, fz) in zip(positions.tolist(), forces.tolist(), strict=True):
        lines.append(f"atom {x!r} {y!r} {z!r} O 0.0 0.0 {fx!r} {fy!r} {fz!r}")
    return "\n".join([*lines, f"energy {energy!r}", "charge 0.0", "end", ""])


@given(
    lengths=st.tuples(*[st.floats(8, 20)] * 3),
    angles=st.tuples(*[st.floats(65, 115)] * 3),
    seed=st.integers(0, 2**32 - 1),
    turned=st.booleans(),
)
def test_any_cell_keeps_distances_energy_and_forces(
    lengths: tuple[float, ...], angles: tuple[float, ...], seed: int, turned: bool, tmp_path_factory
) -> None:
    rng = np.random.default_rng(seed)
    cell = cellpar_to_cell([*lengths, *angles])
    if turned:
        q, r = np.linalg.qr(rng.normal(size=(3, 3)))
        q = q * np.sign(np.diag(r))
        cell = cell @ (q * np.linalg.det(q))
    positions, forces = rng.uniform(-5, 25, (6, 3)), rng.normal(size=(6, 3))
    energy = float(rng.normal(-1e4, 1))
    folder = tmp_path_factory.mktemp("cells")
    read = read_structures(write(folder, runner_text(cell, positions, forces, energy)))

    assert read.energies[0] == pytest.approx(energy * EV_PER_HARTREE, rel=1e-9)
    box = read.boxes[0]
    assert np.array_equal(box, np.tril(box))
    assert np.linalg.det(box) == pytest.approx(np.linalg.det(cell) * A_PER_BOHR**3)
    # One rotation turns atoms and forces alike: all products between displacements and forces stay.
    moved, before = read.positions - read.positions[0], (positions - positions[0]) * A_PER_BOHR
    unit = EV_PER_HARTREE / A_PER_BOHR
    np.testing.assert_allclose(moved @ read.forces.T, before @ forces.T * unit, atol=1e-5)
    np.testing.assert_allclose(moved @ moved.T, before @ before.T, atol=1e-6)
    # And the lattice with them: the images of all atoms are at the same distances.
    shifts = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), -1).reshape(-1, 3)

    def nearest(vectors: np.ndarray, lattice: np.ndarray) -> np.ndarray:
        wrapped = vectors - np.round(vectors @ np.linalg.inv(lattice)) @ lattice
        return np.linalg.norm(wrapped[:, None] + shifts @ lattice, axis=-1).min(axis=1)

    np.testing.assert_allclose(nearest(moved, box), nearest(before, cell * A_PER_BOHR), atol=1e-6)
    close = pair_distances(read.positions, box)[:5]
    exact = nearest(moved[1:], box)
    within = exact < box_widths(box).min() / 2
    np.testing.assert_allclose(close[within], exact[within], atol=1e-6)


def test_orthorhombic_positions_are_not_turned(tmp_path: Path) -> None:
    positions = np.array([[1.1, -2.2, 33.3]])
    read = read_structures(write(tmp_path, runner_text(np.diag([10.0, 11, 12]), positions, -positions, 1.0)))
    np.testing.assert_allclose(read.positions, positions * A_PER_BOHR, rtol=1e-9)
    np.testing.assert_allclose(read.forces, -positions * EV_PER_HARTREE / A_PER_BOHR, rtol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("charge 0.0\nend\n", "", 12, "no 'end'; the file is cut short"),
        (" end\n", "", 11, "'begin', though the structure that begins in line 1 has no 'end'"),
        (" begin\n", "", 1, "'comment first one' stands where 'begin' has to be"),
        ("energy 1.5", "energie 1.5", 15, "'energie 1.5' in a structure, where"),
        ("-0.02 0.03", "-0.02", 6, "an atom line with 9 columns; it has 10: atom x y z"),
        ("-0.02 0.03", "-0.02 0.03 1", 6, "an atom line with 11 columns"),
        ("1 0 0\n", "1 0 *****\n", 16, r"'\*\*\*\*\*' is not a number"),
        ("0.5 Li", "0x5 Li", 16, "'0x5' is not a number"),
        ("0.5 Li", "0_5 Li", 16, "'0_5' is not a number"),
        ("0.5 Li", "NaN Li", 16, "'NaN' is not a finite number"),
        ("-1.0e-2", "-inf", 7, "'-inf' is not a finite number"),
        ("-1.0e-2", "1e999", 7, "'1e999' is not a finite number"),
        ("Li", "Lo", 16, "unknown element 'Lo'"),
        ("3.0 H", "3.0 X", 7, "unknown element 'X'"),
        ("Li", "Lithium", 16, "unknown element 'Lithium'"),
        ("lattice 0.0 12.0 0.0\n", "", 1, "2 'lattice' lines, not 3 or 0"),
        ("energy 1.5", "lattice 1.0 0.0 0.0\nenergy 1.5", 12, "1 'lattice' lines, not 3 or 0"),
        ("lattice 0.0 12.0 0.0", "lattice 0.0 12.0", 4, "2 columns after its keyword, not 3"),
        ("lattice 0.0 12.0 0.0", "lattice 0.0 nan 0.0", 4, "'nan' is not a finite number"),
        ("lattice 0.0 12.0 0.0", "lattice 20.0 0.0 0.0", 1, "flat .*right-handed vectors that span a volume"),
        ("lattice 0.0 12.0 0.0", "lattice 0.0 -12.0 0.0", 1, "left-handed"),
        ("energy -76.5\n", "", 1, "no line 'energy'"),
        ("energy -76.5", "energy inf", 8, "'inf' is not a finite number"),
        ("energy -76.5", "energy -76.5 Ha", 8, "2 columns after its keyword, not 1"),
        ("energy -76.5", "energy -76.5\nenergy -76.5", 9, "a second energy"),
        ("charge 0.0\n end", "charge none\n end", 9, "'none' is not a number"),
        ("atom 0 0 0.5 Li 0.0 0.0 1 0 0\n", "", 12, "has no atom"),
    ],
)
def test_bad_file_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in TWO
    path = write(tmp_path, TWO.replace(old, new, 1))
    with pytest.raises(DatasetError, match=rf"input\.data, line {line}: .*{message}"):
        read_structures(path)


def test_structures_of_several_files_are_joined(tmp_path: Path) -> None:
    write(tmp_path, TWO.replace("first one", "b"), "input.data.b")
    write(tmp_path, TWO.replace("first one", "a"), "input.data.a")
    read, alone = read_structures(tmp_path), read_structures(tmp_path / "input.data.a")
    assert read.comments == ["a", "second of two lines", "b", "second of two lines"]
    assert read.offsets.tolist() == [0, 2, 3, 5, 6]
    assert read.places[2] == f"{tmp_path / 'input.data.b'}, line 1"
    for field in ("numbers", "positions", "forces", "energies", "boxes"):
        expected = np.concatenate([getattr(alone, field)] * 2)
        assert np.array_equal(getattr(read, field), expected, equal_nan=True)


def test_a_file_without_structures(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no structure"):
        read_structures(write(tmp_path, "\n\n"))


def test_a_file_cut_within_a_structure_is_refused(tmp_path: Path) -> None:
    lines = TWO.splitlines(keepends=True)
    for kept in range(1, len(lines)):
        path = write(tmp_path, "".join(lines[:kept]))
        if kept in (10, 11):  # after the first structure
            assert len(read_structures(path)) == 1
        else:
            with pytest.raises(DatasetError, match=r"line \d+: .*cut short"):
                read_structures(path)


@pytest.mark.parametrize(
    ("old", "line"),
    [("10.0", 3), ("-1.0", 7), ("0.03", 6), ("-76.5", 8)],
    ids=["lattice", "position", "force", "energy"],
)
def test_finite_numbers_that_float32_cannot_hold_are_refused(tmp_path: Path, old: str, line: int) -> None:
    path = write(tmp_path, TWO.replace(old, "1e39", 1))
    with pytest.raises(DatasetError, match=rf"line {line}: 1e39 is beyond 1e\+09"):
        read_structures(path)
