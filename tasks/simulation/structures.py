"""Where simulations start: frames of the data, and the same at another density or in a larger box."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from tasks.geometry import nearest_image
from tasks.simulation.observables import Floats, Geometry, bond_lengths, find_geometry

MOST = 50
"""Frames that mean bond lengths are taken from."""


@dataclass(frozen=True)
class Start:
    """R structures of the same atoms in the same box.

    Attributes:
        samples: R samples.
        geometry: bonds and angles within molecules.
        lengths: mean length in Å of each bond, (M,).
    """

    samples: list[Data]
    geometry: Geometry
    lengths: Floats

    @property
    def z(self) -> NDArray[np.int64]:
        """Atomic numbers, (N,)."""
        numbers: NDArray[np.int64] = self.samples[0].z.numpy()
        return numbers

    @property
    def molecule(self) -> NDArray[np.int64]:
        """Molecule of each atom, (N,)."""
        numbers: NDArray[np.int64] = self.samples[0].molecule.numpy()
        return numbers

    @property
    def pos(self) -> Tensor:
        """Positions (R, N, 3), Å, float64."""
        return torch.stack([sample.pos for sample in self.samples]).double()

    @property
    def boxes(self) -> Tensor | None:
        """Box vectors (R, 3, 3), Å, float64; None if not periodic."""
        return torch.cat([sample.box for sample in self.samples]).double() if "box" in self.samples[0] else None

    @property
    def box(self) -> Floats | None:
        """The box of all, (3, 3)."""
        boxes = self.boxes
        return None if boxes is None else boxes[0].numpy()


def start_from(samples: Sequence[Data], frames: Sequence[int] | NDArray[np.int64], replicas: int) -> Start:
    """Starts from frames of the commonest composition and box, evenly chosen; some again if there are too few."""
    kinds = [_kind(samples[frame]) for frame in frames]
    commonest = Counter(kinds).most_common(1)[0][0]
    own = [samples[frame] for frame, kind in zip(frames, kinds, strict=True) if kind == commonest]
    chosen = [own[i * len(own) // replicas] if replicas <= len(own) else own[i % len(own)] for i in range(replicas)]
    z, molecule, pos, box = _parts(own[0])
    geometry = find_geometry(z, molecule, pos, box)
    several = np.stack([sample.pos.double().numpy() for sample in own[:: -(-len(own) // MOST)]])
    return Start(chosen, geometry, bond_lengths(several, geometry.bonds, box).mean(0))


def side_by_side(start: Start, boxes: int) -> Start:
    """The same starts in larger boxes, so many side by side; see `repeated`. Without a box there is one molecule."""
    if boxes == 1 or start.box is None:
        return start
    samples = [repeated(sample, boxes) for sample in start.samples]
    return start_from(samples, range(len(samples)), len(samples))


def rescaled(sample: Data, density: float) -> Data:
    """A structure at so many times its density: the box is scaled, and the centres of whole molecules with it."""
    z, molecule, pos, box = _parts(sample)
    scale = density ** (-1 / 3)
    whole = whole_molecules(pos, find_geometry(z, molecule, pos, box).bonds, box)
    for number in np.unique(molecule):
        own = molecule == number
        whole[own] += (scale - 1) * whole[own].mean(0)
    return _with(sample, whole, sample.box * scale)


def repeated(sample: Data, copies: int) -> Data:
    """So many boxes side by side along the first box vector; ``molecule`` counts on.

    Molecules that a border cuts are made whole: their parts would be as far apart as the new box has them.
    """
    z, molecule, wrapped, box = _parts(sample)
    assert box is not None
    whole = whole_molecules(wrapped, find_geometry(z, molecule, wrapped, box).bonds, box)
    pos = torch.from_numpy(np.concatenate([whole + copy * box[0] for copy in range(copies)]))
    count = int(sample.molecule.max()) + 1
    larger = sample.box.clone()
    larger[0, 0] *= copies
    return Data(
        z=sample.z.repeat(copies),
        pos=pos.float(),
        molecule=torch.cat([sample.molecule + copy * count for copy in range(copies)]),
        box=larger,
    )


def whole_molecules(pos: Floats, bonds: NDArray[np.int64], box: Floats | None) -> Floats:
    """Positions (N, 3) with molecules that no border of the box cuts."""
    whole = pos.copy()
    if box is None:
        return whole
    neighbours = defaultdict(list)
    for one, other in bonds.tolist():
        neighbours[one].append(other)
        neighbours[other].append(one)
    placed: set[int] = set()
    for start in range(len(pos)):
        reached = [] if start in placed else [start]
        while reached:
            atom = reached.pop()
            placed.add(atom)
            for other in neighbours[atom]:
                if other not in placed:
                    whole[other] = whole[atom] + nearest_image(whole[other] - whole[atom], box)
                    reached.append(other)
                    placed.add(other)
    return whole


def _with(sample: Data, pos: Floats, box: Tensor) -> Data:
    return Data(z=sample.z, pos=torch.tensor(pos, dtype=torch.float32), molecule=sample.molecule, box=box)


def _parts(sample: Data) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats | None]:
    box = sample.box[0].double().numpy() if "box" in sample else None
    return sample.z.numpy(), sample.molecule.numpy(), sample.pos.double().numpy(), box


def _kind(sample: Data) -> tuple[bytes, ...]:
    box = sample.box.numpy().tobytes() if "box" in sample else b""
    return sample.z.numpy().tobytes(), sample.molecule.numpy().tobytes(), box
