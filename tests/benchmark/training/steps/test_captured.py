"""Filling up a batch changes nothing of it; what a GPU does with it is tested in tests/gpu."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.training.steps import captured
from benchmark.training.steps.captured import CapturedStep, Room, filled, of_batch
from benchmark.training.steps.prepare import fastest_way
from tasks.models.egnn import EGNN
from tasks.models.gns import GNS
from tasks.registry import MODELS
from tests.benchmark.training.steps.test_compiled import arguments
from tests.tasks.models.conftest import build

NETWORKS = pytest.mark.parametrize("case", ["egnn", "egnn-envelope", "egnn-basis", "gns", "gns-absolute"])


def step_of(case, name="predict"):
    return CapturedStep(build(case).train(), name)


def masked(z):
    return (torch.arange(len(z)) % 3 == 1).long()


def results(step, function, inputs):
    """Outputs and gradients, by name."""
    return step._results(function, inputs)


@NETWORKS
@pytest.mark.parametrize("sizes", [(8, 5), (3, 2, 4), (4,), (2, 2, 2, 2)])
def test_a_batch_filled_up_has_its_own_energies_forces_and_gradients(case, sizes):
    """Also with fewer samples than there is room for: an empty sample would make the mean of its atoms 0 / 0."""
    step = step_of(case)
    inputs = step.inputs(*arguments(*sizes, labels=masked))
    room = Room.around(inputs).with_(Room(90, 700, 5))

    def full(*given):
        return of_batch(step.eager(*filled(given, room)), given, room)

    expected, found = results(step, step.eager, inputs), results(step, full, inputs)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-10, msg=name)


@pytest.mark.parametrize("name", ["displace", "represent"])
def test_other_functions_of_a_network(name):
    step = step_of("egnn", name)
    inputs = step.inputs(*arguments(3, 4))
    room = Room.around(inputs)
    expected = step.eager(*inputs)
    torch.testing.assert_close(of_batch(step.eager(*filled(inputs, room)), inputs, room), expected)


@given(
    atoms=st.integers(2, 60),
    edges=st.integers(2, 400),
    samples=st.integers(1, 6),
    more=st.tuples(st.integers(0, 30), st.integers(0, 99), st.integers(0, 4)),
)
@settings(deadline=None)
def test_what_fills_up_is_apart_from_the_batch(atoms, edges, samples, more):
    samples = min(samples, atoms - 1)
    draw = torch.Generator().manual_seed(atoms)
    batch = torch.sort(torch.cat([torch.arange(samples), torch.randint(samples, (atoms - samples,), generator=draw)]))[
        0
    ]
    ends = torch.randint(atoms, (2, edges), generator=draw)
    inputs = (
        torch.full((atoms,), 8),
        torch.rand(atoms, 3, generator=draw),
        batch,
        samples,
        captured.Graph(ends, torch.zeros(edges, 3)),
        torch.eye(3).expand(samples, 3, 3),
        {"label": torch.ones(atoms), "rotation": torch.ones(samples, 2)},
    )
    around = Room.around(inputs)
    room = around.with_(Room(around.atoms + more[0], around.edges + more[1], around.samples + more[2]))
    assert room.holds(inputs)
    z, pos, owner, count, graph, box, seen = filled(inputs, room)
    assert len(z) == len(pos) == len(owner) == len(seen["label"]) == room.atoms
    assert graph.edges.shape[1] == len(graph.shifts) == room.edges
    assert count == room.samples == len(box) == len(seen["rotation"])
    assert torch.equal(pos[:atoms], inputs[1])
    assert torch.equal(owner[:atoms], batch)
    assert set(owner[atoms:].tolist()) == set(range(samples, room.samples))  # none of them is empty
    own = graph.edges[:, edges:]
    assert torch.equal(graph.edges[:, :edges], ends)
    assert int(own.min()) >= atoms
    assert torch.equal(own[0], own[1])
    assert bool((graph.vectors(pos)[edges:].norm(dim=1) == 1).all())
    assert not seen["label"][atoms:].any()


def test_a_room_that_is_too_small_holds_nothing_more():
    step = step_of("egnn")
    small, large = (step.inputs(*arguments(*sizes)) for sizes in ((2, 2), (8, 8)))
    room = Room.around(small)
    assert room.holds(small)
    assert not room.holds(large)
    assert not room.holds(step.inputs(*arguments(1, 1, 1)))  # a third sample
    both = Room.around(large).with_(room)
    assert both.holds(large)
    assert both.holds(small)


def test_a_field_of_neither_atoms_nor_samples_is_refused_where_it_would_be_filled_up():
    step = step_of("egnn")
    *rest, seen = step.inputs(*arguments(2, 2))
    strange = (*rest, {**seen, "strange": torch.zeros(5)})
    with pytest.raises(ValueError, match="'strange'"):
        filled(strange, Room.around(strange))
    assert "strange" not in step._needed(strange)[6]


def test_room_is_made_for_larger_batches_a_few_times(monkeypatch):
    """With a stand-in for what only a GPU can record."""
    made = []

    def record(function, tensors, allow_unused_input):
        made.append(len(tensors[0]))
        return function

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    step = step_of("egnn")
    first = arguments(2, 2)
    assert step.check(step.inputs(*first)) is None
    assert len(made) == 1
    for sizes in [(2, 1), (8, 8), (12, 12), (16, 16), (2, 2)]:
        expected = step.eager(*step.inputs(*arguments(*sizes)))
        torch.testing.assert_close(step(*arguments(*sizes)), expected)
    assert len(made) == captured.MOST_CAPTURES == 4
    assert made == sorted(made)
    step(*arguments(20, 20))
    assert len(made) == 4, "what is larger still is computed eagerly"


def test_evaluation_single_atoms_and_other_boxes_are_not_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", lambda function, *_, **__: function)
    step = step_of("egnn")
    z, pos, batch, box, extra = arguments(2, 2, labels=masked)
    assert step.takes(step.inputs(z, pos, batch, box, extra))
    step(z, pos, batch, box, extra)
    assert not step.takes(step.inputs(z, pos, batch, None, extra))
    assert not step.takes(step.inputs(z, pos, batch, box, {"ptr": extra["ptr"]})), (
        "a field that was recorded is missing"
    )
    short = {**extra, "mask_label": extra["mask_label"][:5]}
    assert not step.takes(step.inputs(z, pos, batch, box, short)), "it is of neither atoms nor samples any more"
    with torch.no_grad():
        assert not step.takes(step.inputs(z, pos, batch, box, extra))
    step._potential.eval()
    assert not step.takes(step.inputs(z, pos, batch, box, extra))


def test_the_way_of_each_network():
    assert {fastest_way(network, "cuda") for network in (EGNN, GNS)} == {"captured"}
    assert fastest_way(MODELS.get("forcenet"), "cuda") == "compiled"  # its batch norm ties samples together
    assert fastest_way(MODELS.get("tensornet"), "cuda") == "eager"
    assert fastest_way(EGNN, "cpu") == "compiled"


def test_room_is_a_share_more_and_an_atom_for_each_sample_that_fills_up():
    step = step_of("egnn")
    for sizes in [(8, 5), (1,) * 70]:
        inputs = step.inputs(*arguments(*sizes))
        atoms, edges, samples = 3 * sum(sizes), inputs[4].edges.shape[1], len(sizes)
        assert Room.around(inputs) == Room(
            int(1.15 * atoms) + max(64, samples + 1), int(1.15 * edges) + 64, samples + 1
        )


def test_a_room_holds_up_to_its_bounds():
    """The last atom is for the sample that fills up."""
    step = step_of("egnn")
    inputs = step.inputs(*arguments(3, 2))
    edges = inputs[4].edges.shape[1]
    assert Room(16, edges, 3).holds(inputs)
    assert not Room(15, edges, 3).holds(inputs)
    assert not Room(16, edges - 1, 3).holds(inputs)
    assert not Room(99, edges, 2).holds(inputs), "no sample is left to fill up"
    assert not Room(17, edges, 5).holds(inputs)
    assert Room(18, edges, 5).holds(inputs)


def test_single_atoms_and_batches_without_a_pair_are_not_taken():
    step = step_of("egnn")
    far = torch.tensor([8, 8, 8]), 9.0 * torch.eye(3).double(), torch.tensor([0, 0, 1]), None, {}
    assert not step.takes(step.inputs(*far))
    pair = torch.tensor([8, 8, 8]), torch.eye(3).double(), torch.tensor([0, 0, 1]), None, {}
    assert step.inputs(*pair)[4].edges.shape[1] == 2
    assert step.takes(step.inputs(*pair))
    z, pos, _, box, _ = pair
    assert not step.takes(step.inputs(z, pos, torch.arange(3), box, {}))


def test_what_is_recorded_has_the_batch_as_tensors_and_the_networks_weights(monkeypatch):
    recorded = []

    def record(function, tensors, allow_unused_input):
        recorded.append((function, tensors, allow_unused_input))
        return function

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    for boxless in (False, True):
        step = step_of("egnn")
        z, pos, batch, box, extra = arguments(3, 2, labels=masked)
        pos.requires_grad_()
        given = (z, pos, batch, None if boxless else box, extra)
        torch.testing.assert_close(step(*given), step.eager(*step.inputs(*given)))
        function, tensors, unused = recorded[-1]
        assert unused, "of some functions not all weights are part"
        assert function.training
        assert dict(function.potential.named_parameters()).keys() == dict(step._potential.named_parameters()).keys()
        assert [len(tensor) for tensor in tensors[:3]] == [step._room.atoms] * 3
        assert len(tensors) == 6 if boxless else 7
        assert not any(tensor.requires_grad for tensor in tensors)
