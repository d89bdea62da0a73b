"""Leakage audit: does a validation or test frame also occur in training, under the same or another number?

Frames are compared by index and by geometry. A geometry is recognised after translation, rotation (also of a box),
reflection, renumbering of equal atoms, shifts by whole box vectors, and rounding to 0.001 Å or to the step that the
files keep (0.01 Å in an XTC file), whichever is coarser. All distances of a structure have to agree, sorted, and the
neighbours of single atoms too: two frames of a crystal have nearly the same distances.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.distance import squareform
from torch_geometric.data import Data

from tasks.datasets.base import Dataset, DatasetError
from tasks.datasets.structures.molecules import atom_pairs, pair_distances
from tasks.traces import FINGERPRINT, TRACED_ATOMS, TRACED_NEIGHBOURS, Traces

DECAYS_PER_A = (0.5, 1.0, 2.0)
FEATURE_TOLERANCE = 2e-3
"""Times 1/sqrt(atoms): above what rounding to 0.001 Å does to a feature, below what motion does. Coarser steps are
allowed as many times more."""
FINE_STEP_A = 1e-3
SAME_A = 1.5e-3
"""Two structures are the same if their sorted distances differ by less than this, root mean square. Rounding to 0.001 Å
makes a difference of 0.0004 Å; half a femtosecond of motion at 300 K makes 0.004 Å or more."""
ABOVE_ROUNDING = 2.5
"""Of coarser files: how many times the difference that rounding makes. For steps of 0.01 Å this allows 0.010 Å, about a
femtosecond of motion at 300 K: what is nearer cannot be told apart there."""
KEPT_DISTANCES = 4_000_000
"""Sorted distances that are kept at a time, 16 MB: with coarse files more frames are compared one by one."""
NEAREST, WATCHED = TRACED_NEIGHBOURS, 16
"""How many neighbours of how many atoms are compared one by one. A crystal has so many equal distances that all of
them, sorted, differ by no more than 0.001 to 0.006 Å between any two frames (100 to 900 atoms that move by 0.04 or
0.08 Å). What a single atom sees differs by 0.014 Å or more, and rounding changes it no more than all distances."""
SHOWN = 3


class LeakError(DatasetError):
    """Validation or test frames occur in training or pretraining.

    Attributes:
        found: the number of such frames.
    """

    def __init__(self, message: str, found: int) -> None:
        super().__init__(message)
        self.found = found


Surroundings = dict[int, NDArray[np.float32]]
"""For the atoms of each element the distances to their nearest neighbours, ascending, (M, `NEAREST`) or fewer."""


class _Leak(NamedTuple):
    """A held-out frame that is seen, in words, and whether it is only where two trajectories begin."""

    text: str
    beginnings: bool


@dataclass(frozen=True, eq=False)
class FrameSet:
    """Some frames of a dataset; each set is equal to itself alone.

    Attributes:
        name: what messages call the set.
        dataset: where the frames are.
        frames: their indices, (M,) int64.
    """

    name: str
    dataset: Dataset
    frames: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TraceSet:
    """Structures of which there are only traces.

    Attributes:
        name: what messages call them.
        traces: theirs.
    """

    name: str
    traces: Traces


@dataclass(frozen=True)
class Audit:
    """What was compared and found clean.

    Attributes:
        seen_frames: number of frames that training and pretraining see.
        checked_frames: number of validation and test frames that were looked for among them.
        nearest_frames: smallest distance in time between a test frame and a seen frame of the same trajectory, in
            frames of the trajectory as it was simulated; None if they have no trajectory in common or it is not known.
        tolerance_A: largest difference of sorted distances, root mean square, at which two frames counted as the same.
    """

    seen_frames: int
    checked_frames: int
    nearest_frames: int | None
    tolerance_A: float = SAME_A


class Auditor:
    """Compares sets of frames.

    It keeps the fingerprints of the frames, so that auditing several seeds costs little more than one. They change no
    result: an audit is a function of the sets alone.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Dataset, NDArray[np.float64]]] = {}

    def audit(
        self,
        seen: Sequence[FrameSet],
        validation: Sequence[FrameSet],
        test: Sequence[FrameSet],
        traced: Sequence[TraceSet] = (),
    ) -> Audit:
        """Look for the validation and test frames among those that are seen in training.

        Args:
            seen: frames of training and pretraining.
            validation: frames that select the best checkpoint.
            test: frames that errors are measured on.
            traced: further structures that are seen, of which there are only traces.

        Raises:
            LeakError: if any is found; the message names the first ones.
        """
        held_out = [*validation, *test]
        found = [*_identical(seen, held_out), *self._alike(seen, held_out), *self._traced(traced, held_out)]
        if found:
            more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            raise LeakError(
                f"leakage: {'; '.join(leak.text for leak in found[:SHOWN])}{more}. Errors on such frames are "
                f"meaningless: {_remedy(found)}",
                found=len(found),
            )
        sources: list[Dataset | Traces] = [part.dataset for part in seen]
        sources += [part.traces for part in traced]
        return Audit(
            seen_frames=sum(len(part.frames) for part in seen) + sum(len(part.traces) for part in traced),
            checked_frames=sum(len(part.frames) for part in held_out),
            nearest_frames=_nearest(seen, test),
            tolerance_A=max((tolerance_A(a, b.dataset) for a in sources for b in held_out), default=SAME_A),
        )

    def _alike(self, seen: Sequence[FrameSet], held_out: Sequence[FrameSet]) -> list[_Leak]:
        found = []
        known = _by_composition(seen)
        sets = [*seen, *held_out]
        reach = _reach([part.dataset.precision_A for part in sets])
        for composition, ours in _by_composition(held_out).items():
            there = known.get(composition)
            if there is None:
                continue
            atoms = len(_sample(ours[0]).z)
            tree = KDTree(np.stack([self._fingerprint(*place) for place in there]))
            near = tree.query_ball_point(
                np.stack([self._fingerprint(*place) for place in ours]),
                reach / np.sqrt(atoms),
                p=np.inf,
            )
            distances = lru_cache(maxsize=max(2, KEPT_DISTANCES // max(1, atoms**2 // 2)))(_sorted_distances_of)
            surroundings = lru_cache(maxsize=max(2, KEPT_DISTANCES // (atoms * NEAREST)))(_surroundings)
            for place, candidates in zip(ours, near, strict=True):
                for candidate in candidates:
                    other = there[candidate]
                    if place[0].dataset is other[0].dataset and place[1] == other[1]:
                        continue  # found by identity
                    allowed = tolerance_A(place[0].dataset, other[0].dataset)
                    if _same_geometry(distances(place), distances(other), allowed) and _same_surroundings(
                        surroundings(place), surroundings(other), allowed
                    ):
                        text = (
                            f"frame {place[1]} of {place[0].name} has the geometry of frame {other[1]} of "
                            f"{other[0].name}"
                        )
                        found.append(_Leak(text, _begins(place) and _begins(other)))
                        break
        return found

    def _traced(self, traced: Sequence[TraceSet], held_out: Sequence[FrameSet]) -> list[_Leak]:
        """The same where of what was seen there are only traces."""
        found = []
        for composition, ours in _by_composition(held_out).items():
            prints = np.stack([self._fingerprint(*place) for place in ours])
            for there in traced:
                rows = np.flatnonzero(there.traces.compositions == _composition_hash(composition))
                if not len(rows):
                    continue
                steps = [there.traces.precision_A, *(place[0].dataset.precision_A for place in ours)]
                reach = _reach(steps) / np.sqrt(len(_sample(ours[0]).z))
                near = KDTree(there.traces.fingerprints[rows]).query_ball_point(prints, reach, p=np.inf)
                for (part, frame), candidates in zip(ours, near, strict=True):
                    allowed = tolerance_A(part.dataset, there.traces)
                    own = _surroundings((part, frame)) if candidates else {}
                    for row in rows[candidates]:
                        if _has_atoms(own, there.traces.elements[row], there.traces.distances[row], allowed):
                            text = f"frame {frame} of {part.name} has the geometry of structure {row} of {there.name}"
                            found.append(_Leak(text, False))
                            break
        return found

    def _fingerprint(self, part: FrameSet, frame: int) -> NDArray[np.float64]:
        key = id(part.dataset)
        if key not in self._known:
            # The dataset is kept too: an id is unique only as long as the object lives.
            samples = part.dataset.samples
            self._known[key] = (part.dataset, np.full((len(samples), 2 * len(DECAYS_PER_A)), np.nan))
        prints = self._known[key][1]
        if np.isnan(prints[frame, 0]):
            prints[frame] = fingerprint(part.dataset.samples[frame])
        row: NDArray[np.float64] = prints[frame]
        return row


def fingerprint(sample: Data) -> NDArray[np.float64]:
    """Descriptors that do not depend on orientation, order of the atoms or wrapping, (6,).

    ``sum over pairs of w exp(-a d) / N`` for three decays a and two weights w: 1, and the product of the atomic
    numbers (scaled to a mean of 1).
    """
    z = sample.z.numpy().astype(np.float64)
    first, second = atom_pairs(len(z))
    if not len(first):
        return np.zeros(2 * len(DECAYS_PER_A))
    distances = pair_distances(sample.pos.numpy(), _box(sample))
    products = z[first] * z[second]
    weights = np.stack([np.ones_like(products), products / products.mean()])
    decays = np.exp(-np.asarray(DECAYS_PER_A)[:, None] * distances)
    return (decays @ weights.T).ravel() / len(z)


def trace(part: FrameSet) -> Traces:
    """What is kept of frames to recognise them by."""
    samples = [part.dataset.samples[frame] for frame in part.frames]
    traces = Traces(
        np.array([_composition_hash(_composition(sample)) for sample in samples], dtype=np.int64),
        np.array([fingerprint(sample) for sample in samples], dtype=np.float32).reshape(-1, FINGERPRINT),
        np.zeros((len(samples), TRACED_ATOMS), dtype=np.int64),
        np.zeros((len(samples), TRACED_ATOMS, TRACED_NEIGHBOURS), dtype=np.float32),
        part.dataset.precision_A,
    )
    for row, sample in enumerate(samples):
        atoms = np.linspace(0, sample.num_nodes - 1, TRACED_ATOMS).round().astype(int)
        nearest = _nearest_distances(sample)[atoms]
        traces.elements[row] = sample.z.numpy()[atoms]
        traces.distances[row, :, : nearest.shape[1]] = nearest
    return traces


def tolerance_A(first: Dataset | Traces, second: Dataset | Traces) -> float:
    """Root mean square difference of sorted distances up to which frames of two datasets count as the same, Å.

    Rounding coordinates to steps a and b changes the distance of two atoms by sqrt((a² + b²) / 6), root mean square.
    """
    rounding = np.hypot(first.precision_A, second.precision_A) / np.sqrt(6)
    return float(max(SAME_A, ABOVE_ROUNDING * rounding))


def _reach(steps_A: Sequence[float]) -> float:
    """How far fingerprints of the same frame may be apart, times the root of its atoms."""
    return max([FINE_STEP_A, *steps_A]) / FINE_STEP_A * FEATURE_TOLERANCE


def _same_geometry(a: NDArray[np.float32], b: NDArray[np.float32], allowed_A: float) -> bool:
    """Whether the sorted distances of each pair of elements are the same."""
    return bool(np.sqrt(np.mean((a - b) ** 2)) < allowed_A) if len(a) else True


def _same_surroundings(a: Surroundings, b: Surroundings, allowed_A: float) -> bool:
    """Whether some atoms of one structure are found in the other of the same composition, each by its neighbours."""
    for element, rows in a.items():
        watched = rows[np.unique(np.linspace(0, len(rows) - 1, WATCHED).round().astype(int))]
        if not _has_atoms(b, [element] * len(watched), watched, allowed_A):
            return False
    return True


def _has_atoms(
    surroundings: Surroundings, elements: Sequence[int], distances: NDArray[np.float32], allowed_A: float
) -> bool:
    """Whether a structure has atoms of these elements with these distances to their neighbours, (M, `NEAREST`)."""
    for element, row in zip(elements, distances, strict=True):
        if element not in surroundings:
            return False
        differences = surroundings[element] - row[: surroundings[element].shape[1]]
        if differences.size and np.sqrt(np.square(differences).mean(axis=1).min()) >= allowed_A:
            return False
    return True


def _surroundings(place: tuple[FrameSet, int]) -> Surroundings:
    sample = _sample(place)
    z, nearest = sample.z.numpy(), _nearest_distances(sample)
    return {int(element): nearest[z == element] for element in np.unique(z)}


def _nearest_distances(sample: Data) -> NDArray[np.float32]:
    """Of each atom the distances to its nearest neighbours, ascending, (N, `NEAREST`), or fewer of few atoms."""
    count = min(NEAREST, sample.num_nodes - 1)
    distances = squareform(pair_distances(sample.pos.numpy(), _box(sample))).astype(np.float32)
    nearest = np.partition(distances, count, axis=1)[:, : count + 1]
    return np.sort(nearest, axis=1)[:, 1:]  # the first is the atom itself


def _sorted_distances_of(place: tuple[FrameSet, int]) -> NDArray[np.float32]:
    return _sorted_distances(_sample(place)).astype(np.float32)


def _sorted_distances(sample: Data) -> NDArray[np.float64]:
    z = sample.z.numpy()
    first, second = atom_pairs(len(z))
    kinds = np.minimum(z[first], z[second]) * 1000 + np.maximum(z[first], z[second])
    distances = pair_distances(sample.pos.numpy(), _box(sample))
    ordered: NDArray[np.float64] = distances[np.lexsort((distances, kinds))]
    return ordered


def _box(sample: Data) -> NDArray[np.float64] | None:
    return sample.box[0].double().numpy() if "box" in sample else None


def _begins(place: tuple[FrameSet, int]) -> bool:
    """Whether a frame is known to be the first of a trajectory."""
    frames = place[0].dataset.trajectory_frames
    return frames is not None and frames[place[1], 1] == 0


def _remedy(found: Sequence[_Leak]) -> str:
    if all(leak.beginnings for leak in found):
        return (
            "these are the first frames of trajectories that began from the same structure. Leave out the first frame "
            "of each trajectory, and those that follow too soon to differ"
        )
    return "remove them from the training or pretraining data (another split, or fewer frames), or from the test data"


def _identical(seen: Sequence[FrameSet], held_out: Sequence[FrameSet]) -> list[_Leak]:
    """Held-out frames that are also seen, by their index in the same dataset."""
    found = []
    for ours in held_out:
        for there in seen:
            if ours.dataset is there.dataset:
                both = np.intersect1d(ours.frames, there.frames)
                found += [
                    _Leak(f"frame {frame} of {ours.name} is among the frames of {there.name}", False) for frame in both
                ]
    return found


def _by_composition(parts: Sequence[FrameSet]) -> dict[bytes, list[tuple[FrameSet, int]]]:
    """Frames by their composition.

    Boxes do not count: a molecule in a vacuum box equals the same one without a box if it is smaller than half of it.
    """
    members: dict[bytes, list[tuple[FrameSet, int]]] = {}
    for part in parts:
        for frame in part.frames:
            sample = part.dataset.samples[frame]
            members.setdefault(_composition(sample), []).append((part, int(frame)))
    return members


def _composition(sample: Data) -> bytes:
    return np.sort(sample.z.numpy()).astype("<i2").tobytes()


def _composition_hash(composition: bytes) -> int:
    return int.from_bytes(hashlib.sha256(composition).digest()[:8], "little", signed=True)


def _sample(place: tuple[FrameSet, int]) -> Data:
    return place[0].dataset.samples[place[1]]


def _nearest(seen: Sequence[FrameSet], test: Sequence[FrameSet]) -> int | None:
    """Smallest difference of frame numbers within a trajectory between test and seen frames of one dataset."""
    nearest = []
    for ours in test:
        for there in seen:
            if ours.dataset is not there.dataset or ours.dataset.trajectory_frames is None:
                continue
            mine, others = ours.dataset.trajectory_frames[ours.frames], ours.dataset.trajectory_frames[there.frames]
            for trajectory in np.intersect1d(mine[:, 0], others[:, 0]):
                frames = np.sort(others[others[:, 0] == trajectory, 1])
                at = mine[mine[:, 0] == trajectory, 1]
                place = np.searchsorted(frames, at)
                before, after = frames[np.maximum(place - 1, 0)], frames[np.minimum(place, len(frames) - 1)]
                nearest.append(int(np.minimum(np.abs(at - before), np.abs(at - after)).min()))
    return min(nearest, default=None)
