"""Work taken over from another run, and finetuning on a share of the labels, through the real command line."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from benchmark.cell.job import Settings
from benchmark.cell.library import Library
from benchmark.errors import BenchmarkError
from benchmark.planning.config import load_suite
from benchmark.planning.plan import make_plan
from benchmark.run.reuse import take_over
from tasks.normalisation import Normalisation
from tests.benchmark.runs import command, records


def test_finished_work_of_another_run_is_taken_over_and_the_other_networks_run(smoke, data_dir, tmp_path):
    out, own = tmp_path / "run", tmp_path / "own.yaml"
    own.write_text(
        "extends: water\nname: own\ntitle: Own\ndescription: Masking under another name\nscales: {smoke: {}}\n"
        "strategies: {denoised: null, scratch-extended: null, masked: null,\n"
        "  hidden: {label: masked, pretext: {kind: masking, options: {ratio: 0.5}}}}\nbaselines: [scratch]\n",
        encoding="utf-8",
    )
    done = command("run", "--suite", own, "--scale", "smoke", "--reuse", smoke[0], "--out", out, "--data-dir", data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 6 cells were finished before" in done.stdout
    rows, before = records(out), records(smoke[0])
    assert set(rows["status"]) == {"ok"}
    assert set(zip(rows["model"], rows["strategy"], strict=True)) == {
        (model, arm) for model in ("egnn", "gns", "forcenet") for arm in ("scratch", "hidden")
    }
    taken = rows[rows["model"] == "egnn"].set_index("cell_key").sort_index()
    source = before.set_index("cell_key").loc[taken.index.unique()].sort_index()
    names = ["suite", "strategy"]
    pd.testing.assert_frame_equal(taken.drop(columns=names), source.drop(columns=names))
    assert set(taken["suite"]) == {"own"}
    provenance = json.loads((out / "cells" / taken.index[0] / "provenance.json").read_text())
    assert provenance["taken_over_from"] == str(smoke[0])
    # Two networks share nothing: their pretrainings are their own, and the taken one was not computed.
    computed = [
        p for p in (out / "pretrainings").iterdir() if "taken_over_from" not in (p / "provenance.json").read_text()
    ]
    assert len(computed) == 2


@pytest.mark.parametrize("other", ["contents", "versions", "git_commit", "hardware", "record"])
def test_only_the_same_work_is_taken_over(smoke, data_dir, tmp_path, other):
    """Copies of a finished run whose provenance or record is another: left alone with the reason, or refused."""
    earlier = tmp_path / "earlier"
    shutil.copytree(smoke[0], earlier)
    for path in earlier.glob("*/*/provenance.json"):
        content = json.loads(path.read_text())
        if other == "hardware":
            content["hardware"]["accelerator"] = "another"
        elif other != "record":
            content[other] = "another"
        path.write_text(json.dumps(content), encoding="utf-8")
    now = json.loads(next(smoke[0].glob("cells/*/provenance.json")).read_text())
    settings = Settings(tmp_path / "run", data_dir, "cpu", now["hardware"]["threads"])
    cells = make_plan(load_suite("water", "smoke"), select={"model": ["egnn"]})
    library = Library(data_dir)
    if other == "record":
        for path in earlier.glob("cells/*/record.parquet"):
            path.write_bytes(b"not parquet")
        with pytest.raises(BenchmarkError, match=r"cannot be taken over.*--reuse"):
            take_over(cells, settings, [earlier], library)
        assert not list((tmp_path / "run" / "cells").iterdir())
        return
    notes = take_over(cells, settings, [earlier], library)
    reason = {"contents": "data", "git_commit": "commit", "hardware": "accelerator"}.get(other, other)
    assert len(notes) == 1
    assert f"other than now: {reason} (6 finished jobs)" in notes[0]
    assert not (tmp_path / "run").exists()
    assert take_over(cells, settings, [earlier, smoke[0]], library) == notes
    assert len(list((tmp_path / "run" / "cells").iterdir())) == 4


def test_a_labelled_share_is_all_that_finetuning_sees(data_dir, smoke, tmp_path):
    """Its normalisation, its training frames and its records are those of the share; pretraining has all frames."""
    own, out = tmp_path / "own.yaml", tmp_path / "run"
    own.write_text(
        "extends: water\nname: own\ntitle: Own\ndescription: Few labels\nscales: {smoke: {}}\n"
        "models: {gns: null, forcenet: null}\nstrategies: {denoised: null, scratch-extended: null}\n"
        "baselines: [scratch]\ndatasets: {tip3p: {labelled: [0.2, 1]}}\n",
        encoding="utf-8",
    )
    done = command("run", "--suite", own, "--scale", "smoke", "--select", "dataset=tip3p@20%",
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


def test_a_species_that_a_model_cannot_embed_is_refused_before_any_training(refuse, smoke, data_dir, tmp_path):
    own, out = tmp_path / "own.yaml", tmp_path / "run"
    own.write_text(
        "extends: water\nname: own\ntitle: Own\ndescription: Few species\nscales: {smoke: {}}\n"
        "models: {forcenet: {options: {max_z: 8}}}\n",
        encoding="utf-8",
    )
    refuse("run", "--suite", own, "--scale", "smoke", "--out", out, "--data-dir", data_dir,
           fragments=["'forcenet'", "max_z = 8", "up to 8"])  # fmt: skip
    assert not (out / "cells").exists()
