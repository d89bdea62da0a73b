"""From entries of a suite to frames: datasets read once, their splits, and pools of structures for pretraining."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase.data import chemical_symbols
from torch_geometric.data import Data

from benchmark.planning.config import DatasetEntry, Entry, Part
from benchmark.planning.frames import SplitEntry, split_frames
from benchmark.planning.reading import build
from benchmark.streams import stream_seed
from tasks.datasets.base import Dataset, DatasetError, DatasetTask
from tasks.datasets.splits import Split
from tasks.normalisation import find_undetermined
from tasks.options.pretexts import PretextError
from tasks.pretexts.base import PretrainingTask
from tasks.registry import DATASETS


class Sets(NamedTuple):
    """A dataset, its training, validation and test frames, and how many training frames there are, labelled or not."""

    dataset: Dataset
    split: Split
    whole: int


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

    def load_sets(self, entry: SplitEntry, seed: int) -> Sets:
        """A dataset with its sets of a seed; of the training frames only those that may be used with their labels."""
        dataset = self.load(entry)
        whole = split_frames(entry, dataset.outline, seed)
        share = entry.labelled if isinstance(entry, DatasetEntry | Part) else None
        return Sets(dataset, whole.labelled(share, stream_seed(seed, "labelled")), len(whole.train))

    def contents(self, entries: Iterable[Entry]) -> list[str]:
        """Content hashes of datasets: equal only for the same frames."""
        return [self.load(entry).content_hash for entry in entries]


@dataclass(frozen=True)
class Pool:
    """Structures for pretraining, without labels unless these are what is learned.

    Attributes:
        samples: frames of all parts, one part after the other.
        split: which of them train and validate; none tests.
        epoch_frames: frames of an epoch; where only a share is labelled, as many as the whole training sets have.
        left_out: frames that the pretext cannot be applied to.
        split_hashes: hash of the split of each part.
        label_seconds: what making the labels of these frames has cost, s on one core.
    """

    samples: list[Data]
    split: Split
    epoch_frames: int
    left_out: int
    split_hashes: list[str]
    label_seconds: float


def pool_structures(parts: Sequence[Part], pretext: PretrainingTask, seed: int, library: Library) -> Pool:
    """Training and validation frames of several datasets, stripped of their labels unless the pretext learns these.

    Raises:
        PretextError: if the pretext can be applied to no training or no validation frame.
        DatasetError: if some parts are periodic and others are not, or if training does not determine the energies of
            validation where labels are learned.
    """
    samples: list[Data] = []
    chosen: dict[str, list[int]] = {"train": [], "val": []}
    left_out, unlabelled, split_hashes, label_seconds = 0, 0, [], 0.0
    species: set[int] = set()
    learns_labels = pretext.config.needs_labels
    for part in parts:
        dataset, split, whole = library.load_sets(part, seed)
        species.update(dataset.species)
        split_hashes.append(split.hash())
        unlabelled += whole - len(split.train)
        before = len(samples)
        for name, kept in chosen.items():
            for frame in split.as_dict()[name]:
                sample = dataset.samples[frame]
                if pretext.applies_to(sample):
                    kept.append(len(samples))
                    samples.append(sample if learns_labels else _unlabelled(sample))
                else:
                    left_out += 1
        label_seconds += dataset.seconds_per_label * (len(samples) - before) if learns_labels else 0
    empty = [name for name, kept in chosen.items() if not kept]
    if empty:
        what = {"train": "training", "val": "validation"}[empty[0]]
        raise PretextError(
            f"{pretext.title} needs {pretext.requirement}; none of the {what} structures (made of "
            f"{', '.join(chemical_symbols[number] for number in sorted(species))}) has that. Use other options, "
            f"another pretext, or leave it out"
        )
    if len({"box" in sample for sample in samples}) > 1:
        raise DatasetError(
            "pretraining on periodic and on isolated structures together is not possible: a batch has boxes or has "
            "none. Pretrain on structures of one sort"
        )
    training, validation = ([samples[frame] for frame in chosen[name]] for name in ("train", "val"))
    undetermined = find_undetermined(training, validation) if learns_labels else None
    if undetermined is not None:
        raise DatasetError(
            f"the validation structures of {pretext.title} have some of {undetermined}, whose energies its "
            f"{len(training)} training structures do not determine: their compositions are not combined of those in "
            "training. Have such structures in training, or leave them out"
        )
    none = np.empty(0, dtype=np.int64)
    pooled = Split(np.array(chosen["train"]), np.array(chosen["val"]), none)
    return Pool(samples, pooled, len(pooled.train) + unlabelled, left_out, split_hashes, label_seconds)


def _unlabelled(sample: Data) -> Data:
    """The structure alone: a pretext never sees energies or forces."""
    bare = copy(sample)
    for label in ("y", "neg_dy"):
        if label in bare:
            del bare[label]
    return bare
