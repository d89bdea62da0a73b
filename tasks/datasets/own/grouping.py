"""Which frames of a labelled file belong together: trajectories, sets that the user names, and what looks like them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from tasks.datasets.base import DatasetError
from tasks.datasets.own.options import ExtXYZConfig
from tasks.datasets.structures.molecules import pair_distances

SETS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What a frame may say of the set that it belongs to."""
SHOWN = 3
SMALLEST_GROUP = 2.0
"""Frames of each value, on average, from which on a key may name trajectories."""
FEWEST_FRAMES = 20
"""From which on it is judged whether frames follow one another."""
COMPARED = 200
"""Frames that are compared, from the first on."""
MOST_PAIRS = 500
ALIKE = 0.7
"""Largest von Neumann ratio of frames that follow one another."""
SIGNIFICANT = 4.0
"""Standard deviations by which the ratio is below that of a random order."""


def group_name(info: Mapping[str, Any], config: ExtXYZConfig, number: int, place: str) -> str:
    """Name of a frame's trajectory; the number of the frame if there is no group key.

    Raises:
        DatasetError: the frame lacks the key.
    """
    return str(number) if config.group_key is None else str(_named(info, config.group_key, "group_key", place))


def set_name(info: Mapping[str, Any], key: str, place: str) -> str:
    """The set that a frame says it belongs to: train, val or test.

    Raises:
        DatasetError: the frame lacks the key, or names another set.
    """
    value = str(_named(info, key, "set_key", place))
    if value.lower() not in SETS:
        raise DatasetError(f"{place}: {key} is {value!r}; sets are {', '.join(SETS)}. Correct the file")
    return SETS[value.lower()]


def _named(info: Mapping[str, Any], key: str, option: str, place: str) -> Any:
    if key not in info:
        raise DatasetError(
            f"{place}: no {key!r} in its comment line; there are {sorted(info) or 'none'}. Correct the option "
            f"{option!r} or the file"
        )
    return info[key]


def named_sets(names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the training, validation and test frames, by the set of each frame.

    Raises:
        DatasetError: none trains, or none tests.
    """
    sets = np.array(names)
    train, val, test = (np.flatnonzero(sets == name).astype(np.int64) for name in ("train", "val", "test"))
    if not len(train) or not len(test):
        counts = f"{len(train)} for training, {len(val)} for validation and {len(test)} for testing"
        raise DatasetError(f"of {len(sets)} frames there are {counts}; name some for training and some for testing")
    return train, val, test


def number_groups(names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Trajectories by name.

    Returns:
        The trajectory of each frame, (F,), and with it the number of the frame in it, (F, 2), in the order given.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    groups = np.array([numbers[name] for name in names], dtype=np.int64)
    counted: Counter[int] = Counter()
    within = np.empty_like(groups)
    for frame, group in enumerate(groups.tolist()):
        within[frame] = counted[group]
        counted[group] += 1
    return groups, np.stack([groups, within], axis=1)


def divided_warnings(groups: Sequence[str], sets: Sequence[str]) -> tuple[str, ...]:
    """What readers have to know where sets that the user names divide trajectories: a test frame has seen neighbours.

    Args:
        groups: name of each frame's trajectory.
        sets: name of each frame's set.
    """
    seen = {group for group, name in zip(groups, sets, strict=True) if name != "test"}
    both = sorted(seen & {group for group, name in zip(groups, sets, strict=True) if name == "test"})
    if not both:
        return ()
    more = f" and {len(both) - SHOWN} more" if len(both) > SHOWN else ""
    return (
        f"the sets divide trajectories: {', '.join(both[:SHOWN])}{more} "
        f"{'has' if len(both) == 1 else 'have'} frames in testing and in training or validation; neighbours in time "
        f"are almost the same structure, and errors come out too small",
    )


def ungrouped_warnings(infos: Sequence[Mapping[str, Any]], samples: Sequence[Data], name: str) -> tuple[str, ...]:
    """What readers have to know where each frame counts as a trajectory of its own: reasons to doubt it.

    Args:
        infos: what the comment lines of the frames say.
        samples: the frames.
        name: of the file.
    """
    keys = group_like_keys(infos)
    if keys:
        words = " or ".join(f"{key!r} ({count} values)" for key, count in keys.items())
        return (
            f"each frame of {name} counts as independent of all others and is split by itself; but the comment lines "
            f"have {words}, which looks like the name of a trajectory. If it is, write `group_key: {next(iter(keys))}` "
            f"in the options: neighbours in time are almost the same structure, and errors come out too small",
        )
    ratio = succession(samples)
    if ratio is None:
        return ()
    return (
        f"each frame of {name} counts as independent of all others and is split by itself; but frames that stand next "
        f"to each other are alike (their mean square difference is {ratio:.2f} of that of any two), as in a "
        f"trajectory. If it is one, write `blocks: 10` in the options (or `group_key` where there are several): "
        f"neighbours in time are almost the same structure, and errors come out too small",
    )


def group_like_keys(infos: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Keys that all frames have, with text or whole numbers that several frames share, and how many values each has."""
    found: dict[str, int] = {}
    for key in set.intersection(*(set(info) for info in infos)) if infos else ():
        values = [info[key] for info in infos]
        if all(isinstance(value, str | int | np.integer) and not isinstance(value, bool) for value in values):
            distinct = len({str(value) for value in values})
            if 1 < distinct <= len(infos) / SMALLEST_GROUP:
                found[key] = distinct
    return dict(sorted(found.items()))


def succession(samples: Sequence[Data]) -> float | None:
    """How alike frames are that stand next to each other, if they are alike; None if their order could be random.

    The mean square difference of successive frames over that of any two (von Neumann's ratio, Ann. Math. Stat. 12, 367
    (1941), doi 10.1214/aoms/1177731677), of distances between atoms. In a random order of F frames it is 1, for a
    single distance with the variance (F - 2) / (F² - 1); that of an average over distances is no larger.
    """
    z = samples[0].z
    alike = [sample for sample in samples[:COMPARED] if np.array_equal(sample.z, z)]
    if len(alike) < max(FEWEST_FRAMES, 0.9 * min(len(samples), COMPARED)) or len(z) < 2:
        return None
    distances = []
    for sample in alike:
        found = pair_distances(sample.pos.numpy(), sample.box[0].double().numpy() if "box" in sample else None)
        distances.append(found[np.linspace(0, len(found) - 1, min(len(found), MOST_PAIRS)).astype(int)])
    values = np.stack(distances)
    if not np.ptp(values, axis=0).any():
        return None
    spread = 2 * values.var(axis=0, ddof=1).sum()
    ratio = float(np.square(np.diff(values, axis=0)).sum() / (len(values) - 1) / spread)
    frames = len(values)
    random = np.sqrt((frames - 2) / (frames**2 - 1))
    return ratio if ratio < ALIKE and 1 - ratio > SIGNIFICANT * random else None
