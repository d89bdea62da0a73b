"""A step in another way is used only where it gives the eager one's numbers, and its gain is that of the clock."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from benchmark.training.steps import checked
from benchmark.training.steps.checked import TOLERANCE, CheckedStep, Computed, disagreement, try_step
from tasks.models.egnn import EGNN
from tasks.models.graph import EDGES, SHIFTS
from tasks.options.models import EGNNConfig
from tests.benchmark.training.steps.test_compiled import arguments


class Other(CheckedStep):
    """The function itself, called in another way; what it was called with is noted."""

    usual = True

    def takes(self, inputs):
        return self.usual

    def other(self, *inputs):
        self.inputs_seen = inputs
        return self.eager(*inputs)


@pytest.fixture
def step() -> Other:
    torch.manual_seed(7)
    return Other(EGNN(EGNNConfig(hidden=6, layers=2)).double().train(), "predict")


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand, in s."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(checked.time, "perf_counter", lambda: clock.now)
    return clock


def test_disagreement_is_relative_to_the_largest_gradient():
    eager = {"output 0": torch.tensor([2.0]), "gradient of a": torch.tensor([100.0]), "gradient of b": torch.zeros(2)}
    rounding = eager | {"gradient of b": torch.full((2,), 1e-3)}
    assert disagreement(eager, rounding) is None
    assert disagreement(eager, {name: value for name, value in eager.items() if name != "gradient of b"}) is None
    assert "gradient of b" in (disagreement(eager, eager | {"gradient of b": torch.ones(2)}) or "")
    assert "output 0" in (disagreement(eager, eager | {"output 0": torch.tensor([float("nan")])}) or "")


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("name", "scale"),
    [("output 0", 2.0), ("output 1", 0.5), ("gradient of a", 100.0), ("gradient of b", 100.0), ("output 2", 1e-12)],
)
def test_what_may_differ_is_the_tolerance_of_the_scale(name, scale, sign):
    """Of an output its own largest number, of gradients the largest of all, and 1e-12 where all are zero."""
    eager = {
        "output 0": torch.tensor([0.3, -2.0]),
        "output 1": torch.tensor([0.5, 0.2]),
        "output 2": torch.zeros(2),
        "gradient of a": torch.tensor([4.0, -100.0]),
        "gradient of b": torch.tensor([3.0, 0.0]),
    }
    eager = {key: value.double() for key, value in eager.items()}
    for factor, agrees in ((0.997, True), (1.003, False)):
        off = eager[name] + sign * factor * TOLERANCE * scale * torch.tensor([0.0, 1.0])
        found = disagreement(eager, eager | {name: off})
        assert (found is None) == agrees, found
    assert (
        found == f"{name} differs from the eager one by {TOLERANCE * scale:.1e}, of {scale if scale > 1e-9 else 0:.1e}"
    )


def test_the_tolerance_is_above_rounding_and_below_what_matters():
    assert TOLERANCE == 1e-3


def test_without_gradients_there_is_no_scale_of_them():
    assert disagreement({"output 0": torch.ones(1)}, {"output 0": torch.ones(1)}) is None


def test_only_batches_of_the_sort_are_computed_in_the_other_way(step):
    given = arguments(3, 2)
    expected = step.eager(*step.inputs(*given))
    torch.testing.assert_close(step(*given), expected)
    assert step.inputs_seen[3] == 2, "samples"
    del step.inputs_seen
    step.usual = False
    torch.testing.assert_close(step(*given), expected)
    assert not hasattr(step, "inputs_seen")
    assert step.check(step.inputs(*given)) == "the first batch is a single atom or has no edges"


def test_the_graph_of_a_batch_is_taken_and_is_no_field_beside_it(step):
    z, pos, batch, box, extra = arguments(3, 2, labels=lambda z: (z == 8).long())
    graph = step._potential.graph(pos, batch, box, None)
    few = {EDGES: graph.edges[:, :4], SHIFTS: graph.shifts[:4]}
    *_, samples, found, _, seen = step.inputs(z, pos, batch, box, extra | few)
    assert torch.equal(found.edges, graph.edges[:, :4])
    assert samples == 2
    assert set(seen) == {"mask_label"}
    *_, found, _, _ = step.inputs(z, pos, batch, box, extra)
    assert torch.equal(found.edges, graph.edges), "searched where there is none"


def test_outputs_and_gradients_are_those_of_the_mean_squares(step):
    inputs = step.inputs(*arguments(3, 2))
    found = step._results(step.eager, inputs)
    energy, force = step.eager(*inputs)
    (energy.square().mean() + force.square().mean()).backward()
    expected = {"output 0": energy.detach(), "output 1": force.detach()}
    expected |= {f"gradient of {n}": w.grad for n, w in step._potential.named_parameters() if w.grad is not None}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
    assert not any(value.requires_grad for value in found.values())


def test_weights_that_are_not_trained_have_no_part(step):
    step._potential.embedding.requires_grad_(False)
    found = step._results(step.eager, step.inputs(*arguments(3, 2)))
    assert "gradient of readout.0.weight" in found
    assert "gradient of embedding.species.weight" not in found


def test_the_gain_is_eager_time_over_the_others_medians_in_alternation(step, clock, monkeypatch):
    seconds = {True: [3.0, 100.0, 2.0], False: [1.0, 6.0, 9.0]}
    calls = []

    def results(function, inputs):
        other = function == step.other
        calls.append(other)
        clock.now += seconds[other][calls.count(other) - 1]
        return {"output 0": torch.zeros(1)}

    monkeypatch.setattr(step, "_results", results)
    assert step.measure(step.inputs(*arguments(2, 2))) == pytest.approx(6.0 / 3.0)
    assert calls == [True, False] * 3


@pytest.mark.parametrize("wrong", [None, "output 0 differs"])
def test_preparing_and_checking_take_the_time_they_took(step, clock, monkeypatch, wrong):
    def make():
        clock.now += 2
        return step

    def check(inputs):
        clock.now += 3
        return wrong

    def measure(inputs):
        clock.now += 50  # no part of it
        return 1.7

    monkeypatch.setattr(step, "check", check)
    monkeypatch.setattr(step, "measure", measure)
    found, computed = try_step("captured", make, lambda: arguments(2, 2))
    if wrong is None:
        assert found is step
        assert computed == Computed("captured", "", 5.0, 1.7)
    else:
        assert found is None
        assert computed == Computed("eager", wrong, 5.0, 1.0)


def test_an_error_without_words_is_named_by_its_kind():
    def make():
        raise RuntimeError

    found, computed = try_step("captured", make, lambda: arguments(2, 2))
    assert found is None
    assert computed.why == "capturing the step failed: RuntimeError: "
