"""From entries of a suite to frames: datasets read once, their splits, and pools of structures for pretraining."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch_geometric.data import Data

from benchmark.planning.config import DatasetEntry, Entry, Part, StructuresEntry, build
from benchmark.streams import stream_seed
from tasks.datasets.base import Dataset, DatasetError, DatasetTask, Outline
from tasks.datasets.splits import Split
from tasks.pretexts.base import Pretext, PretextError
from tasks.registry import DATASETS

SplitEntry = DatasetEntry | StructuresEntry | Part


def split_frames(entry: SplitEntry, outline: Outline, seed: int) -> Split:
    """The sets of a seed; equal for all arms."""
    return entry.split.split(outline, stream_seed(seed, "split"), seed)


def count_training_frames(entry: SplitEntry, seed: int, data_dir: Path) -> int | None:
    """Training frames of a seed; None where only prepared data can tell, and it is not there."""
    task: DatasetTask = build(DATASETS, entry)
    outline = task.outline(data_dir)
    return None if outline is None else len(split_frames(entry, outline, seed).train)


class Library:
    """The datasets of a data folder, each read once."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._loaded: dict[str, Dataset] = {}

    def load(self, entry: Entry) -> Dataset:
        """A prepared dataset; entries may differ in anything but kind and options.

        Raises:
            DatasetError: if it is missing or damaged.
        """
        content = Entry(kind=entry.kind, options=entry.options).model_dump_json()
        if content not in self._loaded:
            task: DatasetTask = build(DATASETS, entry)
            self._loaded[content] = task.load(self._data_dir)
        return self._loaded[content]

    def load_split(self, entry: SplitEntry, seed: int) -> tuple[Dataset, Split]:
        """A dataset with its sets of a seed."""
        dataset = self.load(entry)
        return dataset, split_frames(entry, dataset.outline, seed)


@dataclass(frozen=True)
class Pool:
    """Structures for pretraining, without labels.

    Attributes:
        samples: frames of all parts, one part after the other.
        split: which of them train and validate; none tests.
        left_out: frames that the pretext cannot be applied to.
        split_hashes: hash of the split of each part.
    """

    samples: list[Data]
    split: Split
    left_out: int
    split_hashes: list[str]


def pool_structures(parts: Sequence[Part], pretext: Pretext, seed: int, library: Library) -> Pool:
    """Training and validation frames of several datasets, stripped of their labels.

    Raises:
        PretextError: if the pretext can be applied to no training or no validation frame.
        DatasetError: if some parts are periodic and others are not.
    """
    samples: list[Data] = []
    chosen: dict[str, list[int]] = {"train": [], "val": []}
    left_out, split_hashes = 0, []
    for part in parts:
        dataset, split = library.load_split(part, seed)
        split_hashes.append(split.hash())
        for name, kept in chosen.items():
            for frame in split.as_dict()[name]:
                sample = dataset.samples[frame]
                if pretext.applies_to(sample):
                    kept.append(len(samples))
                    samples.append(_unlabelled(sample))
                else:
                    left_out += 1
    empty = [name for name, kept in chosen.items() if not kept]
    if empty:
        what = {"train": "training", "val": "validation"}[empty[0]]
        raise PretextError(
            f"{pretext.title} needs {pretext.requirement}; none of the {what} structures has that. Use other options, "
            f"another pretext, or leave it out"
        )
    if len({"box" in sample for sample in samples}) > 1:
        raise DatasetError(
            "pretraining on periodic and on isolated structures together is not possible: a batch has boxes or has "
            "none. Pretrain on structures of one sort"
        )
    none = np.empty(0, dtype=np.int64)
    return Pool(samples, Split(np.array(chosen["train"]), np.array(chosen["val"]), none), left_out, split_hashes)


def _unlabelled(sample: Data) -> Data:
    """The structure alone: a pretext never sees energies or forces."""
    bare = sample.clone()
    for label in ("y", "neg_dy"):
        if label in bare:
            del bare[label]
    return bare
