"""A cell over two devices: two processes on the CPU do what one does, and stop together."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading

import pytest

from benchmark.errors import BenchmarkError
from benchmark.executors import together
from benchmark.training.modules.potential import PotentialModule
from tests.benchmark.own_suite import entry
from tests.benchmark.runs import compare, records

pytestmark = pytest.mark.slow

SCRATCH = {"strategy": ["scratch"]}
UNSTABLE = {"finetune": {"lr": 1e38, "lr_min": 1e38}}


def test_two_devices_do_what_one_does(made, tmp_path):
    out = tmp_path / "run"
    printed = made.run(out, devices=2, select={"strategy": ["masked"]})
    assert "failed" not in printed, printed
    rows = compare(out, made.folder)
    assert set(rows["computed"]) == {"eager, 2 devices"}
    for path in out.glob("*/*/provenance.json"):
        assert json.loads(path.read_text())["hardware"]["devices"] == 2
    assert not list(out.glob("*/*/.processes"))
    logs = [path.read_text().count(" begins\n") for path in out.glob("*/*/log.txt")]
    assert logs == [1, 1], "a log for each job, in which one process speaks"


def test_a_cell_is_resumed_on_another_number_of_devices(made, tmp_path, monkeypatch):
    out = tmp_path / "run"
    original = PotentialModule.on_validation_start

    def dying(self):
        if self.current_epoch == 1:
            raise RuntimeError("killed")
        original(self)

    monkeypatch.setattr(PotentialModule, "on_validation_start", dying)
    assert "killed" in made.run(out, select=SCRATCH)
    monkeypatch.undo()
    assert list(out.glob("cells/*/last.ckpt"))
    made.run(out, devices=2, select=SCRATCH)
    compare(out, made.folder)


def test_a_process_that_dies_ends_the_cell_in_words(made, tmp_path, monkeypatch):
    monkeypatch.setattr(together, "GRACE_S", 0.2)
    killed, over = [], threading.Event()

    def kill():
        while not over.wait(0.01):
            for process in multiprocessing.active_children():
                if process.name == "process 2" and process.pid not in killed:
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append(process.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        made.run(tmp_path / "run", devices=2, select=SCRATCH)
    finally:
        over.set()
        thread.join()
    (row,) = records(tmp_path / "run").to_dict("records")
    assert row["status"] == "failed"
    assert row["reason"].startswith("its process 2 of 2 ended with exit code -9: it was killed, most likely for lack")
    assert not [process for process in multiprocessing.active_children() if process.name.startswith("process ")]


def test_all_processes_diverge_together(made, tmp_path):
    suite = made.write(
        datasets={"b": entry(made.write.files["b"], split={"val": 0.2, "test": 0.2}, training=UNSTABLE)},
        strategies={"scratch": {"label": "s"}},
        baselines=["scratch"],
    )
    made.run(tmp_path / "run", suite=suite, devices=2)
    (row,) = records(tmp_path / "run").to_dict("records")
    assert row["status"] == "diverged"
    assert "loss became" in row["reason"]
    assert row["finetune_steps"] > 0


def test_what_cannot_be_divided_is_refused(made, tmp_path):
    with pytest.raises(BenchmarkError, match=r"--devices 5: a batch is divided .* batches of 4 frames"):
        made.run(tmp_path / "run", devices=5)
    with pytest.raises(BenchmarkError, match="--devices 2: steps are compiled on one device alone"):
        made.run(tmp_path / "run", devices=2, compile_steps="always")
    with pytest.raises(BenchmarkError, match="--devices 0: at least 1"):
        made.run(tmp_path / "run", devices=0)
    assert not (tmp_path / "run").exists()
