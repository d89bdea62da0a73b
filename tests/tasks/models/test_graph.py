"""Graphs apart from networks: the same numbers as with a search inside, whoever makes the graph."""

from __future__ import annotations

import pytest
import torch
from torch import Generator
from torch.utils.flop_counter import FlopCounterMode
from torch_geometric.data import Batch

from tasks.models.base import conservative_forces
from tasks.models.egnn import EGNN
from tasks.models.graph import EDGES, SHIFTS, Graph
from tasks.options.pretexts import MaskingConfig
from tasks.pretexts.masking import Masking
from tests.tasks.models.conftest import build

NETWORKS = pytest.mark.parametrize(
    "case", ["egnn", "egnn-norm", "egnn-basis", "gns", "gns-absolute", "forcenet", "forcenet-all-oxygen"]
)


class InsideSearch:
    """Edge vectors as the networks once had them: from the search itself, differentiated through it."""

    def __init__(self, potential, pos, batch) -> None:
        self.edges, _, self._vectors = potential.neighbors(pos, batch=batch.batch, box=batch.box)

    def vectors(self, pos):
        return self._vectors


def former(potential, batch, labels):
    """Energies and forces by the formulation in which the network searches and autograd differentiates."""
    pos = batch.pos.clone().requires_grad_(True)
    graph, samples = InsideSearch(potential, pos, batch), batch.num_graphs
    if not isinstance(potential, EGNN):
        return potential.predict(batch.z, pos, batch.batch, samples, graph, batch.box, labels)
    h, _ = potential._propagate(batch.z, pos, graph, labels, last_update=False)
    energy = pos.new_zeros(samples, 1).index_add(0, batch.batch, potential.readout(h))
    return energy, conservative_forces(energy, pos, training=True)


def step(potential, energy, force):
    """Energies, forces and the gradients of all parameters for a loss of both."""
    potential.zero_grad()
    (energy.square().mean() + force.square().mean()).backward()
    gradients = [weight.grad for weight in potential.parameters() if weight.grad is not None]
    return [energy.detach(), force.detach(), *(gradient.clone() for gradient in gradients)]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def sorted_graph(potential, batch):
    """The batch's graph by a search, its edges in another order than the search gives them."""
    found = potential.graph(batch.pos, batch.batch, batch.box, None)
    order = torch.argsort(found.edges[0] * batch.num_nodes + found.edges[1])
    return Graph(found.edges[:, order], found.shifts[order])


@NETWORKS
def test_a_step_is_that_of_the_search_inside_the_network(case, batch):
    potential = build(case).train()
    expected = step(potential, *former(potential, batch, {}))
    assert_same(step(potential, *potential(batch.z, batch.pos, batch.batch, batch.box)), expected)
    edges, shifts = sorted_graph(potential, batch)
    extra = {EDGES: edges, SHIFTS: shifts, "ptr": batch.ptr}
    assert_same(step(potential, *potential(batch.z, batch.pos, batch.batch, batch.box, extra_args=extra)), expected)


@NETWORKS
@pytest.mark.parametrize("target", ["molecule", "farthest"])
def test_masking_a_graph_is_searching_the_masked_structure(case, target, batch):
    potential = build(case).train()
    pretext = Masking(MaskingConfig(ratio=0.5, target=target))
    searched = pretext.corrupt(batch, Generator().manual_seed(1))
    batch[EDGES], batch[SHIFTS] = sorted_graph(potential, batch)
    kept = pretext.corrupt(batch, Generator().manual_seed(1))
    assert torch.equal(kept.pos, searched.pos)
    assert kept.num_nodes < batch.num_nodes
    labels = {"mask_label": kept.mask_label}
    expected = step(potential, *former(potential, Batch(**searched.to_dict(), _num_graphs=2), labels))
    given = labels | {EDGES: kept[EDGES], SHIFTS: kept[SHIFTS]}
    assert_same(step(potential, *potential(kept.z, kept.pos, kept.batch, kept.box, extra_args=given)), expected)


def test_vectors_and_shifts_are_differentiable(batch):
    potential = build("egnn")
    edges, shifts = potential.graph(batch.pos, batch.batch, batch.box, None)
    pos, shifts = batch.pos.clone().requires_grad_(True), shifts.clone().requires_grad_(True)
    vectors = Graph(edges, shifts).vectors(pos)
    assert vectors.norm(dim=1).max() < potential.config.cutoff_A
    weight = torch.randn_like(vectors)
    (vectors * weight).sum().backward()
    torch.testing.assert_close(shifts.grad, weight)
    expected = torch.zeros_like(pos).index_add(0, edges[0], weight).index_add(0, edges[1], -weight)
    torch.testing.assert_close(pos.grad, expected)


@pytest.mark.parametrize("case", ["egnn", "gns", "forcenet"])
def test_work_is_linear_in_samples(case, water):
    """Edges and atoms of four samples are twice those of two, and so are the multiplications of a step."""
    potential = build(case).train()
    counted = []
    for samples in (2, 4):
        batch = Batch.from_data_list([water(8, 1, 7.0, torch.float64)] * samples)
        with FlopCounterMode(display=False) as counter:
            step(potential, *potential(batch.z, batch.pos, batch.batch, batch.box))
        counted.append(counter.get_total_flops())
    assert counted[0] > 1e6
    assert counted[1] == pytest.approx(2 * counted[0], rel=0.02)


@pytest.mark.parametrize("case", ["egnn", "gns", "forcenet"])
def test_a_lone_atom_and_atoms_without_neighbours_have_no_edges(case):
    potential = build(case)
    for pos in (torch.zeros(1, 3), torch.tensor([[0.0, 0, 0], [50, 0, 0]])):
        z = torch.ones(len(pos), dtype=torch.long)
        energy, force = potential(z, pos.double())
        assert energy.shape == (1, 1)
        assert force.shape == pos.shape
        assert energy.isfinite().all()
        assert force.isfinite().all()
