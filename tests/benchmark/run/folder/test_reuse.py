"""Work taken over from another run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from benchmark.cell.job import Settings
from benchmark.cell.library import Library
from benchmark.errors import BenchmarkError
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite
from benchmark.run.folder.reuse import take_over
from tests.benchmark.runs import inside, records

pytestmark = pytest.mark.slow


def test_finished_work_of_another_run_is_taken_over_and_the_other_networks_run(smoke, data_dir, tmp_path):
    out, own = tmp_path / "run", tmp_path / "own.yaml"
    own.write_text(
        "extends: water\nname: own\ntitle: Own\ndescription: Masking under another name\nscales: {smoke: {}}\n"
        "strategies: {denoised: null, scratch-extended: null, masked: null,\n"
        "  hidden: {label: masked, pretext: {kind: masking, options: {ratio: 0.5}}}}\nbaselines: [scratch]\n",
        encoding="utf-8",
    )
    done = inside("run", "--suite", own, "--scale", "smoke", "--reuse", smoke[0], "--out", out, "--data-dir", data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 6 cells were finished before" in done.stdout
    # What `water` declares is not declared by a suite that extends it.
    assert "note: no comparison is declared" in done.stdout
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


@pytest.mark.parametrize("other", ["contents", "versions", "code", "hardware", "devices", "computed", "record"])
def test_only_the_same_work_is_taken_over(smoke, data_dir, tmp_path, other):
    """Copies of a finished run whose provenance or record is another: left alone with the reason, or refused."""
    earlier = tmp_path / "earlier"
    shutil.copytree(smoke[0], earlier)
    for path in earlier.glob("*/*/provenance.json"):
        content = json.loads(path.read_text())
        if other == "hardware":
            content["hardware"]["accelerator"] = "another"
        elif other == "devices":
            content["hardware"]["devices"] = 2
        elif other == "computed":
            assert content["computed"]["way"] == "eager"
            content["computed"]["way"] = "compiled"
        elif other != "record":
            content[other] = {"contents": ["another"], "versions": {"torch": "another"}}.get(other, "another")
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
    names = {"contents": "data", "hardware": "accelerator", "computed": "way of computing"}
    reason = names.get(other, other)
    assert len(notes) == 1
    remedy = " (--mix-commits takes it)" if reason == "code" else ""
    assert f"other than now: {reason}{remedy} (6 finished jobs)" in notes[0]
    assert not (tmp_path / "run").exists()
    mixed = replace(settings, folder=tmp_path / "mixed")
    assert take_over(cells, mixed, [earlier], library, mix_commits=True) == ([] if reason == "code" else notes)
    assert (tmp_path / "mixed").exists() == (reason == "code")
    assert take_over(cells, settings, [earlier, smoke[0]], library) == notes
    assert len(list((tmp_path / "run" / "cells").iterdir())) == 4


@pytest.mark.parametrize(("without", "taken"), [((), 4), (("code",), 0)])
def test_another_commit_of_the_same_code_is_the_same_work(smoke, data_dir, tmp_path, without, taken):
    """A commit of docs alone, say; of versions that did not note the code's hash the commit is what there is."""
    earlier = tmp_path / "earlier"
    shutil.copytree(smoke[0], earlier)
    for path in earlier.glob("*/*/provenance.json"):
        content = {key: value for key, value in json.loads(path.read_text()).items() if key not in without}
        path.write_text(json.dumps(content | {"git_commit": "another"}), encoding="utf-8")
    now = json.loads(next(smoke[0].glob("cells/*/provenance.json")).read_text())
    settings = Settings(tmp_path / "run", data_dir, "cpu", now["hardware"]["threads"])
    cells = make_plan(load_suite("water", "smoke"), select={"model": ["egnn"]})
    notes = take_over(cells, settings, [earlier], Library(data_dir))
    assert len(notes) == (taken == 0)
    assert len(list((tmp_path / "run").glob("cells/*"))) == taken
