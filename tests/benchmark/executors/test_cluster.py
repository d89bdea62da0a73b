"""What becomes of a job that was handed over, whatever Parsl says of it; here a stand-in says it at once."""

from __future__ import annotations

import pickle
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from parsl.executors.errors import BadStateException
from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

from benchmark.errors import BenchmarkError
from benchmark.executors import cluster
from benchmark.executors.cluster import Cluster
from benchmark.executors.schedule import run_all
from benchmark.executors.task import Answer
from benchmark.executors.tickets import SETTLE_S, Sign, Tickets
from reports.records.folder import RunFolder
from tests.benchmark.executors.jobs import Noting

NODE = ManagerLost(b"m", "n1")
WORKER = WorkerLost(0, "n1")
NO_TIME = Answer("suspended", "the time of its node was up")


class Parsl:
    """Plays a script for each job: what comes back each time that it is handed over."""

    def __init__(self, **scripts):
        self.scripts = {key: list(script) for key, script in scripts.items()}
        self.tasks = []
        self.alive = True
        self.ended = False
        self.run_dir = "logs"
        self.cancelled = []

    def cleanup(self):
        self.ended = True

    def poll(self):
        return None if self.alive else 1

    def app(self, perform, data_flow_kernel):
        assert data_flow_kernel is self
        return self.submit

    def submit(self, task):
        """An `epoch` is finished before what follows it in the script comes back."""
        self.tasks.append(task)
        job, future = pickle.loads(task.job), Future()
        task.ticket.beat(Sign(host="n1", pid=1, peak_memory_mb=700.0))
        says = self.scripts[job.key].pop(0)
        if says == "epoch":
            job.folder.path.mkdir(parents=True, exist_ok=True)
            job.folder.checkpoint("last").write_text(str(len(self.tasks)))
            says = self.scripts[job.key].pop(0)
        if says == "ok":
            job.run()
            says = Answer("done")
        if isinstance(says, Exception):
            future.set_exception(says)
        elif says is not None:
            future.set_result(says)
        return future


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run jobs by script; returns what was told."""
    told = []

    def start(parsl, retries=0, most=None, on_change=lambda running, job: None):
        executor = SimpleNamespace(
            interchange_proc=parsl, bad_state_is_set=False, logdir="logs", blocks_to_job_id={"0": "77", "1": "78"},
            status_facade={"0": SimpleNamespace(terminal=True), "1": SimpleNamespace(terminal=False)},
        )  # fmt: skip
        configuration = SimpleNamespace(
            path="there.py", config=SimpleNamespace(run_dir="logs"), executor=executor, slots=4, begin_epochs_s=None,
            retries=retries, adapt=lambda run: None, provider=SimpleNamespace(cancel=parsl.cancelled.extend),
        )  # fmt: skip
        monkeypatch.setattr(cluster, "DataFlowKernel", lambda config: parsl)
        monkeypatch.setattr(cluster, "python_app", parsl.app)
        jobs = [Noting(key, tmp_path / "cells") for key in parsl.scripts]
        with Cluster(configuration, RunFolder(tmp_path), most, False, told.append) as pool:
            run_all(jobs, pool, on_change, lambda job, running: True)
        assert parsl.ended
        assert not Tickets(tmp_path).folder.exists()
        return [job.folder.status() for job in jobs], told

    tmp_path.mkdir(exist_ok=True)
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.01)
    return start


def test_what_is_lost_is_handed_over_again_as_often_as_the_configuration_says(run):
    parsl = Parsl(a=[WORKER, NODE, "ok"], b=["ok"])
    statuses, told = run(parsl, retries=2)
    assert [status.state for status in statuses] == ["ok", "ok"]
    assert len([line for line in told if "handed over again" in line]) == 2
    waits = [task.settle_s for task in parsl.tasks if task.ticket.key == "a"]
    assert waits == [0.0, 0.0, SETTLE_S], "a dead worker does not write, one that is not heard of may"
    assert len({task.ticket.number for task in parsl.tasks}) == 4


def test_one_that_gets_nowhere_is_recorded_as_failed_with_what_is_known(run):
    (status,), _ = run(Parsl(a=[WORKER, WORKER, WORKER]), retries=2)
    assert status.state == "failed"
    for fragment in ("worker on n1", "3 times in a row", "700 MB", "drain_period", "log.txt"):
        assert fragment in status.reason
    (status,), _ = run(Parsl(b=[NODE]))
    assert "times" not in status.reason


def test_one_that_gets_on_is_handed_over_again_without_end(run):
    (status,), _ = run(Parsl(a=["epoch", WORKER, "epoch", WORKER, "epoch", NODE, "ok"]), retries=1)
    assert status.state == "ok"


def test_lack_of_time_is_no_loss_unless_no_epoch_is_ever_finished(run):
    script = ["epoch", NO_TIME, NO_TIME] * 4
    (status,), told = run(Parsl(a=[*script, "ok"]))
    assert status.state == "ok"
    assert told.count("a: the time of its node was up") == 8
    (status,), _ = run(Parsl(b=[NO_TIME] * 4))
    assert status.state == "failed"
    assert "raise walltime" in status.reason


def test_a_worker_of_which_nothing_is_heard_any_more_is_given_up(run, monkeypatch):
    monkeypatch.setattr(cluster, "HUNG_AFTER_S", 0.0)
    (status,), told = run(Parsl(a=[None, "ok"]), retries=1)
    assert status.state == "ok"
    assert any("no sign of life" in line for line in told)


def test_a_result_that_the_file_system_does_not_show_is_no_result(run, monkeypatch):
    monkeypatch.setattr(cluster, "SEEN_AFTER_S", 0.0)
    (status,), _ = run(Parsl(a=[Answer("done")]))
    assert status.state == "failed"
    assert "left no result" in status.reason


@pytest.mark.parametrize(
    ("says", "fragments"),
    [
        (Answer("refused", "a worker on n1 has other code"), ["other code"]),
        (Answer("withdrawn", "n1"), ["worker on n1 does not see", "--out"]),
        (ImportError("No module named 'benchmark'"), ["could not run a job: ImportError", "same version", "there.py"]),
        (BadStateException(SimpleNamespace(label="x"), RuntimeError("sbatch:\n  no such partition")), ["no such part"]),
    ],
)
def test_what_would_befall_every_job_ends_the_run_and_no_job(run, tmp_path, says, fragments):
    parsl = Parsl(a=["ok"], b=[says])
    with pytest.raises(BenchmarkError) as ended:
        run(parsl)
    for fragment in fragments:
        assert fragment in str(ended.value)
    assert parsl.ended
    assert Noting("b", tmp_path / "cells").folder.status().state == "pending"


def test_the_end_of_parsls_own_process_ends_the_run_and_cancels_what_it_asked_for(run):
    parsl = Parsl(a=[None])
    parsl.alive = False
    with pytest.raises(BenchmarkError, match="interchange"):
        run(parsl)
    assert parsl.cancelled == ["78"], "the other block has ended before"


def test_another_command_in_the_folder_ends_this_one(run, tmp_path):
    def take_over(running, job):
        Tickets(tmp_path).revoke_all()

    with pytest.raises(BenchmarkError, match="another command has taken over"):
        run(Parsl(a=[None], b=[None]), on_change=take_over)


def test_an_interrupt_takes_everything_back(run, tmp_path):
    def interrupt(running, job):
        raise KeyboardInterrupt

    parsl = Parsl(a=[None], b=["ok"])
    with pytest.raises(KeyboardInterrupt):
        run(parsl, on_change=interrupt)
    assert parsl.ended
    assert not Tickets(tmp_path).folder.exists()


def test_no_more_jobs_are_handed_over_than_are_wanted_at_a_time(run):
    parsl, seen = Parsl(**{key: ["ok"] for key in "abcde"}), []
    statuses, _ = run(parsl, most=2, on_change=lambda running, job: seen.append(len(parsl.tasks)))
    assert {status.state for status in statuses} == {"ok"}
    assert sorted({*seen}) == [2, 4, 5]
