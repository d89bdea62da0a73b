"""The real command line: a smoke run to a report, a second run that repeats nothing, wrong input, a kill."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
import yaml
from filelock import FileLock

from benchmark.cli import main as main_module
from benchmark.cli.main import main
from benchmark.planning.suite_files import SUITES
from tests.benchmark.runs import ONE, command, contents, inside, records, start

pytestmark = pytest.mark.slow


def test_smoke_run_ends_in_records_and_a_report(smoke):
    out, stdout = smoke
    rows = records(out)
    assert set(rows["status"]) == {"ok"}
    assert set(rows["strategy"]) == {"scratch", "scratch-extended", "masked", "denoised"}
    assert len(rows) == 4 * 2 * 3
    assert rows["split_hash"].nunique() == 1
    assert rows.groupby("strategy")["finetune_epochs"].first().to_dict() == {
        "scratch": 3, "scratch-extended": 5, "masked": 3, "denoised": 3,
    }  # fmt: skip
    assert (rows["force_rmse_mev_per_A"] >= rows["force_mae_mev_per_A"]).all()
    html = (out / "report" / "index.html").read_text(encoding="utf-8")
    markdown = (out / "report" / "report.md").read_text(encoding="utf-8")
    test = rows[(rows["split"] == "test") & (rows["checkpoint"] == "best")].set_index("strategy")
    for strategy in test.index:
        shown = f"{test.loc[strategy, 'force_rmse_mev_per_A']:.1f}"
        assert shown in html
        assert shown in markdown
        assert shown in stdout
    assert "report/index.html" in stdout


def test_files_of_the_user_with_our_names_are_not_executed(smoke):
    """Neither by the command nor by its workers, which made the data and trained."""
    assert (smoke[0].parent / "benchmark.py").exists()
    assert not (smoke[0].parent / "executed").exists()


def test_every_cell_carries_its_provenance(smoke):
    out, _ = smoke
    plan = json.loads((out / "plan.json").read_text())
    for cell in plan["cells"]:
        provenance = json.loads((out / "cells" / cell["key"] / "provenance.json").read_text())
        assert provenance["config"]["seed"] == cell["seed"]
        assert provenance["versions"]["torch"] == torch.__version__
        assert re.fullmatch(r"[0-9a-f]{12}", provenance["split_hash"])
        assert provenance["hardware"]["cores"] >= 1
        assert provenance["dataset"]["parameters"]["molecules"] == 8
    # Pretraining had the split of its cells, and of it the training and validation frames only.
    for cell in plan["cells"]:
        if cell["pretraining_key"]:
            own = np.load(out / "cells" / cell["key"] / "splits.npz")
            folder = out / "pretrainings" / cell["pretraining_key"]
            pool, provenance = np.load(folder / "splits.npz"), json.loads((folder / "provenance.json").read_text())
            finetuned = json.loads((out / "cells" / cell["key"] / "provenance.json").read_text())
            assert provenance["split_hashes"] == [finetuned["split_hash"]]
            assert finetuned["contents"] == 2 * provenance["contents"]
            assert [len(pool[name]) for name in ("idx_train", "idx_val")] == [
                len(own["idx_train"]),
                len(own["idx_val"]),
            ]
            assert len(pool["idx_test"]) == 0
            assert len(own["idx_test"]) > 0
    shared = {c["pretraining_key"] for c in plan["cells"]} - {None}
    assert {p.name for p in (out / "pretrainings").iterdir()} == shared


def test_finetuning_starts_from_the_pretrained_weights(smoke, data_dir, tmp_path):
    """With a learning rate of next to nothing the finetuned weights are the pretrained ones, all of them."""
    suite = yaml.safe_load((SUITES / "tip3p.yaml").read_text(encoding="utf-8"))
    suite["scales"]["smoke"]["training"]["finetune"] |= {"lr": 1e-30, "lr_min": 1e-30, "epochs": 1}
    path = tmp_path / "frozen.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")
    out = tmp_path / "run"
    select = "model=egnn,strategy=masked,strategy=scratch"
    done = inside("run", "--suite", path, "--scale", "smoke", "--select", select, "--out", out, "--data-dir", data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    weights = {}
    for cell in json.loads((out / "plan.json").read_text())["cells"]:
        state = torch.load(out / "cells" / cell["key"] / "last.ckpt", weights_only=True)["state_dict"]
        weights[cell["strategy"]] = {name.removeprefix("model."): w for name, w in state.items()}
        if cell["pretraining_key"]:
            path = out / "pretrainings" / cell["pretraining_key"] / "potential.pt"
            pretrained = torch.load(path, weights_only=True)["state_dict"]
    assert pretrained.keys() == weights["masked"].keys()
    for name, weight in pretrained.items():
        torch.testing.assert_close(weights["masked"][name], weight, rtol=0, atol=0)
    assert any(not torch.equal(weights["scratch"][name], weight) for name, weight in pretrained.items())


def test_same_command_again_repeats_nothing_and_status_tells(smoke, data_dir):
    out, _ = smoke
    before = {k: v for k, v in contents(out).items() if k.startswith(("cells", "pretrainings"))}
    again = command("run", "--suite", "water", "--scale", "smoke", *ONE, "--out", out, "--data-dir", data_dir)
    assert again.returncode == 0, again.stderr
    assert "4 of 4 cells were finished before" in again.stdout
    after = {k: v for k, v in contents(out).items() if k.startswith(("cells", "pretrainings"))}
    assert after == before
    listed = inside("status", out)
    assert listed.stdout.count("ok") >= 4
    remade = inside("report", out)
    assert remade.returncode == 0, remade.stderr


def test_killed_run_is_resumed_and_equals_an_uninterrupted_one(smoke, data_dir, tmp_path):
    """Kill everything in the middle (the workers with their parent), run again: the same numbers."""
    suite = yaml.safe_load((SUITES / "tip3p.yaml").read_text(encoding="utf-8"))
    suite["scales"]["smoke"]["training"]["finetune"]["epochs"] = 15
    path = tmp_path / "longer.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")

    def arguments(out):
        return ["run", "--suite", path, "--scale", "smoke", "--select", "model=egnn,strategy=masked", "--out", out,
                "--data-dir", data_dir, "--jobs", "2"]  # fmt: skip

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert inside(*arguments(whole)).returncode == 0
    process = start(*arguments(cut))
    deadline = time.monotonic() + 120
    while not (checkpoints := list(cut.glob("cells/*/last.ckpt"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoints, "the run never came to finetuning"
    status = json.loads(next(cut.glob("cells/*/status.json")).read_text())
    assert status["state"] == "running", "the kill came too late to test anything"
    assert command(*arguments(cut)).returncode == 0
    assert len(next(cut.glob("cells/*/log.txt")).read_text().split(" begins")) == 3, "two sittings are expected"
    timing = ["pretrain_seconds", "finetune_seconds", "peak_memory_mb"]
    pd.testing.assert_frame_equal(records(whole).drop(columns=timing), records(cut).drop(columns=timing))


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "interrupted")]
)
def test_an_interrupt_ends_a_run_with_a_word(monkeypatch, capsys, tmp_path, number, code, word):
    def interrupted(planned, display):
        os.kill(os.getpid(), number)
        time.sleep(10)

    monkeypatch.setattr("benchmark.run.execute.execute", interrupted)
    monkeypatch.setattr(
        sys, "argv", ["nnp-bench", "run", "--suite", "water", "--scale", "smoke", "--out", str(tmp_path)]
    )
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        main()
    signal.signal(signal.SIGTERM, before)
    assert ended.value.code == code
    assert word in capsys.readouterr().err


def test_an_interrupt_while_the_command_is_loaded_is_clean(tmp_path):
    """A module of the libraries that interrupts stands for Ctrl-C in the first tenths of a second."""
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    done = command("list", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_divergence_is_recorded_with_its_step_and_named(data_dir, smoke, tmp_path):
    suite = yaml.safe_load((SUITES / "tip3p.yaml").read_text(encoding="utf-8"))
    suite["scales"]["smoke"]["training"]["finetune"] |= {"lr": 1e30, "lr_min": 1e29}
    path = tmp_path / "wild.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")
    out = tmp_path / "run"
    done = inside("run", "--suite", path, "--scale", "smoke", "--select", "model=egnn,strategy=scratch", "--out", out,
                  "--data-dir", data_dir)  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = records(out).iloc[0]
    assert row["status"] == "diverged"
    assert row["finetune_steps"] == int(re.search(r"at step (\d+)", row["reason"])[1]) - 1
    assert row["split_hash"] == records(smoke[0])["split_hash"].iloc[0]
    assert re.search(r"at step \d+, epoch \d+", row["reason"])
    assert "diverged" in (out / "report" / "report.md").read_text(encoding="utf-8")
    assert "diverged" in done.stdout


def test_failure_is_recorded_with_what_depends_on_it_and_tried_again(smoke, data_dir, tmp_path):
    """A folder where the pretrained weights should go stands for a failing disk."""
    arguments = ["run", "--suite", "water", "--scale", "smoke", "--out", tmp_path / "run", "--data-dir", data_dir,
                 "--select", "strategy=masked,strategy=scratch", "--select", "model=egnn"]  # fmt: skip
    plan = json.loads((smoke[0] / "plan.json").read_text())
    masked = next(c for c in plan["cells"] if c["strategy"] == "masked")
    obstacle = tmp_path / "run" / "pretrainings" / masked["pretraining_key"] / "potential.pt"
    shutil.copytree(smoke[0], tmp_path / "run", ignore=shutil.ignore_patterns("cells", "pretrainings", ".run.lock"))
    obstacle.mkdir(parents=True)
    done = command(*arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    rows = records(tmp_path / "run").set_index("strategy")
    assert set(rows.loc[["scratch"], "status"]) == {"ok"}
    assert rows.loc["masked", "status"] == "failed"
    assert masked["pretraining_key"] in rows.loc["masked", "reason"]
    assert "potential.pt" in rows.loc["masked", "reason"]
    obstacle.rmdir()
    assert inside(*arguments).returncode == 0
    assert set(records(tmp_path / "run")["status"]) == {"ok"}


def test_a_worker_that_dies_is_a_failed_cell(data_dir, smoke, tmp_path):
    """Killed from outside, as when memory runs out: the run goes on and says so."""
    suite = yaml.safe_load((SUITES / "tip3p.yaml").read_text(encoding="utf-8"))
    suite["scales"]["smoke"]["training"]["finetune"]["epochs"] = 500
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")
    out = tmp_path / "run"
    arguments = ["run", "--suite", path, "--scale", "smoke", "--out", out, "--data-dir", data_dir]
    arguments += ["--select", "model=egnn,strategy=scratch", "--jobs", "2"]
    run = start(*arguments)
    deadline = time.monotonic() + 120
    while not list(out.glob("cells/*/last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    # The workers are the grandchildren: children of the server that forks them.
    children = psutil.Process(run.pid).children()
    workers = [grandchild for child in children for grandchild in child.children()]
    assert len(workers) == 1
    workers[0].kill()
    assert run.wait(timeout=120) == 1
    row = records(out).iloc[0]
    assert row["status"] == "failed"
    assert "exit code -9" in row["reason"]


def test_a_refusal_as_a_user_sees_it():
    done = command("run", "--suite", "watr")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: unknown suite 'watr'")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["run", "--suite", "water", "--scale", "huge"], ["unknown scale 'huge'", "quick"]),
        (["run", "--suite", "water", "--select", "masked"], ["FIELD=NAME"]),
        (["run", "--suite", "water", "--select", "strategy=maskd"], ["unknown strategy", "'masked'?"]),
        (["run", "--suite", "water", "--select", ""], ["names nothing"]),
        (["run", "--suite", "water", "--jobs", "0"], ["at least 1"]),
        (["run", "--suite", "water", "--seeds", "0"], ["at least 1"]),
        (["run", "--suite", "water", "--device", "tpu"], ["not available", "cpu"]),
        (["run", "--suite", "water", "--scale", "smoke", "--reuse", "nowhere"], ["nowhere", "holds no run"]),
        (["run", "--suite", "water", "--seeds", "1000000", "--dry-run"], ["a run folder holds at most 100000"]),
        (["status", "nowhere"], ["holds no run"]),
        (["report", "nowhere"], ["plan.json"]),
        (["data", "prepare", "--suite", "none.yaml"], ["cannot be read"]),
    ],
)
def test_wrong_input_ends_with_exit_code_2_and_one_message(refuse, arguments, fragments):
    refuse(*arguments, fragments=fragments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--suite", "water", "--out"],
        ["run", "--suite", "water", "--data-dir"],
        ["tune", "--suite", "water", "--out"],
        ["report", "run", "--out"],
        ["export", "run", "--to"],
    ],
)
def test_an_empty_path_is_no_path(monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["nnp-bench", *arguments, ""])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "end"), [("report", "run the same command again"), ("run", "run the same command again: it resumes")]
)
def test_only_what_resumes_is_said_to(monkeypatch, capsys, verb, end):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device", "/runs/a")

    monkeypatch.setattr(main_module, "app", full)
    monkeypatch.setattr(sys, "argv", ["nnp-bench", verb])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.strip() == f"error: /runs/a: No space left on device. Mend that and {end}"


def test_foreign_folders_are_left_alone(refuse, smoke, tmp_path, data_dir):
    out, _ = smoke
    before = contents(out)
    common = ["run", "--suite", "water", "--data-dir", data_dir]
    for dry in ((), ("--dry-run",)):
        refuse(*common, "--scale", "quick", "--out", out, *dry, fragments=["another plan", "--out"])
    assert contents(out) == before
    other = tmp_path / "other"
    shutil.copytree(out, other, ignore=shutil.ignore_patterns(".run.lock"))
    for path in other.glob("cells/*/provenance.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"code": "other"}), encoding="utf-8")
    next(other.glob("cells/*/status.json")).write_text('{"state": "failed", "reason": "r"}', encoding="utf-8")
    for dry in ((), ("--dry-run",)):
        refuse(*common, "--scale", "smoke", "--out", other, *dry, fragments=["other code", "--mix-commits"])
    shutil.rmtree(other)
    (tmp_path / "thesis.tex").write_text("do not touch", encoding="utf-8")
    refuse(*common, "--scale", "smoke", "--out", tmp_path, fragments=["holds no run", "--out"])
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_unwritable_and_full_output(refuse, tmp_path, data_dir, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    common = ["run", "--suite", "water", "--scale", "smoke", "--data-dir", data_dir, "--out"]
    refuse(*common, blocked / "run", fragments=["cannot be written", "--out"])
    for dry in ((), ("--dry-run",)):
        refuse(*common, blocked, *dry, fragments=["is a file", "--out"])
    monkeypatch.setattr("benchmark.run.execute.NEEDED_BYTES", 1e30)
    refuse(*common, tmp_path / "full", fragments=["MB free", "--out"])


def test_damaged_data_is_refused_before_any_training(refuse, smoke, data_dir, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(data_dir, data)
    damaged = next(data.glob("tip3p-*/*.dcd"))
    content = bytearray(damaged.read_bytes())
    content[-10] ^= 0xFF
    damaged.write_bytes(content)
    out = tmp_path / "run"
    refuse("run", "--suite", "water", "--scale", "smoke", "--out", out, "--data-dir", data,
           fragments=["damaged dataset", damaged.name, "Delete"])  # fmt: skip
    assert not (out / "cells").exists()


def test_a_pretext_that_cannot_be_applied_is_refused_before_any_training(
    refuse, smoke, data_dir, tmp_path, monkeypatch
):
    """Water without hydrogens, as another dataset might bring it."""
    from tasks.datasets.tip3p.task import TIP3P

    original = TIP3P.load

    def bare(self, folder):
        dataset = original(self, folder)
        for sample in dataset.samples:
            sample.z = torch.full_like(sample.z, 8)
        return dataset

    monkeypatch.setattr(TIP3P, "load", bare)
    out = tmp_path / "run"
    refuse("run", "--suite", "water", "--scale", "smoke", "--out", out, "--data-dir", data_dir,
           fragments=["masking needs a molecule with an atom of H"])  # fmt: skip
    assert not (out / "cells").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"cells": 1}'])
def test_damaged_files_of_a_run_are_named_by_every_verb_that_only_reads(refuse, smoke, tmp_path, content):
    out = tmp_path / "run"
    shutil.copytree(smoke[0], out)
    status = next(out.glob("cells/*/status.json"))
    status.write_text(content if content != '{"cells": 1}' else '{"state": "done"}', encoding="utf-8")
    for verb in ("status", "report"):
        refuse(verb, out, fragments=["status.json", "run again; only this job is repeated"])
    (out / "plan.json").write_text(content, encoding="utf-8")
    for verb in ("status", "report"):
        refuse(verb, out, fragments=["plan.json", "restore this one file, or repeat the run's command"])


def test_a_second_run_in_the_same_folder_is_refused(refuse, smoke, data_dir):
    out, _ = smoke
    with FileLock(out / ".run.lock"):
        refuse("run", "--suite", "water", "--scale", "smoke", "--out", out, "--data-dir", data_dir,
               fragments=["another run is at work", "--out"])  # fmt: skip


def test_dry_run_sums_up_the_plan_first_lists_cells_on_request_and_writes_nothing(tmp_path):
    out, data = tmp_path / "run", tmp_path / "data"
    arguments = ["run", "--suite", "water", "--scale", "smoke", "--dry-run", "--out", out, "--data-dir", data]
    done = inside(*arguments, "--cells", *ONE)
    assert done.returncode == 0, done.stderr
    first, second, *rest = done.stdout.splitlines()
    assert "scale smoke: 4 cells (1 dataset × 1 network × 4 arms × 1 seed)" in first
    duration, fits = r"about \d+ (seconds?|minutes?) on \d+ cores?", r"6 fits \(0 with compiled steps\)"
    assert re.match(rf"{duration}: {fits}, 72 optimizer steps, \d+ at a time", second)
    assert rest[0].startswith("verdicts will be on: masked against scratch and scratch-extended in force_rmse")
    assert "not there yet" in "\n".join(rest)
    assert rest[-1] == "nothing would stop the run"
    assert "\n".join(rest[1:]).count("egnn") == 4
    assert not out.exists()
    assert not data.exists()
