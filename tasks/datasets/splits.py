"""Training, validation and test sets: by trajectory, as published, by frame, or as the user's files name them."""

from __future__ import annotations

import abc
import hashlib
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from tasks.datasets.base import DatasetError, Outline


@dataclass(frozen=True)
class Split:
    """Indices of frames, each sorted, pairwise disjoint: train, val, test, each (F_i,) int64."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]

    def as_dict(self) -> dict[str, NDArray[np.int64]]:
        """The three sets by name."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def labelled(self, share: float | None, seed: int) -> Split:
        """The split with only a share of the training frames: those whose labels may be used.

        Their number is rounded, and at least one. They are the first frames of one random order, so that with the same
        seed a smaller share is a subset of a larger one.

        Args:
            share: 0 < share <= 1; None for all.
            seed: seed of the order, 32 bits.
        """
        if share is None:
            return self
        order = np.random.default_rng(seed).permutation(self.train)
        return replace(self, train=np.sort(order[: max(1, round(share * len(order)))]))

    def hash(self) -> str:
        """First 12 hex digits of the SHA-256 of the indices: equal for equal splits."""
        digest = hashlib.sha256()
        for name, indices in self.as_dict().items():
            digest.update(name.encode() + np.ascontiguousarray(indices, dtype="<i8").tobytes())
        return digest.hexdigest()[:12]


class SplitMethod(BaseModel, abc.ABC):
    """How frames are assigned to the sets. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abc.abstractmethod
    def split(self, outline: Outline, stream: int, number: int) -> Split:
        """The three sets.

        Args:
            outline: outline of the frames.
            stream: seed of everything random in the split, 32 bits.
            number: seed of the cell, which selects one of several published splits.

        Raises:
            DatasetError: the frames cannot be split in this way.
        """


class TrajectorySplit(SplitMethod):
    """Shares of the trajectories for validation and testing; the others are for training. Trajectories stay whole."""

    val: float = Field(0.1, gt=0, lt=1, description="Share of the trajectories for validation, at least one.")
    test: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the trajectories for testing, at least one; 0 for structures that only pretraining sees.",
    )

    @model_validator(mode="after")
    def _leaves_training(self) -> TrajectorySplit:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test is {self.val + self.test:g}; below 1 is needed, so that frames are left")
        return self

    def split(self, outline: Outline, stream: int, number: int) -> Split:
        """Shuffle the trajectories and assign whole ones to the sets."""
        names = np.unique(outline.groups)
        n_val = max(1, round(self.val * len(names)))
        n_test = max(1, round(self.test * len(names))) if self.test else 0
        if n_val + n_test >= len(names):
            trajectories = "1 trajectory" if len(names) == 1 else f"{len(names)} trajectories"
            raise DatasetError(
                f"{trajectories} cannot be split into {n_val} for validation, {n_test} for testing and at "
                f"least 1 for training; have more trajectories or lower the shares"
            )
        rest, test = _parted(names, test_size=n_test, random_state=stream) if n_test else (names, names[:0])
        train, val = _parted(rest, test_size=n_val, random_state=stream)
        return Split(*(np.flatnonzero(np.isin(outline.groups, s)).astype(np.int64) for s in (train, val, test)))


class OfficialSplit(SplitMethod):
    """The splits published by the authors of the data: their test frames, and their training frames.

    A cell with seed s uses split number s modulo the number of splits.
    """

    official: Literal[True] = Field(description="Use the published splits.")
    val: float = Field(0.05, gt=0, lt=1, description="Share of the training frames used for validation, at random.")

    def split(self, outline: Outline, stream: int, number: int) -> Split:
        """Take the published test frames; a random share of the published training frames is for validation."""
        if not outline.official:
            raise DatasetError("this dataset has no published splits; write `split: {val: 0.1, test: 0.1}`")
        frames, test = outline.official[number % len(outline.official)]
        train, val = _parted(frames, test_size=max(1, round(self.val * len(frames))), random_state=stream)
        return Split(np.sort(train), np.sort(val), np.sort(test))


class FrameSplit(SplitMethod):
    """Random frames, regardless of their trajectory: given numbers for training and validation, the rest for testing.

    Neighbouring frames of a trajectory are alike: the test error then says nothing about other trajectories.
    """

    train: int = Field(gt=0, description="Frames for training.")
    val: int = Field(gt=0, description="Frames for validation; all others are for testing.")

    def split(self, outline: Outline, stream: int, number: int) -> Split:
        """Shuffle all frames and assign them to the sets."""
        frames = len(outline.groups)
        if self.train + self.val >= frames:
            raise DatasetError(
                f"{frames} frames cannot be split into {self.train} for training, {self.val} for validation and at "
                f"least 1 for testing; lower the numbers or have more frames"
            )
        order = np.random.default_rng(stream).permutation(frames)
        ends = np.split(order, [self.train, self.train + self.val])
        return Split(*(np.sort(part).astype(np.int64) for part in ends))


class OwnSplit(SplitMethod):
    """The sets that the options of the dataset name: one file each, or a key in the file. All seeds have the same.

    Where no validation frames are named, whole trajectories of the training frames are drawn for validation.
    """

    own: Literal[True] = Field(description="Use the sets that the options of the dataset name.")
    val: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of the training trajectories for validation, at least one; only where the options name no "
        "validation frames.",
    )

    def split(self, outline: Outline, stream: int, number: int) -> Split:
        """Take the named sets; where validation is missing, draw it from the trajectories of the training frames."""
        if outline.named is None:
            raise DatasetError(
                "the dataset names no sets of its own, as `split: {own: true}` wants; name them in its options "
                "(of kind extxyz: 'test_path' and 'val_path', or 'set_key'), or write `split: {val: 0.1, test: 0.1}`"
            )
        train, val, test = outline.named
        if len(val) and self.val is not None:
            raise DatasetError(
                f"{len(val)} validation frames are named, and the split asks for a share of {self.val:g} of the "
                f"training trajectories; give one of them"
            )
        if not len(val):
            if self.val is None:
                raise DatasetError(
                    "no validation frames are named; name some, or write `split: {own: true, val: 0.1}` to draw a "
                    "tenth of the training trajectories"
                )
            rest = TrajectorySplit(val=self.val, test=0).split(Outline(outline.groups[train]), stream, number)
            train, val = train[rest.train], train[rest.val]
        return Split(np.sort(train), np.sort(val), np.sort(test))


def _parted(values: NDArray[Any], test_size: int, random_state: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """scikit-learn's `train_test_split`, which takes more than a second to import: a suite is read without it."""
    from sklearn.model_selection import train_test_split

    first, second = train_test_split(values, test_size=test_size, random_state=random_state)
    return first, second


def _method(content: Any) -> str | None:
    """Which method a mapping (or an instance) describes; each has a key that the others lack. None: it is neither."""
    if not isinstance(content, dict | SplitMethod):
        return None
    keys = content if isinstance(content, dict) else type(content).model_fields
    for key, method in (("official", "official"), ("own", "own"), ("train", "frames")):
        if key in keys:
            return method
    return "trajectories"


SplitConfig = Annotated[
    Annotated[TrajectorySplit, Tag("trajectories")]
    | Annotated[OfficialSplit, Tag("official")]
    | Annotated[FrameSplit, Tag("frames")]
    | Annotated[OwnSplit, Tag("own")],
    Discriminator(_method),
]
"""`{val, test}` shares of trajectories; `{official: true, val}`; `{train, val}` numbers of frames; `{own: true}`."""
