"""Splits never cut a trajectory; registries name what they know."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.datasets.base import DatasetError
from tasks.datasets.splits import Split, SplitConfig, split_by_group
from tasks.registry import DATASETS, MODELS, PRETEXTS, UnknownKindError


@given(
    groups=st.lists(st.integers(0, 12), min_size=1, max_size=200),
    val=st.floats(0.01, 0.45),
    test=st.floats(0.01, 0.45),
    seed=st.integers(0, 1000),
)
def test_sets_are_disjoint_complete_and_whole_in_groups(groups, val, test, seed):
    groups = np.array(groups)
    try:
        split = split_by_group(groups, SplitConfig(val=val, test=test), seed)
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
    first, same, other = (split_by_group(groups, SplitConfig(), seed) for seed in (0, 0, 1))
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
        SplitConfig(val=0.5, test=0.5)


@pytest.mark.parametrize("registry", [DATASETS, MODELS, PRETEXTS])
def test_every_builtin_kind_loads_and_knows_its_name(registry):
    for kind in registry.kinds():
        assert registry.get(kind).kind == kind


def test_unknown_kind_names_the_known_ones():
    with pytest.raises(UnknownKindError, match=r"'egn'.*egnn"):
        MODELS.get("egn")
