"""What looks like trajectories in a labelled file is told, and sets that the user names are those that are used."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.datasets.base import DatasetError
from tasks.datasets.own.extxyz import ExtXYZ
from tasks.datasets.own.grouping import group_like_keys, succession
from tasks.datasets.own.options import ExtXYZConfig
from tasks.datasets.splits import OwnSplit
from tasks.datasets.structures.samples import make_sample

SULPHUR = molecule("CH3SH")


def walk(frames: int, memory: float, seed: int = 0, **info: list) -> list[Atoms]:
    """Frames whose displacements follow one another as an autoregressive process with this memory from 0 to 1."""
    rng = np.random.default_rng(seed)
    shift = rng.normal(size=(len(SULPHUR), 3))
    walked = []
    for number in range(frames):
        shift = memory * shift + np.sqrt(1 - memory**2) * rng.normal(size=shift.shape)
        atoms = SULPHUR.copy()
        atoms.positions += 0.05 * shift
        atoms.calc = SinglePointCalculator(atoms, energy=float(rng.normal()), forces=rng.normal(size=shift.shape))
        atoms.info |= {key: values[number] for key, values in info.items()}
        walked.append(atoms)
    return walked


def samples(frames):
    none = np.zeros(len(SULPHUR), dtype=np.int64)
    return [make_sample(atoms.numbers, atoms.positions, none, none) for atoms in frames]


@pytest.fixture
def task(tmp_path):
    """Writes files and gives the task that reads them: frames by file name."""

    def make(options, **files):
        for name, frames in files.items():
            ase.io.write(tmp_path / f"{name}.extxyz", frames)
        return ExtXYZ(ExtXYZConfig(**options))

    return make


def test_a_key_that_looks_like_a_trajectorys_name_is_told_with_what_to_write(task, tmp_path):
    frames = walk(12, 0.0, run=[f"run{n // 4}" for n in range(12)], step=list(range(12)), dipole=[0.1] * 12)
    (warning,) = task({"path": "a.extxyz"}, a=frames).load(tmp_path).warnings
    assert "'run' (3 values)" in warning
    assert "write `group_key: run`" in warning
    assert "step" not in warning
    assert "dipole" not in warning
    grouped = task({"path": "a.extxyz", "group_key": "run"}).load(tmp_path)
    assert grouped.warnings == ()
    assert len(np.unique(grouped.outline.groups)) == 3


@given(values=st.lists(st.sampled_from(["a", "b", "c"]), min_size=6, max_size=30))
def test_a_group_like_key_has_several_values_and_several_frames_of_each(values):
    infos = [{"key": value, "number": k, "energy": 1.5, "fixed": True} for k, value in enumerate(values)]
    distinct = len(set(values))
    assert group_like_keys(infos) == ({"key": distinct} if distinct > 1 else {})


def test_frames_that_follow_one_another_are_noticed_and_others_are_not(task, tmp_path):
    (warning,) = task({"path": "a.extxyz"}, a=walk(60, 0.9)).load(tmp_path).warnings
    assert "write `blocks: 10`" in warning
    assert task({"path": "a.extxyz", "blocks": 10}).load(tmp_path).warnings == ()
    assert task({"path": "b.extxyz"}, b=walk(60, 0.0)).load(tmp_path).warnings == ()


@pytest.mark.parametrize("memory", [0.5, 0.9])
def test_the_ratio_is_that_of_an_autoregressive_process(memory):
    """Von Neumann's ratio of an AR(1) process is 1 - memory, for small displacements."""
    found = succession(samples(walk(200, memory)))
    assert found == pytest.approx(1 - memory, abs=0.12)


@given(seed=st.integers(0, 200), frames=st.integers(2, 60))
def test_independent_frames_raise_no_alarm(seed, frames):
    assert succession(samples(walk(frames, 0.0, seed))) is None


def test_identical_frames_are_no_trajectory():
    assert succession(samples([SULPHUR] * 30)) is None


def test_a_file_for_each_set(task, tmp_path):
    options = {"path": "train.extxyz", "val_path": "val.extxyz", "test_path": "test.extxyz"}
    data = task(options, train=walk(5, 0, 1), val=walk(2, 0, 2), test=walk(3, 0, 3)).load(tmp_path)
    split = OwnSplit(own=True).split(data.outline, 0, 0)
    assert [part.tolist() for part in split.as_dict().values()] == [[0, 1, 2, 3, 4], [5, 6], [7, 8, 9]]
    assert data.origins[5:8] == (("val.extxyz", 0), ("val.extxyz", 1), ("test.extxyz", 0))
    assert {*data.provenance["files"]} == {"train.extxyz", "val.extxyz", "test.extxyz"}
    assert data.warnings == ()
    assert OwnSplit(own=True).split(data.outline, 7, 3).hash() == split.hash(), "the same for all seeds"


def test_a_key_for_each_set(task, tmp_path):
    names = ["train", "Test", "training", "validation", "test"]
    data = task({"path": "a.extxyz", "set_key": "part"}, a=walk(5, 0, part=names)).load(tmp_path)
    split = OwnSplit(own=True).split(data.outline, 0, 0)
    assert [part.tolist() for part in split.as_dict().values()] == [[0, 2], [3], [1, 4]]


def test_validation_frames_that_are_not_named_are_whole_training_trajectories(task, tmp_path):
    runs = [f"run{n // 2}" for n in range(8)]
    options = {"path": "train.extxyz", "test_path": "test.extxyz", "group_key": "run"}
    files = {"train": walk(8, 0, run=runs), "test": walk(2, 0, run=["late"] * 2)}
    outline = task(options, **files).load(tmp_path).outline
    split = OwnSplit(own=True, val=0.25).split(outline, 5, 0)
    assert split.test.tolist() == [8, 9]
    assert len(split.val) == 2
    assert len(np.unique(outline.groups[split.val])) == 1
    assert sorted([*split.train, *split.val]) == list(range(8))
    with pytest.raises(DatasetError, match=r"write `split: \{own: true, val: 0.1\}`"):
        OwnSplit(own=True).split(outline, 0, 0)


def test_sets_that_divide_a_trajectory_are_told(task, tmp_path):
    options = {"path": "a.extxyz", "set_key": "part", "group_key": "run"}
    frames = walk(4, 0, part=["train", "val", "test", "test"], run=["a", "b", "b", "c"])
    (warning,) = task(options, a=frames).load(tmp_path).warnings
    assert "divide trajectories: b has frames in testing and in training or validation" in warning


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_path": "val.extxyz"}, "test_path is not"),
        ({"set_key": "part", "test_path": "test.extxyz"}, "exclude each other"),
        ({"set_key": "part", "blocks": 3}, "blocks is for files that are still to be split"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        ExtXYZConfig(path="a.extxyz", **options)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["train", "holdout"], "part is 'holdout'; sets are train, training, val"),
        (["train", "val"], "2 frames there are 1 for training, 1 for validation and 0 for testing"),
    ],
)
def test_sets_that_cannot_be_used_are_refused(task, tmp_path, parts, message):
    with pytest.raises(DatasetError, match=message):
        task({"path": "a.extxyz", "set_key": "part"}, a=walk(2, 0, part=parts)).load(tmp_path)
    with pytest.raises(DatasetError, match="no 'set' in its comment line; there are"):
        task({"path": "a.extxyz", "set_key": "set"}).load(tmp_path)


def test_options_that_came_later_stay_out_of_keys():
    assert not {"val_path", "test_path", "set_key"} & {*ExtXYZConfig(path="a.extxyz").model_dump(mode="json")}


@pytest.mark.parametrize(
    ("index", "numbers"), [(":", [*range(7)]), ("::3", [0, 3, 6]), ("2:4", [2, 3]), ("-2:", [5, 6]), ("4", [4])]
)
def test_frames_are_known_by_their_number_in_the_file(task, tmp_path, index, numbers):
    frames = walk(7, 0)
    data = task({"path": "a.extxyz", "index": index}, a=frames).load(tmp_path)
    assert [number for _, number in data.origins] == numbers
    for sample, number in zip(data.samples, numbers, strict=True):
        np.testing.assert_allclose(sample.pos.numpy(), frames[number].positions, atol=1e-5)
