"""Leakage audit: does a validation or test frame also occur in training, under the same or another number?

Frames are compared by index and by geometry. A geometry is recognised after translation, rotation (also of a box),
reflection, renumbering of equal atoms, shifts by whole box vectors, and rounding to 0.001 Å or to the step that the
files keep (0.01 Å in an XTC file), whichever is coarser: see `tasks.leakage.recognition`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from torch_geometric.data import Data

from tasks.datasets.base import Dataset, DatasetError
from tasks.leakage.recognition import (
    FINGERPRINT,
    NEAREST,
    SAME_A,
    Surroundings,
    composition,
    composition_hash,
    fingerprint,
    has_atoms,
    reach,
    same_geometry,
    same_surroundings,
    sorted_distances,
    surroundings,
    tolerance_A,
)
from tasks.leakage.traces import Traces

KEPT_DISTANCES = 4_000_000
"""Sorted distances that are kept at a time, 16 MB: with coarse files more frames are compared one by one."""
SHOWN = 3


class LeakError(DatasetError):
    """Validation or test frames occur in training or pretraining.

    Attributes:
        found: the number of such frames.
    """

    def __init__(self, message: str, found: int) -> None:
        super().__init__(message)
        self.found = found


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
            tolerance_A=max(
                (tolerance_A(a.precision_A, b.dataset.precision_A) for a in sources for b in held_out), default=SAME_A
            ),
        )

    def _alike(self, seen: Sequence[FrameSet], held_out: Sequence[FrameSet]) -> list[_Leak]:
        found = []
        known = _by_composition(seen)
        sets = [*seen, *held_out]
        apart = reach([part.dataset.precision_A for part in sets])
        for atoms_of, ours in _by_composition(held_out).items():
            there = known.get(atoms_of)
            if there is None:
                continue
            atoms = len(_sample(ours[0]).z)
            tree = KDTree(np.stack([self._fingerprint(*place) for place in there]))
            near = tree.query_ball_point(
                np.stack([self._fingerprint(*place) for place in ours]),
                apart / np.sqrt(atoms),
                p=np.inf,
            )
            distances = lru_cache(maxsize=max(2, KEPT_DISTANCES // max(1, atoms**2 // 2)))(_distances)
            around = lru_cache(maxsize=max(2, KEPT_DISTANCES // (atoms * NEAREST)))(_surroundings)
            for place, candidates in zip(ours, near, strict=True):
                for candidate in candidates:
                    other = there[candidate]
                    if place[0].dataset is other[0].dataset and place[1] == other[1]:
                        continue  # found by identity
                    allowed = tolerance_A(place[0].dataset.precision_A, other[0].dataset.precision_A)
                    if same_geometry(distances(place), distances(other), allowed) and same_surroundings(
                        around(place), around(other), allowed
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
        for atoms_of, ours in _by_composition(held_out).items():
            prints = np.stack([self._fingerprint(*place) for place in ours])
            for there in traced:
                rows = np.flatnonzero(there.traces.compositions == composition_hash(atoms_of))
                if not len(rows):
                    continue
                steps = [there.traces.precision_A, *(place[0].dataset.precision_A for place in ours)]
                apart = reach(steps) / np.sqrt(len(_sample(ours[0]).z))
                near = KDTree(there.traces.fingerprints[rows]).query_ball_point(prints, apart, p=np.inf)
                for (part, frame), candidates in zip(ours, near, strict=True):
                    allowed = tolerance_A(part.dataset.precision_A, there.traces.precision_A)
                    own = _surroundings((part, frame)) if candidates else {}
                    for row in rows[candidates]:
                        if has_atoms(own, there.traces.elements[row], there.traces.distances[row], allowed):
                            text = f"frame {frame} of {part.name} has the geometry of structure {row} of {there.name}"
                            found.append(_Leak(text, False))
                            break
        return found

    def _fingerprint(self, part: FrameSet, frame: int) -> NDArray[np.float64]:
        key = id(part.dataset)
        if key not in self._known:
            # The dataset is kept too: an id is unique only as long as the object lives.
            samples = part.dataset.samples
            self._known[key] = (part.dataset, np.full((len(samples), FINGERPRINT), np.nan))
        prints = self._known[key][1]
        if np.isnan(prints[frame, 0]):
            prints[frame] = fingerprint(part.dataset.samples[frame])
        row: NDArray[np.float64] = prints[frame]
        return row


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
            members.setdefault(composition(sample), []).append((part, int(frame)))
    return members


def _distances(place: tuple[FrameSet, int]) -> NDArray[np.float32]:
    return sorted_distances(_sample(place))


def _surroundings(place: tuple[FrameSet, int]) -> Surroundings:
    return surroundings(_sample(place))


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
