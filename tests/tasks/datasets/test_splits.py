"""Splits never cut a trajectory, and are a function of their seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tasks.datasets.base import DatasetError, Outline
from tasks.datasets.splits import FrameSplit, OfficialSplit, OwnSplit, Split, SplitConfig, TrajectorySplit


@given(
    groups=st.lists(st.integers(0, 12), min_size=1, max_size=200),
    val=st.floats(0.01, 0.45),
    test=st.floats(0.01, 0.45),
    seed=st.integers(0, 1000),
)
def test_sets_are_disjoint_complete_and_whole_in_groups(groups, val, test, seed):
    groups = np.array(groups)
    try:
        split = TrajectorySplit(val=val, test=test).split(Outline(groups), seed, 0)
    except DatasetError:
        count = len(np.unique(groups))
        assert max(1, round(val * count)) + max(1, round(test * count)) >= count
        return
    parts = split.as_dict()
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(groups)))
    owners = [set(groups[indices].tolist()) for indices in parts.values()]
    assert all(owners)
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]


def test_split_is_a_function_of_the_stream_and_its_hash_tells():
    groups = np.repeat(np.arange(10), 5)
    first, same, other = (TrajectorySplit().split(Outline(groups), stream, 0) for stream in (0, 0, 1))
    assert first.hash() == same.hash()
    assert first.hash() != other.hash()


@given(frames=st.integers(1, 300), shares=st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)), seed=st.integers(0, 99))
def test_labelled_shares_are_nested_and_leave_the_other_sets_alone(frames, shares, seed):
    whole = Split(np.arange(frames) + 7, np.arange(3), np.arange(3, 7))
    small, large = (whole.labelled(share, seed) for share in sorted(shares))
    assert set(small.train) <= set(large.train) <= set(whole.train)
    assert len(large.train) == max(1, round(max(shares) * frames))
    assert (large.val, large.test) == (whole.val, whole.test)
    assert whole.labelled(None, seed) is whole
    assert np.array_equal(whole.labelled(1.0, seed).train, whole.train)


def test_shares_that_leave_no_training_are_refused():
    with pytest.raises(ValidationError, match="val \\+ test"):
        TrajectorySplit(val=0.5, test=0.5)


def test_without_a_test_share_all_is_for_training_and_validation():
    split = TrajectorySplit(val=0.25, test=0).split(Outline(np.repeat(np.arange(4), 3)), 0, 0)
    assert [len(part) for part in split.as_dict().values()] == [9, 3, 0]


def test_published_splits_are_taken_in_turn_and_their_test_frames_stay():
    published = tuple((np.arange(100) + 200 * k, np.arange(100, 200) + 200 * k) for k in range(2))
    outline = Outline(np.zeros(400, dtype=np.int64), published)
    method = OfficialSplit(official=True, val=0.05)
    first, second, third = (method.split(outline, stream, stream) for stream in range(3))
    assert np.array_equal(first.test, published[0][1])
    assert np.array_equal(second.test, published[1][1])
    assert np.array_equal(third.test, first.test)
    assert len(first.val) == 5
    assert np.array_equal(np.sort(np.concatenate([first.train, first.val])), published[0][0])
    assert not np.array_equal(first.val, third.val)  # which of them validate is the seed's
    with pytest.raises(DatasetError, match="no published splits"):
        method.split(Outline(np.arange(5)), 0, 0)


@given(frames=st.integers(1, 60), train=st.integers(1, 40), val=st.integers(1, 20), seed=st.integers(0, 99))
def test_frame_splits_have_the_numbers_asked_for(frames, train, val, seed):
    outline = Outline(np.zeros(frames, dtype=np.int64))
    method = FrameSplit(train=train, val=val)
    if train + val >= frames:
        with pytest.raises(DatasetError, match=f"{frames} frames"):
            method.split(outline, seed, 0)
        return
    parts = method.split(outline, seed, 0).as_dict()
    assert [len(part) for part in parts.values()] == [train, val, frames - train - val]
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(frames))


@pytest.mark.parametrize(
    ("content", "method"),
    [({}, TrajectorySplit), ({"val": 0.2}, TrajectorySplit), ({"official": True}, OfficialSplit),
     ({"train": 5, "val": 2}, FrameSplit), ({"own": True}, OwnSplit), ({"own": True, "val": 0.1}, OwnSplit)],
)  # fmt: skip
def test_the_keys_tell_the_method(content, method):
    split = TypeAdapter(SplitConfig).validate_python(content)
    assert type(split) is method
    assert TypeAdapter(SplitConfig).validate_python(split.model_dump()) == split


@pytest.mark.parametrize("content", [{"official": False}, {"train": 5}, {"train": 5, "val": 0.1}, {"shares": 1}])
def test_splits_that_are_none_are_refused(content):
    with pytest.raises(ValidationError):
        TypeAdapter(SplitConfig).validate_python(content)


def test_a_split_of_ones_own_needs_named_sets_and_takes_no_second_validation_set():
    with pytest.raises(DatasetError, match=r"names no sets of its own.*'set_key'"):
        OwnSplit(own=True).split(Outline(np.arange(5)), 0, 0)
    named = (np.arange(2), np.array([2]), np.arange(3, 5))
    with pytest.raises(DatasetError, match="1 validation frames are named"):
        OwnSplit(own=True, val=0.2).split(Outline(np.arange(5), named=named), 0, 0)
