"""The arms that tell causes apart, through the real command line: each is trained, charged and recorded."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from benchmark.cell.finished import read_pretraining
from benchmark.planning.reading import build
from benchmark.run.export import export
from benchmark.streams import stream_seed
from reports.records.folder import RunFolder
from tasks.registry import MODELS
from tests.benchmark.runs import inside, records

pytestmark = pytest.mark.slow

MASKING = {"kind": "masking", "options": {"ratio": 0.5}}
STRATEGIES = {
    "scratch": {"label": "scratch"},
    "masked": {"label": "masked", "pretext": MASKING},
    "placebo": {"label": "placebo", "pretext": {"kind": "masking", "options": {"ratio": 0.5, "directions": "random"}}},
    "warm-up": {"label": "warm-up", "pretext": {"kind": "labels"}},
    "reset": {"label": "reset", "pretext": MASKING, "transfer": "body"},
    "scaled": {"label": "scaled", "pretext": MASKING, "transfer": "scaled"},
    "shuffled": {"label": "shuffled", "pretext": MASKING, "transfer": "shuffled"},
    "labelled": {
        "label": "labelled",
        "pretext": {"kind": "labels", "options": {"energy_weight": 0.1}},
        "labels_from": {"kind": "water"},
    },
    "asked": {
        "label": "asked",
        "pretext": {"kind": "distance-denoising"},
        "auxiliary": {"kind": "distance-denoising", "options": {"sd_A": 0.05}},
    },
    "noisy": {"label": "noisy", "auxiliary": {"kind": "denoising", "options": {"sd_A": 0.05}}},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory, data_dir):
    folder = tmp_path_factory.mktemp("arms")
    suite = {
        "extends": "water", "name": "arms", "title": "Arms", "description": "All arms", "baselines": ["scratch"],
        "datasets": {"tip3p": {"labelled": 0.5}}, "models": {"gns": None, "forcenet": None},
        "strategies": {**STRATEGIES, "denoised": None, "scratch-extended": None}, "scales": {"smoke": {}},
    }  # fmt: skip
    (folder / "arms.yaml").write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")
    done = inside("run", "--suite", folder / "arms.yaml", "--scale", "smoke", "--out", folder / "run",
                  "--data-dir", data_dir)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def rows(run):
    found = records(run)
    assert set(found["status"]) == {"ok"}
    return found[(found["split"] == "test") & (found["checkpoint"] == "last")].set_index("strategy")


def pretraining(run, row):
    return run / "pretrainings" / row["pretraining_key"]


def test_every_arm_is_charged_what_it_cost(rows, run):
    assert set(rows.index) == set(STRATEGIES)
    assert (rows["pretrain_steps"] == [8 if "pretext" in STRATEGIES[name] else 0 for name in rows.index]).all()
    assert rows["finetune_steps"].nunique() == 1
    assert rows["label_seconds"].notna().sum() == 1
    cost = json.loads((pretraining(run, rows.loc["labelled"]) / "result.json").read_text())
    assert rows.loc["labelled", "label_seconds"] == cost["label_seconds"] > 0
    report = (run / "report" / "report.md").read_text(encoding="utf-8")
    assert "making labels (s)" in report


def test_arms_that_share_a_pretraining_and_those_that_do_not(rows):
    keys = rows["pretraining_key"]
    assert keys["masked"] == keys["reset"] == keys["scaled"]
    assert len(set(keys.dropna())) == 5
    assert rows["force_rmse_mev_per_A"].nunique() == len(rows)
    assert set(rows["audit_duplicates"]) == {0}


def test_a_warm_up_sees_the_labelled_frames_in_the_units_of_finetuning(rows, run):
    """Half of the frames, as often as pretraining sees all of them; the same reference energies and scale."""
    split = np.load(pretraining(run, rows.loc["warm-up"]) / "splits.npz")
    assert len(split["idx_train"]) == 8
    own = json.loads((pretraining(run, rows.loc["warm-up"]) / "provenance.json").read_text())
    cell = json.loads((run / "cells" / rows.loc["warm-up", "cell_key"] / "provenance.json").read_text())
    assert own["normalisation"] == cell["normalisation"]
    cheap = json.loads((pretraining(run, rows.loc["labelled"]) / "provenance.json").read_text())
    assert cheap["normalisation"]["scale_eV"] != cell["normalisation"]["scale_eV"]
    assert cheap["frames"]["train"] == 16
    curves = pd.read_parquet(run / "cells" / rows.loc["warm-up", "cell_key"] / "curves.parquet")
    known = curves[(curves["phase"] == "pretrain") & (curves["metric"] == "force_rmse_mev_per_A")]
    assert len(known) == 2 * 2


def test_what_was_scaled_says_by_how_much(rows, run):
    provenance = json.loads((run / "cells" / rows.loc["scaled", "cell_key"] / "provenance.json").read_text())
    assert provenance["transfer_factor"] > 0
    state = torch.load(pretraining(run, rows.loc["scaled"]) / "potential.pt", weights_only=True)["state_dict"]
    assert "readout.2.weight" in state


def test_a_head_of_a_pretexts_own_is_left_behind(rows, run, data_dir, tmp_path):
    """The pretrained potential is a body with the first readout of its seed; checkpoints keep the head to go on."""
    folder = pretraining(run, rows.loc["asked"])
    state = torch.load(folder / "potential.pt", weights_only=True)["state_dict"]
    other = torch.load(pretraining(run, rows.loc["masked"]) / "potential.pt", weights_only=True)["state_dict"]
    assert set(state) == set(other)
    saved = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    assert any(name.startswith("head.mlp.") for name in saved)
    model = read_pretraining(RunFolder(run), rows.loc["asked", "pretraining_key"]).model
    with torch.random.fork_rng():
        torch.manual_seed(stream_seed(0, "weights"))
        fresh = build(MODELS, model).state_dict()
    assert all(torch.equal(state[name], fresh[name]) for name in fresh if name.startswith("readout."))
    assert not torch.equal(state["embedding.species.weight"], fresh["embedding.species.weight"])
    assert rows.loc["asked", "handover_force_rms"] > 0
    (path,) = export(run, tmp_path / "body.pt", data_dir, select={"strategy": ["asked"]}, pretraining=True)
    assert set(torch.load(path, weights_only=True)["weights"]) == set(fresh)
    (path,) = export(run, tmp_path / "potential.pt", data_dir, select={"strategy": ["asked"]})
    assert set(torch.load(path, weights_only=True)["weights"]) == set(fresh)
