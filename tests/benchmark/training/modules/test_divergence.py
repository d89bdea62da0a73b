"""Losses that are looked at many steps together: the first bad step is named all the same."""

from __future__ import annotations

import pytest
import torch

from benchmark.training.modules import divergence
from benchmark.training.modules.divergence import Diverged, Watch


class Elsewhere(torch.Tensor):
    """A loss that says it is on a GPU."""

    @property
    def is_cuda(self):
        return True


def loss(value: float) -> torch.Tensor:
    return torch.tensor(value).as_subclass(Elsewhere)


def test_on_a_cpu_a_bad_loss_is_seen_at_once():
    watch = Watch()
    watch.note(torch.tensor(1.0), 6, 1)
    with pytest.raises(Diverged, match="training loss became nan at step 8, epoch 2") as caught:
        watch.note(torch.tensor(float("nan")), 7, 1)
    assert caught.value.steps == 7


@pytest.mark.parametrize("steps_left", [0, 1])
def test_elsewhere_it_is_seen_some_steps_later_and_the_step_is_named(steps_left, monkeypatch):
    """After a number of steps, or where the epoch ends."""
    monkeypatch.setattr(divergence, "WATCHED_STEPS", 4)
    watch = Watch()
    for step, value in enumerate([1.0, 1.0, 1.0, 1.0, 1.0, float("inf"), float("nan")], start=10):
        watch.note(loss(value), step, 0)
    ends = (lambda: watch.check(0), lambda: watch.note(loss(float("nan")), 17, 0))
    with pytest.raises(Diverged, match="became inf at step 16, epoch 1") as caught:
        ends[steps_left]()
    assert caught.value.steps == 15
    watch.check(0)


def test_losses_that_wait_hold_no_graph():
    """It would keep the memory of up to 64 training steps."""
    watch = Watch()
    watch.note(torch.ones((), requires_grad=True).square().as_subclass(Elsewhere), 0, 0)
    assert len(watch._losses) == 1
    assert not watch._losses[0].requires_grad


def test_no_more_wait_than_are_looked_at_together():
    watch = Watch()
    for step in range(2 * divergence.WATCHED_STEPS + 3):
        watch.note(loss(1.0), step, 0)
    assert len(watch._losses) == 3
