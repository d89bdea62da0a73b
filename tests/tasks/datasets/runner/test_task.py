"""What datasets from n2p2 files share: trajectories by seed, the choice of structures, the stored form."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from tasks.datasets.base import DatasetError
from tasks.datasets.runner import task as runner_task
from tasks.datasets.runner.rpbe import RPBE, RPBEConfig
from tasks.datasets.runner.task import choose_structures, group_by_seed
from tasks.pretexts.masking import Masking, MaskingConfig
from tests.tasks.datasets.runner.conftest import EV_PER_HARTREE, prepared, publish, text_of

Water = Callable[..., Data]


def test_unknown_molecules_are_reported_and_only_they_are_not_masked(tmp_path: Path, water: Water) -> None:
    good, shared = water(8, 0), water(8, 1)
    gap = shared.pos[3] - shared.pos[0]
    gap -= torch.round(gap / 8.0) * 8.0
    shared.pos[1] = shared.pos[0] + gap / 2  # 2 Å from both: bonded to none
    incomplete = good.clone()
    for field in ("z", "pos", "neg_dy"):
        incomplete[field] = incomplete[field][:-1]
    publish(tmp_path, text_of(shared, "a"), text_of(good, "b"), text_of(incomplete, "c"))
    dataset = prepared(RPBE(RPBEConfig()), tmp_path)
    masking = Masking(MaskingConfig())
    assert [masking.applies_to(sample) for sample in dataset.samples] == [False, True, False]
    assert dataset.samples[0].molecule.tolist() == dataset.samples[0].site.tolist() == list(range(24))
    assert dataset.provenance["structures_not_told_apart"] == 2
    assert dataset.provenance["structures_by_molecules"] == {"8": 1}
    assert len(dataset.warnings) == 2
    assert "in 2 of 3 structures the water molecules cannot be told apart" in dataset.warnings[0]


def test_trajectories_from_comments() -> None:
    groups, trajectory_frames = group_by_seed(["a seed=7 T=300", "seed=3", "T=1 seed=7", "seed=70"])
    assert groups.tolist() == [0, 1, 0, 2]
    assert trajectory_frames is not None
    assert trajectory_frames.tolist() == [[7, 0], [3, 0], [7, 1], [70, 0]]
    groups, trajectory_frames = group_by_seed(["seed=7", "", "noseed=7", "seed=7", "seed=x"])
    assert groups.tolist() == [0, 1, 2, 0, 3]
    assert trajectory_frames is None


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=20), wanted=st.integers(1, 60))
def test_choice_is_of_whole_trajectories_and_spread(sizes: list[int], wanted: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    chosen = choose_structures(groups, wanted)
    names = np.unique(groups[chosen])
    assert np.array_equal(chosen, np.flatnonzero(np.isin(groups, names)))
    assert len(chosen) <= wanted or len(names) == 1
    steps = np.diff([*names, len(sizes)])
    assert steps.max() - steps.min() <= 1
    if len(set(sizes)) == 1:  # then as many as fit
        assert len(names) == max(1, min(len(sizes), wanted // sizes[0]))
    assert np.array_equal(choose_structures(groups, None), np.arange(len(groups)))


def test_some_structures_of_several_trajectories(tmp_path: Path, water: Water) -> None:
    texts = [text_of(water(4, seed=i), f"seed={i // 3}", -76.0 - i) for i in range(12)]
    publish(tmp_path, *texts)
    task = RPBE(RPBEConfig(structures=7))
    dataset = prepared(task, tmp_path)
    assert [round(-sample.y.item() / EV_PER_HARTREE) - 76 for sample in dataset.samples] == [0, 1, 2, 6, 7, 8]
    assert dataset.outline.groups.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.trajectory_frames is not None
    assert dataset.trajectory_frames.tolist() == [[0, 0], [0, 1], [0, 2], [2, 0], [2, 1], [2, 2]]
    assert dataset.provenance["structures_in_file"] == 12
    outline = task.outline(tmp_path)
    assert outline is not None
    assert np.array_equal(outline.groups, dataset.outline.groups)
    assert len(prepared(RPBE(RPBEConfig()), tmp_path).samples) == 12


def test_binary_form_is_made_once_for_each_content(
    tmp_path: Path, water: Water, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, text_of(water(4, 0), "a"))
    task = RPBE(RPBEConfig())
    first = prepared(task, tmp_path)

    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} is read again")

    with monkeypatch.context() as patch:
        patch.setattr(runner_task, "read_structures", refuse)
        again = prepared(task, tmp_path)
    assert again.content_hash == first.content_hash
    publish(tmp_path, text_of(water(4, 1), "a"))
    with pytest.raises(DatasetError, match="has to be prepared first"):
        task.load(tmp_path)
    assert prepared(task, tmp_path).content_hash != first.content_hash


def test_nothing_is_kept_of_bad_input(tmp_path: Path, water: Water) -> None:
    publish(tmp_path, text_of(water(4), "a"), text_of(water(4), "b").replace("end\n", ""))
    task = RPBE(RPBEConfig())
    with pytest.raises(
        DatasetError, match=r"training-data_H2O\.tar\.gz: training-data_H2O/input\.data, line 21: .*cut"
    ):
        task.prepare(tmp_path)
    with pytest.raises(DatasetError, match="cut short"):
        task.outline(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_sample_does_not_carry_the_dataset(tmp_path: Path, water: Water) -> None:
    publish(tmp_path, *(text_of(water(4, i), "a") for i in range(3)))
    sample = prepared(RPBE(RPBEConfig()), tmp_path).samples[1]
    for field in ("pos", "neg_dy", "y", "box", "molecule"):
        tensor = copy.copy(sample[field])
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


def test_progress_rises_to_one(tmp_path: Path, water: Water) -> None:
    publish(tmp_path, text_of(water(4), "a"))
    seen: list[float] = []
    RPBE(RPBEConfig()).prepare(tmp_path, lambda message, fraction: seen.append(fraction))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 1)
