"""What a worker does with a job that it is sent; here in this process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from dataclasses import dataclass

import psutil
import pytest

from benchmark import leaving
from benchmark.cell.provenance import code_hash
from benchmark.executors import task as tasks
from benchmark.executors import tickets
from benchmark.executors.local import THREAD_VARIABLES
from benchmark.executors.task import RANK_VARIABLES, Task, perform
from benchmark.executors.tickets import Tickets
from benchmark.leaving import begin_epochs_until, check_time
from tests.benchmark.executors.jobs import Noting
from tests.benchmark.runs import ROOT


@dataclass(frozen=True)
class Epochs(Noting):
    """A job of two epochs, which asks whether there is time for them."""

    def run(self):
        for epoch in range(2):
            check_time(epoch, 2)
        super().run()


@dataclass(frozen=True)
class Native(Noting):
    """A job that prints as a native library does."""

    def run(self):
        os.write(1, b"out\n")
        os.write(2, b"err\n")
        super().run()


@pytest.fixture
def send(tmp_path, monkeypatch):
    """Perform a job, or what is changed of its task; this process is as before afterwards."""
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    for name in RANK_VARIABLES:
        monkeypatch.setenv(name, "1")  # of the second task of a scheduler's job
    monkeypatch.setattr(leaving, "_begins_until", leaving._begins_until)
    monkeypatch.setattr(tickets, "SEEN_AFTER_S", 0.0)

    def run(work, **changes):
        given = {"job": pickle.dumps(work), "ticket": Tickets(tmp_path).issue(work.key), "device": "cpu", "threads": 3,
                 "code": code_hash(), "begin_epochs_s": None, "settle_s": 0.0}  # fmt: skip
        return perform(Task(**given | changes))

    return run


def test_a_job_is_done_with_a_sign_of_life_and_a_log_of_its_own(send, tmp_path, capfd):
    job = Native("a", tmp_path)
    os.write(1, b"before\n")
    assert send(job).end == "done"
    os.write(1, b"after\n")
    assert job.folder.status().state == "ok"
    assert job.folder.log.read_text() == "out\nerr\n"
    assert capfd.readouterr().out.replace("this is a\n", "") == "before\nafter\n"
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert not os.environ.keys() & {*RANK_VARIABLES}
    (sign,) = (tmp_path / ".tickets").glob("a.*")
    assert f'"pid": {os.getpid()}' in sign.read_text()


def test_without_a_valid_ticket_nothing_is_begun(send, tmp_path):
    job, desk = Noting("a", tmp_path), Tickets(tmp_path)
    old = desk.issue("a")
    desk.issue("a")
    assert send(job, ticket=old).end == "withdrawn"
    gone = desk.issue("a")
    desk.revoke_all()
    assert send(job, ticket=gone).end == "withdrawn"
    assert job.folder.status().state == "pending"


def test_other_code_is_refused_before_the_job_is_read_unless_any_will_do(send, tmp_path):
    refused = send(Noting("a", tmp_path), code="0" * 12, job=b"of another version")
    assert refused.end == "refused"
    assert "--mix-commits" in refused.words
    assert send(Noting("a", tmp_path), code=None).end == "done"


def test_a_worker_without_the_gpu_that_is_asked_for_says_so(send, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    refused = send(Noting("a", tmp_path), device="cuda")
    assert refused.end == "refused"
    assert "no GPU" in refused.words


@pytest.mark.parametrize(("left", "end", "state"), [(60, "done", "ok"), (-60, "suspended", "pending")])
def test_no_epoch_is_begun_when_the_time_of_the_pool_is_up(send, tmp_path, left, end, state):
    """The pool is the parent of this process."""
    running_s = time.time() - psutil.Process(os.getppid()).create_time()
    job = Epochs("a", tmp_path)
    assert send(job, begin_epochs_s=running_s + left).end == end
    status = job.folder.status()
    assert status.state == state
    if end == "suspended":
        assert "after epoch 0 of 2" in status.reason


def test_a_fit_ends_between_two_epochs_and_goes_on_with_the_same_numbers(
    tmp_path, make_data, make_potential, finetuning, monkeypatch
):
    from benchmark.training.callbacks import CurveRecorder
    from benchmark.training.loop import fit
    from benchmark.training.modules.finetuning import FinetuneModule

    monkeypatch.setattr(leaving, "_begins_until", leaving._begins_until)

    def sitting(name):
        curves = CurveRecorder()
        folder = tmp_path / name
        fit(FinetuneModule(make_potential(), finetuning, 1.0), make_data(folder), finetuning, folder, "cpu",
            lambda state: None, curves)  # fmt: skip
        return [(row[0], row[3], row[4], row[5]) for row in curves.rows]

    whole = sitting("whole")
    end_epoch = CurveRecorder.on_train_epoch_end

    def time_is_up(self, trainer, module):
        end_epoch(self, trainer, module)
        if trainer.current_epoch == 1:
            begin_epochs_until(0.0)

    with monkeypatch.context() as patch:
        patch.setattr(CurveRecorder, "on_train_epoch_end", time_is_up)
        with pytest.raises(leaving.Suspended, match=f"after epoch 2 of {finetuning.epochs}"):
            sitting("cut")
    assert (tmp_path / "cut" / "last.ckpt").exists()
    begin_epochs_until(float("inf"))
    assert sitting("cut") == whole


def test_a_worker_lets_go_while_it_works_when_its_ticket_is_taken_back(tmp_path):
    """In a process of its own, which ends."""
    ticket = Tickets(tmp_path).issue("a")
    code = (
        "import pathlib, time\n"
        "from benchmark.executors import task\n"
        "from benchmark.executors.tickets import Ticket\n"
        "from tests.benchmark.executors.jobs import Noting\n"
        "task.BEAT_S = 0.05\n"
        f"place = pathlib.Path({str(tmp_path)!r})\n"
        f"beat = task._Beat(Ticket(place / '.tickets', 'a', {ticket.number!r}))\n"
        "with beat.during(Noting('a', place)):\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        deadline = time.monotonic() + 60
        while not ticket.last_beat and time.monotonic() < deadline:
            time.sleep(0.02)
        assert ticket.sign().pid == process.pid
        Tickets(tmp_path).revoke_all()
        assert process.wait(timeout=30) == 1
    finally:
        process.kill()


def test_a_worker_that_hangs_ends_itself(tmp_path, monkeypatch):
    ended = []
    ticket = Tickets(tmp_path).issue("a")
    monkeypatch.setattr(tasks, "BEAT_S", 0.01)
    monkeypatch.setattr(tasks, "HUNG_AFTER_S", 0.0)
    monkeypatch.setattr(tasks.os, "kill", lambda pid, number: ended.append(pid))
    with tasks._Beat(ticket).during(Noting("a", tmp_path)):
        deadline = time.monotonic() + 30
        while not ended and time.monotonic() < deadline:
            time.sleep(0.01)
    assert ended[0] == os.getpid()
