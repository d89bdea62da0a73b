"""What is measured in trajectories: distributions of distances, drift of the energy, vibrational spectra."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import NamedTuple

import MDAnalysis
import numpy as np
from ase.data import chemical_symbols
from MDAnalysis.analysis.rdf import InterRDF
from MDAnalysis.coordinates.memory import MemoryReader
from numpy.typing import NDArray
from scipy.signal import find_peaks
from scipy.signal.windows import hann
from scipy.stats import wasserstein_distance

from tasks.datasets.structures.boxes import box_widths
from tasks.datasets.structures.molecules import find_bonds
from tasks.geometry import nearest_image
from tasks.simulation.units import MEV, PER_CM_OF_PER_FS

Floats = NDArray[np.float64]

BIN_A = 0.05
PROMINENCE = 0.2
"""Of a peak of g(r), at least: what is lower is noise of a short simulation."""
HIGHEST_PER_CM = 4500.0
"""Up to where spectra are compared; the fastest vibrations, of bonds to hydrogen, lie below 4000/cm."""
STRETCHES_PER_CM = 2500.0
"""Above this there are only stretching vibrations of bonds to hydrogen."""


class Curve(NamedTuple):
    """Values y (K,) at x (K,)."""

    x: Floats
    y: Floats


def radial_distributions(
    z: NDArray[np.int64], molecule: NDArray[np.int64], frames: Floats, box: Floats
) -> dict[str, Curve]:
    """g(r) of atoms of different molecules for each pair of elements, by MDAnalysis' `InterRDF`, up to half the box.

    Args:
        z: atomic numbers, (N,).
        molecule: molecule of each atom, (N,).
        frames: positions, (F, N, 3), Å.
        box: box vectors as rows, (3, 3), Å: the same of all frames.

    Returns:
        g(r) over r in Å, by names like `O-H`.
    """
    _, residues = np.unique(molecule, return_inverse=True)
    universe = MDAnalysis.Universe.empty(len(z), residues.max() + 1, atom_resindex=residues, trajectory=False)
    lengths = np.linalg.norm(box, axis=1)
    angles = [_angle(box[i], box[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    dimensions = np.array([*lengths, *angles], dtype=np.float32)
    universe.load_new(frames.astype(np.float32), format=MemoryReader, order="fac", dimensions=dimensions)
    furthest = float(box_widths(box).min()) / 2
    found = {}
    for one, other in itertools.combinations_with_replacement(sorted(set(z.tolist()), reverse=True), 2):
        first, second = (universe.atoms[np.flatnonzero(z == number)] for number in (one, other))
        between = (molecule[z == one][:, None] != molecule[z == other][None, :]).sum()
        if not between:
            continue
        bins = int(furthest / BIN_A)
        measured = InterRDF(first, second, nbins=bins, range=(0, bins * BIN_A), exclude_same="residue").run()
        # InterRDF divides by all pairs, those within molecules included, which can be no neighbours.
        share = between / (len(first) * len(second))
        found[_name(one, other)] = Curve(measured.results.bins, measured.results.rdf / share)
    return found


def rdf_difference(found: Curve, reference: Curve) -> float:
    """∫|g − g_ref| dr / ∫|g_ref − 1| dr: 0 for the same structure, 1 for one as far off as no structure is."""
    return float(np.abs(found.y - reference.y).sum() / np.abs(reference.y - 1).sum())


def first_peak(curve: Curve) -> tuple[float, float] | None:
    """Place in Å and height of the first peak of g(r); None without any."""
    places = find_peaks(curve.y, prominence=PROMINENCE)[0]
    return (float(curve.x[places[0]]), float(curve.y[places[0]])) if len(places) else None


class Geometry(NamedTuple):
    """Bonds (M, 2) and angles (A, 3; the middle atom in the middle) within molecules."""

    bonds: NDArray[np.int64]
    angles: NDArray[np.int64]


def find_geometry(z: NDArray[np.int64], molecule: NDArray[np.int64], pos: Floats, box: Floats | None) -> Geometry:
    """Bonds by distance between atoms of one molecule, and the angles between them.

    Args:
        z: atomic numbers, (N,).
        molecule: molecule of each atom, (N,).
        pos: a usual structure, (N, 3), Å.
        box: box vectors as rows, (3, 3), Å; None if not periodic.
    """
    bonds = find_bonds(z, pos, box)
    bonds = bonds[molecule[bonds[:, 0]] == molecule[bonds[:, 1]]]
    bonds = bonds[np.lexsort(bonds.T[::-1])]
    neighbours = defaultdict(list)
    for one, other in bonds.tolist():
        neighbours[one].append(other)
        neighbours[other].append(one)
    angles = [
        (one, centre, other)
        for centre in sorted(neighbours)
        for one, other in itertools.combinations(sorted(neighbours[centre]), 2)
    ]
    return Geometry(bonds.reshape(-1, 2), np.array(angles, dtype=np.int64).reshape(-1, 3))


def bond_lengths(frames: Floats, bonds: NDArray[np.int64], box: Floats | None) -> Floats:
    """Lengths in Å, (F, M), in frames (F, N, 3)."""
    lengths: Floats = np.linalg.norm(_vectors(frames, bonds[:, 0], bonds[:, 1], box), axis=2)
    return lengths


def bond_angles(frames: Floats, angles: NDArray[np.int64], box: Floats | None) -> Floats:
    """Angles in degrees, (F, A), in frames (F, N, 3)."""
    one, other = (_vectors(frames, angles[:, end], angles[:, 1], box) for end in (0, 2))
    cosine = (one * other).sum(2) / (np.linalg.norm(one, axis=2) * np.linalg.norm(other, axis=2))
    degrees: Floats = np.rad2deg(np.arccos(cosine.clip(-1, 1)))
    return degrees


def by_elements(z: NDArray[np.int64], places: NDArray[np.int64], values: Floats) -> dict[str, Floats]:
    """Values (F, M) of bonds or angles (M, 2 or 3), those of the same elements together, by names like `H-O-H`."""
    names = [min(_name(*z[place]), _name(*z[place[::-1]]), key=_heaviest_first) for place in places]
    return {name: values[:, [own == name for own in names]].ravel() for name in dict.fromkeys(names)}


def distance_distribution(z: NDArray[np.int64], frames: Floats) -> Curve:
    """h(r): distribution of all distances between the atoms of an isolated molecule, over r in Å, of integral 1.

    As Fu et al., arXiv 2210.07237, measure the structure of molecules.
    """
    first, second = np.triu_indices(len(z), k=1)
    distances = np.linalg.norm(frames[:, first] - frames[:, second], axis=2)
    return histogram(distances.ravel(), 0.0, 20.0, BIN_A)


def histogram(values: Floats, lowest: float, highest: float, width: float) -> Curve:
    """Distribution of values within limits, of integral 1."""
    counts, edges = np.histogram(values, np.arange(lowest, highest + width / 2, width))
    return Curve((edges[1:] + edges[:-1]) / 2, counts / max(counts.sum(), 1) / width)


def distribution_difference(found: Curve, reference: Curve) -> float:
    """∫|h − h_ref| dr: 0 for the same, 2 for distributions that do not meet."""
    return float(np.abs(found.y - reference.y).sum() * (found.x[1] - found.x[0]))


def drift(times_ps: Floats, energies_eV: Floats, atoms: int) -> tuple[float, float]:
    """Slope of a straight line through total energies, meV/atom/ps, and what they scatter about it, meV/atom (rms)."""
    slope, start = np.polyfit(times_ps, energies_eV, 1)
    left = energies_eV - (slope * times_ps + start)
    return float(slope * MEV / atoms), float(np.sqrt(np.mean(left**2)) * MEV / atoms)


def spectrum(frames: Floats, spacing_fs: float, masses: Floats) -> Curve:
    """Power spectrum of the velocities, weighted by mass: the Fourier transform of their autocorrelation.

    Velocities are differences of positions, which weakens what is fast by sinc²(ν Δt), in all spectra alike. A Hann
    window is laid over the trajectory (Wiener–Khinchin theorem; see Thomas et al., PCCP 15, 6608 (2013)).

    Args:
        frames: positions at equal intervals, (F, N, 3), Å, not wrapped.
        spacing_fs: the interval, fs.
        masses: (N,), amu.

    Returns:
        Density over wavenumbers in 1/cm, of integral 1 up to `HIGHEST_PER_CM`.
    """
    velocities = np.diff(frames, axis=0)
    window = hann(len(velocities), sym=False)[:, None, None]
    power = (np.abs(np.fft.rfft((velocities - velocities.mean(0)) * window, axis=0)) ** 2).sum(2) @ masses
    wavenumbers = np.fft.rfftfreq(len(velocities), spacing_fs) * PER_CM_OF_PER_FS
    kept = wavenumbers <= HIGHEST_PER_CM
    return normalised(Curve(wavenumbers[kept].astype(np.float64), power[kept]))


def normalised(curve: Curve) -> Curve:
    """The same with integral 1, on its evenly spaced x."""
    return Curve(curve.x, curve.y / (curve.y.sum() * (curve.x[1] - curve.x[0])))


def moved(found: Curve, reference: Curve) -> float:
    """Wasserstein distance of two distributions, in the unit of x: how far one has to be moved, on average."""
    return float(wasserstein_distance(found.x, reference.x, found.y, reference.y))


def stretch_peak(curve: Curve) -> float | None:
    """Wavenumber (1/cm) of the highest peak among the stretches of bonds to hydrogen; None if spectra end below."""
    high = curve.x > STRETCHES_PER_CM
    return float(curve.x[high][np.argmax(curve.y[high])]) if high.any() else None


def _vectors(frames: Floats, start: NDArray[np.int64], end: NDArray[np.int64], box: Floats | None) -> Floats:
    return nearest_image(frames[:, start] - frames[:, end], box)


def _angle(one: Floats, other: Floats) -> float:
    return float(np.rad2deg(np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))))


def _name(*numbers: int) -> str:
    return "-".join(chemical_symbols[number] for number in numbers)


def _heaviest_first(name: str) -> tuple[int, ...]:
    return tuple(-chemical_symbols.index(symbol) for symbol in name.split("-"))
