"""Which frames an entry of a suite trains on."""

from __future__ import annotations

from pathlib import Path

from benchmark.planning.config import DatasetEntry, Part, StructuresEntry
from benchmark.planning.reading import build
from benchmark.streams import stream_seed
from tasks.datasets.base import DatasetError, DatasetTask, Outline
from tasks.datasets.splits import OwnSplit, Split
from tasks.registry import DATASETS

SplitEntry = DatasetEntry | StructuresEntry | Part


def split_frames(entry: SplitEntry, outline: Outline, seed: int) -> Split:
    """The sets of a seed; equal for all arms.

    Raises:
        DatasetError: the frames cannot be split in this way, or the user has named sets and the split ignores them.
    """
    if outline.named is not None and isinstance(entry, DatasetEntry) and not isinstance(entry.split, OwnSplit):
        raise DatasetError(
            "its options name training, validation and test frames; write `split: {own: true}` to use them"
        )
    return entry.split.split(outline, stream_seed(seed, "split"), seed)


def planned_split(entry: SplitEntry, seed: int, data_dir: Path) -> Split | None:
    """The sets of a seed; None where only prepared data can tell, and it is not there."""
    task: DatasetTask = build(DATASETS, entry)
    outline = task.outline(data_dir)
    return None if outline is None else split_frames(entry, outline, seed)


def count_training_frames(entry: SplitEntry, seed: int, data_dir: Path) -> int | None:
    """Training frames of a seed; None where only prepared data can tell, and it is not there."""
    split = planned_split(entry, seed, data_dir)
    return None if split is None else len(split.train)
