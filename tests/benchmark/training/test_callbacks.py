"""Curves, checkpoints and progress by hand, with a trainer that only counts."""

from __future__ import annotations

import multiprocessing
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmark.training.callbacks import BestAndLast, CurveRecorder, ProgressReporter, SameWork, StopWithParent
from benchmark.training.data import EpochSampler
from benchmark.training.modules.finetuning import FinetuneModule


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand, in s."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def trainer(epoch=0, step=0, loss=0.0, rate=0.0):
    return SimpleNamespace(
        current_epoch=epoch,
        global_step=step,
        max_epochs=5,
        estimated_stepping_batches=100,
        callback_metrics={"val_loss": loss},
        is_global_zero=True,
        strategy=SimpleNamespace(broadcast=lambda value: value, barrier=lambda: None),
        optimizers=[SimpleNamespace(param_groups=[{"lr": rate}])],
        save_checkpoint=lambda path, weights_only: path.write_text(f"epoch {epoch}"),
    )


def test_curves_have_the_seconds_of_epochs_alone_and_go_on_from_a_checkpoint(clock, make_potential, finetuning):
    module = FinetuneModule(make_potential(), finetuning, 0.8)
    module.curve_values = lambda: {("val", "loss"): clock.now}
    curves = CurveRecorder()
    assert (curves.steps, curves.last("val", "loss")) == (0, None)
    for epoch in range(2):
        clock.now += 1000  # between epochs
        curves.on_train_epoch_start(trainer(), module)
        clock.now += 3 + epoch
        curves.on_train_epoch_end(trainer(epoch, 7 * (epoch + 1), rate=0.1 / (epoch + 1)), module)
    other = CurveRecorder()
    other.load_state_dict(curves.state_dict())
    for recorder in (curves, other):
        assert recorder.rows == [
            [1, 7, 3.0, "val", "loss", 1103.0],
            [1, 7, 3.0, "train", "learning_rate", 0.1],
            [2, 14, 7.0, "val", "loss", 2107.0],
            [2, 14, 7.0, "train", "learning_rate", 0.05],
        ]
        assert (recorder.seconds, recorder.steps) == (7.0, 14)
        assert (recorder.last("val", "loss"), recorder.last("train", "loss")) == (2107.0, None)
        table = recorder.frame("abc", "finetune")
        assert list(table) == ["cell_key", "phase", "epoch", "step", "seconds", "split", "metric", "value"]
        assert set(table["cell_key"]) == {"abc"}


def test_the_best_checkpoint_is_the_first_of_the_lowest_loss_and_survives_a_restart(tmp_path):
    checkpoints = BestAndLast(tmp_path, "key")
    for epoch, loss in enumerate([3.0, 2.0, 2.0]):
        checkpoints.on_train_epoch_end(trainer(epoch, loss=loss), None)
    again = BestAndLast(tmp_path, "key")
    again.load_state_dict(checkpoints.state_dict())
    for epoch, loss in ((3, 2.5), (4, 2.0)):
        again.on_train_epoch_end(trainer(epoch, loss=loss), None)
    assert again.best_epoch == 2
    assert [path.read_text() for path in (again.best, again.last)] == ["epoch 1", "epoch 4"]
    checkpoint = {}
    again.on_save_checkpoint(None, None, checkpoint)
    assert list(checkpoint.values()) == ["key"]


def test_the_time_left_is_that_of_the_steps_of_this_sitting_and_told_once_a_second(clock):
    curves, told = CurveRecorder(), []
    curves.rows.append([1, 10, 1.0, "val", "force_rmse_mev_per_A", 55.0])
    reporter = ProgressReporter(told.append, curves)
    reporter.on_train_start(trainer(step=10), None)
    for after, step in ((4.0, 30), (4.9, 35), (5.0, 36)):
        clock.now = 100.0 + after
        reporter.on_train_batch_end(trainer(1, step), None, {"loss": 0.25}, None, 0)
    first = {
        "epoch": 2, "epochs": 5, "fraction": 0.3, "loss": 0.25, "force_rmse_mev_per_A": 55.0, "seconds_left": 14.0,
    }  # fmt: skip
    assert told[0] == pytest.approx(first)
    assert [state["fraction"] for state in told] == [0.3, 0.36]
    assert told[1]["seconds_left"] == pytest.approx(64 * 5 / 26)


def test_a_first_report_before_any_step_divides_by_nothing(clock):
    told = []
    reporter = ProgressReporter(told.append, CurveRecorder())
    reporter.on_train_start(trainer(), None)
    clock.now += 2
    reporter.on_train_batch_end(trainer(), None, {"loss": 1.0}, None, 0)
    assert told[0]["seconds_left"] == 200.0


@pytest.mark.parametrize("alive", [True, False, None])
def test_a_worker_ends_with_its_parent(monkeypatch, alive):
    parent = None if alive is None else SimpleNamespace(is_alive=lambda: alive)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)
    if alive is False:
        with pytest.raises(SystemExit, match="is gone"):
            StopWithParent().on_train_batch_end(None, None, None, None, 0)
    else:
        StopWithParent().on_train_batch_end(None, None, None, None, 0)


@pytest.mark.parametrize(("frames", "length", "passes"), [(4, 4, 1), (4, 8, 2), (4, 9, 3), (4, 3, 1)])
def test_an_epoch_is_made_of_as_few_passes_as_it_takes(frames, length, passes, monkeypatch):
    """Nor is one drawn that is not used."""
    sampler, draw, drawn = EpochSampler(frames, length, seed=3), torch.randperm, []
    monkeypatch.setattr(
        torch, "randperm", lambda count, generator: drawn.append(count) or draw(count, generator=generator)
    )
    order = list(sampler)
    assert drawn == [frames] * passes
    assert len(sampler) == len(order) == length
    for start in range(0, length, frames):
        part = order[start : start + frames]
        assert len(set(part)) == len(part), "each pass has a frame once"
    assert max(np.bincount(order)) <= passes


def test_the_first_batch_is_full_and_the_same(make_data, tmp_path):
    data = make_data(tmp_path)
    data.setup("fit")
    data.hparams["batch_size"] = 11
    batch = data.first_batch()
    assert batch.num_graphs == 11
    energies = batch.y.flatten().tolist()
    assert energies[9:] == energies[:2], "nine frames, from the first on again"
    assert data.first_batch().y.flatten().tolist() == energies


def test_a_process_with_other_frames_than_the_first_does_not_begin():
    fitting = trainer()
    fitting.strategy.broadcast = lambda value: "frames of the first"
    SameWork("frames of the first").on_fit_start(fitting, None)
    with pytest.raises(ValueError, match="other frames than the first one"):
        SameWork("others").on_fit_start(fitting, None)
