"""RuNNer's and n2p2's `input.data`: structures with energies and forces, in atomic units.

Format: n2p2's documentation, "File formats", `input.data`; Behler, J. Chem. Phys. 145, 170901 (2016). A structure is

    begin
    comment <text>
    lattice <ax> <ay> <az>            three of them, or none
    atom <x> <y> <z> <element> <charge> <unused> <fx> <fy> <fz>
    energy <E>
    charge <Q>
    end

Blanks before a keyword and empty lines are allowed. Total and atomic charges are ignored.

ASE reads the format too (`ase.io.runner`), but drops the comments, which hold the trajectory, and accepts truncated
files, NaN, missing energies and unknown keywords, so that all checks would have to be made here all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from tasks.datasets.base import DatasetError
from tasks.datasets.runner.files import read_texts
from tasks.datasets.structures.boxes import reduced_box
from tasks.datasets.structures.units import A_PER_BOHR, EV_PER_HARTREE, LARGEST

ATOM = np.dtype([("keyword", "U4"), ("pos", "f8", 3), ("element", "U3"), ("charges", "f8", 2), ("force", "f8", 3)])
ATOM_COLUMNS = "atom x y z element charge unused fx fy fz"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf(inity)?)", re.IGNORECASE)


@dataclass(frozen=True)
class Structures:
    """F structures with A atoms in total; structure i has the atoms ``offsets[i]:offsets[i + 1]``.

    Attributes:
        offsets: (F + 1,) int64.
        numbers: (A,) uint8 atomic numbers.
        positions: (A, 3) float64, Å.
        forces: (A, 3) float64, eV/Å.
        energies: (F,) float64, eV.
        boxes: (F, 3, 3) float64, box vectors as rows in the form of `boxes.reduced_box`, Å; NaN if not periodic.
        comments: text of the comment lines, one string per structure.
        places: file and line where each structure begins.
    """

    offsets: NDArray[np.int64]
    numbers: NDArray[np.uint8]
    positions: NDArray[np.float64]
    forces: NDArray[np.float64]
    energies: NDArray[np.float64]
    boxes: NDArray[np.float64]
    comments: list[str]
    places: list[str]

    def __len__(self) -> int:
        return len(self.energies)

    def atoms(self, index: int) -> slice:
        """The atoms of a structure."""
        return slice(*self.offsets[index : index + 2])

    def box(self, index: int) -> NDArray[np.float64] | None:
        """The box vectors of a structure, (3, 3), Å; None if not periodic."""
        box = self.boxes[index]
        return box if np.isfinite(box).all() else None


@dataclass
class _Block:
    """What the lines of one structure say; its atom lines are `first:last` among those of the file."""

    line: int
    first: int
    last: int = 0
    energy: float | None = None
    lattice: list[list[float]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


def read_structures(path: Path) -> Structures:
    """All structures of a file, of a folder, or of an archive; see `files.read_texts`.

    Units become Å, eV and eV/Å. Cells are rotated into the form of `boxes.reduced_box`, with positions and forces.

    Raises:
        DatasetError: with file and line: a structure without end, without atoms or without energy, an unexpected line,
            a wrong number of columns, an unknown element, a number that is not one or not finite, one or two lattice
            lines, a cell without volume; or a file or an archive cannot be read.
    """
    parts = [_convert(text, name) for name, text in read_texts(path)]
    offsets = np.cumsum([0, *(size for part in parts for size in np.diff(part.offsets))])
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("numbers", "positions", "forces", "energies", "boxes")
    }
    comments = [comment for part in parts for comment in part.comments]
    return Structures(offsets, **joined, comments=comments, places=[place for part in parts for place in part.places])


def read_comments(path: Path) -> list[str]:
    """The comment of each structure, as `read_structures` returns it, without reading the numbers of its atoms.

    Raises:
        DatasetError: as `read_structures`, except for errors in atom lines and cells.
    """
    return [" ".join(block.comments) for name, text in read_texts(path) for block in _scan(text.split("\n"), name)[0]]


def _fail(name: str, line: int, message: str) -> NoReturn:
    raise DatasetError(f"{name}, line {line}: {message}")


def _scan(lines: list[str], name: str) -> tuple[list[_Block], list[int]]:
    """The structures of a file, and the indices of its atom lines (line number minus 1)."""
    blocks: list[_Block] = []
    atoms: list[int] = []
    block: _Block | None = None
    for index, line in enumerate(lines):
        words = line.split(None, 1)
        if not words:
            continue
        keyword = words[0]
        if block is None:
            if keyword != "begin" or len(words) > 1:
                _fail(name, index + 1, f"{_shown(line)} stands where 'begin' has to be")
            block = _Block(index + 1, len(atoms))
        elif keyword == "atom":
            atoms.append(index)
        elif keyword == "end":
            block.last = len(atoms)
            _check_complete(block, name)
            blocks.append(block)
            block = None
        elif keyword == "comment":
            block.comments.append(line.strip()[len("comment") :].strip())
        elif keyword == "lattice":
            block.lattice.append(_numbers(line, 3, name, index + 1))
        elif keyword == "energy":
            if block.energy is not None:
                _fail(name, index + 1, f"a second energy of the structure that begins in line {block.line}")
            block.energy = _numbers(line, 1, name, index + 1)[0]
        elif keyword == "charge":
            _numbers(line, 1, name, index + 1)
        elif keyword == "begin":
            _fail(name, index + 1, f"'begin', though the structure that begins in line {block.line} has no 'end'")
        else:
            allowed = "comment, lattice, atom, energy, charge or end"
            _fail(name, index + 1, f"{_shown(line)} in a structure, where {allowed} is expected")
    if block is not None:
        _fail(name, block.line, "the structure that begins here has no 'end'; the file is cut short")
    if not blocks:
        raise DatasetError(f"{name} holds no structure (begin ... end)")
    return blocks, atoms


def _check_complete(block: _Block, name: str) -> None:
    if block.last == block.first:
        _fail(name, block.line, f"the structure that begins here has no atom; atoms are lines '{ATOM_COLUMNS}'")
    if block.energy is None:
        _fail(name, block.line, "the structure that begins here has no line 'energy'")
    if len(block.lattice) not in (0, 3):
        _fail(name, block.line, f"the structure that begins here has {len(block.lattice)} 'lattice' lines, not 3 or 0")


def _shown(line: str) -> str:
    text = line.strip()
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _numbers(line: str, count: int, name: str, number: int) -> list[float]:
    """The numbers after a keyword, which must be finite."""
    words = line.split()[1:]
    if len(words) != count:
        _fail(name, number, f"{_shown(line)} has {len(words)} columns after its keyword, not {count}")
    for word in words:
        _check_number(word, name, number)
    return [float(word) for word in words]


def _check_number(word: str, name: str, number: int) -> None:
    if not NUMBER.fullmatch(word):
        _fail(name, number, f"{word!r} is not a number")
    if not np.isfinite(float(word)):
        _fail(name, number, f"{word!r} is not a finite number")
    if abs(float(word)) > LARGEST:
        _fail(name, number, f"{word} is beyond {LARGEST:g}, which no structure has")


def _convert(text: str, name: str) -> Structures:
    """The structures of one file."""
    lines = text.split("\n")
    blocks, indices = _scan(lines, name)
    table = _atoms(lines, indices, name)
    symbols, kinds = np.unique(table["element"], return_inverse=True)
    for kind, symbol in enumerate(symbols):
        if not atomic_numbers.get(symbol):
            line = indices[int(np.argmax(kinds == kind))]
            _fail(name, line + 1, f"unknown element {lines[line].split()[4]!r}; write a chemical symbol: H, O, ...")
    positions, forces = table["pos"] * A_PER_BOHR, table["force"] * (EV_PER_HARTREE / A_PER_BOHR)
    boxes = np.full((len(blocks), 3, 3), np.nan)
    for number, block in enumerate(blocks):
        if not block.lattice:
            continue
        try:
            boxes[number], rotation = reduced_box(np.array(block.lattice) * A_PER_BOHR)
        except DatasetError as error:
            _fail(name, block.line, f"the structure that begins here: {error} (Å)")
        if not np.array_equal(rotation, np.eye(3)):
            atoms = slice(block.first, block.last)
            positions[atoms], forces[atoms] = positions[atoms] @ rotation.T, forces[atoms] @ rotation.T
    return Structures(
        offsets=np.array([0, *(block.last for block in blocks)]),
        numbers=np.array([atomic_numbers[symbol] for symbol in symbols], dtype=np.uint8)[kinds],
        positions=positions,
        forces=forces,
        energies=np.array([block.energy for block in blocks]) * EV_PER_HARTREE,
        boxes=boxes,
        comments=[" ".join(block.comments) for block in blocks],
        places=[f"{name}, line {block.line}" for block in blocks],
    )


def _atoms(lines: list[str], indices: list[int], name: str) -> NDArray[np.void]:
    """The columns of all atom lines, converted at once."""
    try:
        table = np.loadtxt([lines[index] for index in indices], dtype=ATOM, comments=None, ndmin=1)
        finite = bool((np.abs(table["pos"]) <= LARGEST).all() and (np.abs(table["force"]) <= LARGEST).all())
        problem: ValueError | None = None if finite else ValueError("numbers that are not finite")
    except ValueError as error:
        problem = error
    if problem is None:
        return table
    for index in indices:
        words = lines[index].split()
        if len(words) != 10:
            _fail(name, index + 1, f"an atom line with {len(words)} columns; it has 10: {ATOM_COLUMNS}")
        for word in (*words[1:4], *words[5:]):
            _check_number(word, name, index + 1)
    raise DatasetError(f"{name}: atom lines cannot be read ({problem})") from problem
