"""Batches made by index arithmetic are those of PyG's collation, field by field, with the graphs of a search."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from benchmark.training import batches
from benchmark.training.batches import FrameStore, load
from tasks.models.egnn import EGNN
from tasks.models.graph import EDGES, SHIFTS, Graph
from tasks.options.models import EGNNConfig
from tests.tasks.conftest import make_water


@pytest.fixture(scope="module")
def samples():
    """Frames of several sizes, one of them a single atom, in boxes of several sizes."""
    found = [make_water(n, seed, 8.0 + seed) for seed, n in enumerate((3, 1, 8, 3, 2))]
    atom = Data(
        z=torch.tensor([8]), pos=torch.zeros(1, 3), box=torch.eye(3).unsqueeze(0) * 9, molecule=torch.tensor([0]),
        y=torch.zeros(1, 1, dtype=torch.float64), neg_dy=torch.zeros(1, 3),
    )  # fmt: skip
    return [*found, atom]


@pytest.fixture(scope="module")
def search():
    """The neighbour search of a small network."""
    potential = EGNN(EGNNConfig(hidden=4, layers=1, cutoff_A=3.0))
    return lambda pos, batch, box: potential.graph(pos, batch, box, None)


def assert_same_batch(found: Batch, expected: Batch) -> None:
    assert set(found.keys()) == set(expected.keys())
    assert found.num_graphs == expected.num_graphs
    for name, value in expected.to_dict().items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


@settings(max_examples=30, deadline=None)
@given(frames=st.lists(st.integers(0, 5), min_size=1, max_size=7))
def test_a_batch_is_what_pyg_collates(samples, frames):
    found = FrameStore(samples).__getitems__(frames)
    assert_same_batch(found, Batch.from_data_list([samples[frame] for frame in frames]))
    for one, frame in zip(found.to_data_list(), frames, strict=True):
        assert torch.equal(one.pos, samples[frame].pos)


@pytest.mark.parametrize("frames", [[0], [5], [2, 5, 1, 2], [5, 5]])
def test_a_kept_graph_is_that_of_a_search(samples, search, frames):
    batch = FrameStore(samples, search).__getitems__(frames)
    found = search(batch.pos, batch.batch, batch.box)

    def rows(edges, vectors):
        table = torch.cat([edges.T.double(), vectors.double()], dim=1)
        return table[torch.argsort(edges[0] * batch.num_nodes + edges[1])]

    kept = Graph(batch[EDGES], batch[SHIFTS])
    torch.testing.assert_close(rows(kept.edges, kept.vectors(batch.pos)), rows(found.edges, found.vectors(batch.pos)))
    assert (kept.edges[0].diff() >= 0).all()
    # PyG renumbers a field of this name in the same way.
    alone = FrameStore(samples, search)
    assert_same_batch(batch, Batch.from_data_list([alone.__getitems__([f]).get_example(0) for f in frames]))


def test_graphs_that_need_too_much_memory_are_not_kept(search, capsys):
    samples = [make_water(27, seed, 9.0) for seed in range(2)]
    needed = sum(value.nbytes for sample in samples for value in sample.to_dict().values())
    store = FrameStore(samples, search, limit=needed)
    assert EDGES not in store.__getitems__([0])
    assert "searched in every step" in capsys.readouterr().out
    assert EDGES in FrameStore(samples, search, limit=100 * needed).__getitems__([0])


def test_frames_that_need_too_much_memory_or_differ_in_fields_are_collated(samples):
    for store in (FrameStore(samples, limit=10), FrameStore([samples[0], Data(z=samples[1].z, pos=samples[1].pos)])):
        assert not store._fields
    assert_same_batch(
        FrameStore(samples, limit=10).__getitems__([1, 0]), Batch.from_data_list([samples[1], samples[0]])
    )


def test_a_loader_meets_every_frame_in_order(samples):
    assert [b.num_graphs for b in load(FrameStore(samples), 4)] == [4, 2]
    assert torch.equal(torch.cat([b.pos for b in load(FrameStore(samples), 4)]), torch.cat([s.pos for s in samples]))


def test_memory_is_flat_over_epochs(samples, search, monkeypatch):
    """Graphs are searched once: further epochs make batches of what is kept."""
    calls = 0

    def counting(pos, batch, box):
        nonlocal calls
        calls += 1
        return search(pos, batch, box)

    monkeypatch.setattr(batches, "SEARCHED_ATOMS", 10)
    store = FrameStore(samples, counting)
    once = calls
    assert once > 1
    for _ in range(3):
        assert sum(b.num_graphs for b in load(store, 2)) == len(samples)
    assert calls == once


def test_a_loader_has_the_order_that_it_is_given(samples):
    order = [3, 5, 0, 2, 4, 1]
    found = list(load(FrameStore(samples), 4, order))
    assert [b.num_graphs for b in found] == [4, 2]
    assert torch.equal(torch.cat([b.y for b in found]), torch.cat([samples[frame].y for frame in order]))


def test_frames_are_counted_by_the_bytes_of_all_their_tensors(samples):
    needed = sum(value.nbytes for sample in samples for value in sample.to_dict().values())
    assert FrameStore(samples, limit=needed)._fields
    assert not FrameStore(samples, limit=needed - 1)._fields


def test_the_most_memory_is_what_the_documentation_says():
    page = (Path(__file__).parents[3] / "docs" / "performance.md").read_text(encoding="utf-8")
    assert f"Above {batches.KEPT_BYTES / 2**30:g} GiB for a set of frames they are not kept" in page
