"""Train, validation and test sets that never cut a trajectory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sklearn.model_selection import train_test_split

from tasks.datasets.base import DatasetError


class SplitConfig(BaseModel):
    """Shares of a dataset's trajectories for validation and test; the rest is for training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    val: float = Field(0.1, gt=0, lt=1, description="Share of the trajectories for validation, at least one.")
    test: float = Field(0.1, gt=0, lt=1, description="Share of the trajectories for testing, at least one.")

    @model_validator(mode="after")
    def _leaves_training(self) -> SplitConfig:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test is {self.val + self.test:g}; below 1 is needed, so that frames are left")
        return self


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
        """The split with a share of the training frames, rounded, at least one: those whose labels may be used.

        The frames are the first of one random order, so that of two shares with one seed the smaller is a part of
        the larger.

        Args:
            share: 0 < share <= 1; None for all.
            seed: of the order, 32 bits.
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


def split_by_group(groups: NDArray[np.int64], config: SplitConfig, seed: int) -> Split:
    """Shuffle the groups (trajectories) and deal them out whole.

    Args:
        groups: group of each frame, (F,).
        config: shares of groups.
        seed: of the shuffle, 32 bits.

    Raises:
        DatasetError: with too few groups for three sets.
    """
    names = np.unique(groups)
    n_val = max(1, round(config.val * len(names)))
    n_test = max(1, round(config.test * len(names)))
    if n_val + n_test >= len(names):
        raise DatasetError(
            f"{len(names)} trajectories cannot be split into {n_val} for validation, {n_test} for testing and at "
            f"least 1 for training; make more trajectories or lower the shares"
        )
    rest, test = train_test_split(names, test_size=n_test, random_state=seed)
    train, val = train_test_split(rest, test_size=n_val, random_state=seed)
    return Split(*(np.flatnonzero(np.isin(groups, chosen)).astype(np.int64) for chosen in (train, val, test)))
