"""Whole fits with a compiled step: resumed they are what they would have been, and near to eager ones."""

from __future__ import annotations

import pytest
import torch

from benchmark.training.callbacks import CurveRecorder
from benchmark.training.loop import fit
from benchmark.training.modules.finetuning import FinetuneModule
from benchmark.training.modules.pretraining import PretrainModule
from benchmark.training.steps import compiled
from tasks.options.pretexts import DenoisingConfig, DistanceDenoisingConfig, MaskingConfig
from tasks.pretexts.denoising import Denoising
from tasks.pretexts.distances import DistanceDenoising
from tasks.pretexts.masking import Masking

pytestmark = pytest.mark.slow


class Killed(RuntimeError):
    """Stands for the end of a process in the middle of an epoch."""


@pytest.fixture(autouse=True)
def traced(tmp_path, monkeypatch):
    """Steps are traced and differentiated as for the compiler, and then run by torch: that takes no minute."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **_: real(function, dynamic=True, backend="aot_eager"))
    monkeypatch.setenv(compiled.CACHE_VARIABLE, str(tmp_path))
    torch._dynamo.reset()


def finetuned(make_potential, make_data, phase, folder, name):
    module = FinetuneModule(make_potential(), phase, scale_eV=0.8)
    module.compiles = name
    fit(module, make_data(folder), phase, folder, "cpu", lambda state: None, CurveRecorder())
    return module


def weights(module):
    return torch.cat([weight.detach().flatten() for weight in module.model.parameters()])


def test_resumed_and_eager_fits(make_potential, make_data, finetuning, tmp_path, monkeypatch):
    """Nine frames in batches of four: the last one is a single frame, which is computed eagerly."""
    whole = finetuned(make_potential, make_data, finetuning, tmp_path / "whole", "f")
    assert whole.computed.way == "compiled", whole.computed
    steps, original = 0, FinetuneModule.training_step

    def dying(self, batch, batch_idx):
        nonlocal steps
        steps += 1
        if steps == 8:
            raise Killed
        return original(self, batch, batch_idx)

    monkeypatch.setattr(FinetuneModule, "training_step", dying)
    with pytest.raises(Killed):
        finetuned(make_potential, make_data, finetuning, tmp_path / "cut", "f")
    monkeypatch.setattr(FinetuneModule, "training_step", original)
    resumed = finetuned(make_potential, make_data, finetuning, tmp_path / "cut", "f")
    assert torch.equal(weights(resumed), weights(whole))
    eager, again = (finetuned(make_potential, make_data, finetuning, tmp_path / name, None) for name in ("e", "a"))
    assert eager.computed.way == "eager"
    assert torch.equal(weights(again), weights(eager))
    torch.testing.assert_close(weights(whole), weights(eager), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "pretext",
    [
        Masking(MaskingConfig()),
        Denoising(DenoisingConfig(sd_A=0.2, head="coordinate")),
        DistanceDenoising(DistanceDenoisingConfig(sd_A=0.2)),
    ],
    ids=["mask", "noise", "own head"],
)
def test_pretraining_is_compiled_as_well(make_potential, make_data, pretraining, pretext, tmp_path):
    short = pretraining.model_copy(update={"epochs": 1})
    found = {}
    for name in ("f", None):
        module = PretrainModule(make_potential(), short, pretext, seed=5)
        module.compiles = name
        folder = tmp_path / str(name)
        fit(module, make_data(folder), short, folder, "cpu", lambda state: None, CurveRecorder())
        found[module.computed.way] = weights(module)
    torch.testing.assert_close(found["compiled"], found["eager"], rtol=0, atol=1e-3)
