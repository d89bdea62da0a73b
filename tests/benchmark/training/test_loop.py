"""Fits: pretraining and finetuning learn, weights are transferred, resuming changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy

from benchmark.training.callbacks import CurveRecorder
from benchmark.training.data import EpochSampler, SplitDataModule
from benchmark.training.loop import evaluate, fit, make_trainer
from benchmark.training.modules.divergence import Diverged
from benchmark.training.modules.finetuning import FinetuneModule
from benchmark.training.modules.pretraining import PretrainModule
from benchmark.training.steps.parts import Place
from tasks.datasets.splits import Split
from tasks.models.egnn import EGNN
from tasks.options.models import EGNNConfig
from tasks.options.pretexts import DenoisingConfig, DistanceDenoisingConfig, MaskingConfig
from tasks.pretexts.denoising import Denoising
from tasks.pretexts.distances import DistanceDenoising
from tasks.pretexts.masking import Masking
from tests.tasks.conftest import make_water

pytestmark = pytest.mark.slow

PRETEXTS = pytest.mark.parametrize(
    "pretext",
    [
        Masking(MaskingConfig()),
        Denoising(DenoisingConfig(sd_A=0.2)),
        DistanceDenoising(DistanceDenoisingConfig(sd_A=0.2)),
    ],
    ids=lambda pretext: pretext.kind,
)


def silent(state):
    """Progress that nobody reads."""


def finetune(make_potential, make_data, phase, folder, report=silent):
    module = FinetuneModule(make_potential(), phase, scale_eV=0.8)
    data = make_data(folder)
    curves = CurveRecorder()
    return module, data, fit(module, data, phase, folder, "cpu", report, curves), curves


class Killed(RuntimeError):
    """Stands for the end of a process in the middle of an epoch."""


def test_resumed_fit_equals_an_uninterrupted_one(make_potential, make_data, finetuning, tmp_path, monkeypatch):
    whole, data, done, curves = finetune(make_potential, make_data, finetuning, tmp_path / "whole")

    steps = 0
    original = FinetuneModule.training_step

    def dying(self, batch, batch_idx):
        nonlocal steps
        steps += 1
        if steps == 8:  # three steps an epoch: in the middle of the third
            raise Killed
        return original(self, batch, batch_idx)

    monkeypatch.setattr(FinetuneModule, "training_step", dying)
    with pytest.raises(Killed):
        finetune(make_potential, make_data, finetuning, tmp_path / "cut")
    monkeypatch.undo()
    # Between the sittings the folder is moved, as when it is mounted elsewhere.
    (tmp_path / "cut").rename(tmp_path / "moved")
    resumed, _, again, curves_again = finetune(make_potential, make_data, finetuning, tmp_path / "moved")

    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name
    assert (again.steps, again.best_epoch) == (done.steps, done.best_epoch)
    rows, rows_again = ([r[:2] + r[3:] for r in c.rows] for c in (curves, curves_again))
    assert rows == rows_again
    for checkpoint in ("best.ckpt", "last.ckpt"):
        first, _ = evaluate(whole, data.test_dataset, 2, tmp_path / "whole" / checkpoint, "cpu")
        second, _ = evaluate(resumed, data.test_dataset, 2, tmp_path / "moved" / checkpoint, "cpu")
        assert first == second


@PRETEXTS
def test_resumed_pretraining_equals_an_uninterrupted_one(
    make_potential, make_data, pretraining, pretext, tmp_path, monkeypatch
):
    def pretrain(folder):
        module = PretrainModule(make_potential(), pretraining, pretext, seed=5)
        fit(module, make_data(folder), pretraining, folder, "cpu", silent, CurveRecorder())
        return module.state_dict()

    whole = pretrain(tmp_path / "whole")
    original = PretrainModule.on_validation_epoch_end

    def dying(self):
        if self.current_epoch == 2:
            raise Killed
        original(self)

    monkeypatch.setattr(PretrainModule, "on_validation_epoch_end", dying)
    with pytest.raises(Killed):
        pretrain(tmp_path / "cut")
    monkeypatch.undo()
    resumed = pretrain(tmp_path / "cut")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_finetuning_lowers_the_loss_and_curves_have_every_epoch(make_potential, make_data, finetuning, tmp_path):
    longer = finetuning.model_copy(update={"epochs": 12})
    states = []
    _, _, done, curves = finetune(make_potential, make_data, longer, tmp_path, states.append)
    frame = curves.frame("0" * 12, "finetune")
    loss = frame[(frame["split"] == "train") & (frame["metric"] == "loss")].set_index("epoch")["value"]
    assert list(loss.index) == list(range(1, 13))
    assert loss[12] < 0.8 * loss[1]
    assert done.steps == 12 * 3
    validation = frame[(frame["split"] == "val") & (frame["metric"] == "loss")].set_index("epoch")["value"]
    assert done.best_epoch == validation.idxmin()
    assert states[0]["epochs"] == 12


@PRETEXTS
def test_pretraining_learns_water(pretraining, pretext, tmp_path):
    """Better than no prediction, whose loss is 1 for all pretexts, or nearly, on frames that it was not trained on."""
    longer = pretraining.model_copy(update={"epochs": 15})
    torch.manual_seed(0)
    module = PretrainModule(EGNN(EGNNConfig(hidden=16, layers=2)), longer, pretext, seed=1)
    samples = [make_water(8, seed) for seed in range(16)]
    split = Split(np.arange(12), np.arange(12, 15), np.arange(15, 16))
    data = SplitDataModule(samples, split, tmp_path, 4, 3, order_seed=0)
    curves = CurveRecorder()
    fit(module, data, longer, tmp_path, "cpu", silent, curves)
    losses = [row[5] for row in curves.rows if row[3:5] == ["val", "loss"]]
    assert losses[-1] < 0.8


def test_best_and_last_are_told_apart(make_potential, make_data, finetuning, tmp_path):
    module, data, done, curves = finetune(make_potential, make_data, finetuning, tmp_path)
    best, last = (torch.load(tmp_path / name, weights_only=True)["epoch"] + 1 for name in ("best.ckpt", "last.ckpt"))
    assert last == finetuning.epochs
    assert best == done.best_epoch
    losses = [row[5] for row in curves.rows if row[3:5] == ["val", "force_rmse_mev_per_A"]]
    measured = evaluate(module, data.val_dataset, 2, tmp_path / "last.ckpt", "cpu")[0]["force_rmse_mev_per_A"]
    assert measured == pytest.approx(losses[-1], rel=1e-5)


def test_order_depends_on_epoch_and_order_seed_alone(make_data, tmp_path):
    def order(seed, epoch):
        data = make_data(tmp_path / f"{seed}-{epoch}", seed)
        data.setup("fit")
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        torch.manual_seed(seed + 17 * epoch)
        return [float(y) for batch in loader for y in batch.y]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)
    assert sorted(order(1, 0)) == sorted(order(2, 5))


def test_weights_that_break_in_the_last_update_are_divergence(make_potential, make_data, finetuning, tmp_path):
    """All training losses are finite; only validation sees what the last step did."""
    single = finetuning.model_copy(update={"epochs": 1, "lr": 1e38, "lr_min": 1e38, "gradient_clip": None})
    module = FinetuneModule(make_potential(), single, scale_eV=0.8)
    data = make_data(tmp_path)
    data.hparams["batch_size"] = 100
    with pytest.raises(Diverged, match=r"loss became (nan|inf) at step") as caught:
        fit(module, data, single, tmp_path, "cpu", silent, CurveRecorder())
    assert "validation loss" in str(caught.value)
    assert caught.value.steps == 1
    assert not (tmp_path / "last.ckpt").exists()


def test_few_labels_make_no_shorter_epochs(frames, split, tmp_path):
    """An epoch of two labelled frames has as many steps as one of all nine, and sees each about as often."""
    few = SplitDataModule(frames, split.labelled(2 / 9, 0), tmp_path, 2, 2, order_seed=0, epoch_frames=9)
    few.setup("fit")
    loader = few.train_dataloader()
    seen = [float(energy) for batch in loader for energy in batch.y]
    assert (len(loader), len(seen)) == (5, 9)
    assert sorted(np.unique(seen, return_counts=True)[1]) == [4, 5]
    more = EpochSampler(2, 9, seed=0)
    firsts = []
    for epoch in range(40):
        more.set_epoch(epoch)
        firsts.append(list(more).count(0))
    assert {4, 5} == set(firsts), "no frame comes more often in every epoch"
    assert set(seen) == {float(frames[i].y) for i in split.labelled(2 / 9, 0).train}


def test_a_trainer_has_the_processes_of_its_job(finetuning, monkeypatch):
    assert make_trainer("cpu", finetuning).num_devices == 1
    monkeypatch.setattr("benchmark.training.steps.parts._place", Place(0, 2))
    trainer = make_trainer("cpu", finetuning)
    assert (trainer.num_devices, trainer.world_size) == (2, 2)
    assert isinstance(trainer.strategy, DDPStrategy)
