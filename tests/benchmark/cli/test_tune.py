"""The verb `tune` through the real command line."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmark.planning.reading import load_suite
from tests.benchmark.runs import contents, inside


@pytest.mark.slow
def test_trials_are_judged_on_validation_frames_and_the_best_rates_are_written(own, tmp_path):
    suite, out = own(), tmp_path / "run"
    arguments = ("tune", "--suite", suite, "--scale", "tiny", "--trials", 2, "--select",
                 "dataset=a,strategy=scratch,masked", "--out", out, "--data-dir", tmp_path, "--jobs", 2)  # fmt: skip
    done = inside(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no comparison is declared" not in done.stdout, "trials are compared on validation frames"
    table = pd.read_csv(out / "trials.csv")
    assert sorted(zip(table["strategy"], table["trial"], strict=True)) == [
        ("masked", 0), ("masked", 1), ("scratch", 0), ("scratch", 1),
    ]  # fmt: skip
    assert table.groupby("strategy")["chosen"].sum().tolist() == [1, 1]
    for _, rows in table.groupby("strategy"):
        assert rows.loc[rows["chosen"], "validation_loss"].item() == rows["validation_loss"].min()
    pd.testing.assert_frame_equal(pd.read_parquet(out / "trials.parquet"), table, check_dtype=False)
    tuned = load_suite(str(out / "own-tuned.yaml"), "tiny")
    chosen = table[table["chosen"]].set_index("strategy")
    for arm in ("scratch", "masked"):
        assert tuned.training_of("a", "egnn", arm).finetune.lr == chosen.loc[arm, "finetune_lr"]
    assert tuned.training_of("a", "egnn", "masked").pretrain.lr == chosen.loc["masked", "pretrain_lr"]
    before = contents(out / "cells")
    assert inside(*arguments).returncode == 0
    assert contents(out / "cells") == before, "a second call trains nothing"


def test_several_networks_are_refused(refuse):
    refuse("tune", "--suite", "tip3p", "--scale", "smoke", fragments=["one network at a time", "egnn, gns, forcenet"])


def test_a_single_trial_is_no_search(refuse):
    refuse("tune", "--suite", "tip3p", "--scale", "smoke", "--select", "model=egnn", "--trials", 1,
           fragments=["at least 2 trials"])  # fmt: skip
