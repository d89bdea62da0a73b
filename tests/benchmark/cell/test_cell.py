"""Cells through the command line: pools, further test sets, shares of the labels."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from benchmark.cell.library import Library
from benchmark.planning.reading import load_suite
from tasks.normalisation import Normalisation
from tests.benchmark.own_suite import entry, write_frames
from tests.benchmark.runs import inside, records

pytestmark = pytest.mark.slow


def test_the_whole_chain_on_a_pool_with_a_further_test_set(own, tmp_path):
    """One pretraining, records with the audit and the further test set; other data in the same folder is refused."""
    extra = tmp_path / "extra.xyz"
    write_frames(extra, 7, seed=8)
    path = own(
        datasets={
            "a": entry(own.files["a"], split={"val": 0.2, "test": 0.2}, extra_tests={"wide": entry(extra)}),
            "b": entry(own.files["b"], split={"val": 0.2, "test": 0.2}),
        }
    )
    arguments = ("run", "--suite", path, "--scale", "tiny", "--select", "strategy=scratch,masked", "--jobs", 2,
                 "--out", tmp_path / "run", "--data-dir", tmp_path)  # fmt: skip
    done = inside(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = records(tmp_path / "run")
    assert set(rows["status"]) == {"ok"}
    assert len(list((tmp_path / "run" / "pretrainings").iterdir())) == 1
    masked = rows[(rows["dataset"] == "a") & (rows["strategy"] == "masked")].set_index(["split", "checkpoint"])
    assert set(masked["audit_duplicates"]) == {0}
    cost = json.loads(next((tmp_path / "run").glob("pretrainings/*/result.json")).read_text())
    assert set(masked["pretrain_steps"]) == {cost["pretrain_steps"] / 2}
    assert set(masked["pretrain_seconds"]) == {cost["pretrain_seconds"] / 2}
    assert set(masked["audit_seen_frames"]) == {12 + 12 + 6}
    assert set(masked["audit_checked_frames"]) == {4 + 4 + 7}
    assert (masked.loc[("extra", "best"), "extra"], masked.loc[("extra", "best"), "n_frames"]) == ("wide", 7)
    assert pd.isna(masked.loc[("test", "best"), "extra"])
    assert set(rows.loc[rows["dataset"] == "b", "split"]) == {"train", "val", "test"}
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert set(plan["data"]) == {"a", "b", "a/wide"}
    write_frames(own.files["b"], 10, seed=7, symbols="CHHHH")
    again = inside(*arguments)
    assert again.returncode == 2
    assert "dataset 'b' is not the one that run folder" in again.stderr


def test_a_labelled_share_is_all_that_finetuning_sees(data_dir, smoke, tmp_path):
    """Its normalisation, its training frames and its records are those of the share; pretraining has all frames."""
    own, out = tmp_path / "own.yaml", tmp_path / "run"
    own.write_text(
        "extends: water\nname: own\ntitle: Own\ndescription: Few labels\nscales: {smoke: {}}\n"
        "models: {gns: null, forcenet: null}\nstrategies: {denoised: null, scratch-extended: null}\n"
        "baselines: [scratch]\ndatasets: {tip3p: {labelled: [0.2, 1]}}\n",
        encoding="utf-8",
    )
    done = inside("run", "--suite", own, "--scale", "smoke", "--select", "dataset=tip3p@20%",
                   "--out", out, "--data-dir", data_dir)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    cells = json.loads((out / "plan.json").read_text())["cells"]
    splits = {c["strategy"]: np.load(out / "cells" / c["key"] / "splits.npz") for c in cells}
    tip3p = load_suite("water", "smoke").datasets["tip3p"]
    _, whole, _ = Library(data_dir).load_sets(tip3p, 0)
    pool = np.load(next(out.glob("pretrainings/*/splits.npz")))
    assert len(pool["idx_train"]) == len(whole.train) == 16
    assert np.array_equal(splits["scratch"]["idx_train"], splits["masked"]["idx_train"])
    assert len(splits["masked"]["idx_train"]) == 3
    assert set(splits["masked"]["idx_train"]) < set(whole.train)
    assert np.array_equal(splits["masked"]["idx_test"], whole.test)
    rows = records(out)
    assert set(rows.loc[rows["split"] == "train", "n_frames"]) == {3}
    assert set(rows["finetune_steps"]) == {12}, "as many steps as with all labels"
    samples = Library(data_dir).load(tip3p).samples
    scale = Normalisation.fit([samples[i] for i in splits["masked"]["idx_train"]]).scale_eV
    for cell in cells:
        provenance = json.loads((out / "cells" / cell["key"] / "provenance.json").read_text())
        assert provenance["normalisation"]["scale_eV"] == pytest.approx(scale)
