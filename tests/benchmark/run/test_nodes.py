"""A cell over two nodes: two commands, here on one machine, do what one process does, and learn of each other's end."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from contextlib import contextmanager

import psutil
import pytest

from benchmark.cli import main as command_line
from benchmark.errors import BenchmarkError
from benchmark.executors import local, nodes, together
from benchmark.executors.local import process_context
from benchmark.executors.together import take_part
from benchmark.planning.reading import read_suite
from benchmark.run import execute as execution
from benchmark.run.execute import prepare
from benchmark.run.follow import follow
from benchmark.run.jobs import make_jobs
from tests.benchmark.own_suite import TRAINING, entry
from tests.benchmark.runs import compare, contents, in_turn, records

pytestmark = pytest.mark.slow

WAIT_S = 120
SILENCE_S = 2.0
ALONE = {nodes.ADDRESS_VARIABLE: "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
"""The name of this machine need not be known to any resolver."""


def as_command(arguments, number, printed):
    """In a process of its own: the command line of one node, with processes that need not import anything anew."""
    os.environ |= {"NODE_RANK": str(number), **ALONE}
    sys.argv = ["nnp-bench", *map(str, arguments)]
    with printed.open("w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    local.start_server = lambda device, threads: None
    together.process_context = lambda device: multiprocessing.get_context("fork")
    execution.run_jobs = in_turn
    together.GRACE_S, nodes.BEAT_S, together.BEAT_S, nodes.SILENCE_S = 0.2, 0.05, 0.05, SILENCE_S
    command_line.main()


@pytest.fixture
def start(made, tmp_path):
    """Start the command on a node; what it prints is in the file of its name."""
    started = []

    def start(number, suite, *more):
        arguments = ["run", "--suite", suite, "--scale", "tiny", "--data-dir", made.folder.parent, "--nodes", 2]
        arguments += ["--out", tmp_path / "run", "--device", "cpu", *more]
        name = f"node {number}"
        started.append(process_context("cpu").Process(
            target=as_command, args=(arguments, number, tmp_path / name), name=name
        ))  # fmt: skip
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.join()


@pytest.fixture
def endless(own):
    """A suite of one cell that never ends."""
    return own(
        datasets={"b": entry(own.files["b"], split={"val": 0.2, "test": 0.2})},
        strategies={"scratch": {"label": "s"}},
        baselines=["scratch"],
        training={**TRAINING, "finetune": {**TRAINING["finetune"], "epochs": 10**6}},
    )


def wait_for_epoch(out):
    deadline = time.monotonic() + WAIT_S
    while not list(out.glob("cells/*/last.ckpt")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ended(*processes):
    """Exit codes of processes that end, and all that they have started with them."""
    for process in processes:
        process.join(WAIT_S)
    return [process.exitcode for process in processes]


def test_two_nodes_do_what_one_does_and_one_of_them_writes(made, start, tmp_path):
    out = tmp_path / "run"
    chosen = ("--select", "strategy=masked")
    follower = start(1, made.suite, *chosen)  # it is there first, and waits
    leader = start(0, made.suite, *chosen)
    assert ended(leader, follower) == [0, 0], (tmp_path / "node 0").read_text() + (tmp_path / "node 1").read_text()
    rows = compare(out, made.folder)
    assert set(rows["computed"]) == {"eager, 2 devices"}
    for path in out.glob("*/*/provenance.json"):
        assert json.loads(path.read_text())["hardware"]["devices"] == 2
    assert not list(out.glob("*/*/.processes"))
    assert not (out / nodes.FILE).exists()
    logs = [path.read_text().count(" begins\n") for path in out.glob("*/*/log.txt")]
    assert logs == [1, 1], "a log for each job, in which one process speaks"
    assert "node 1 (" in (tmp_path / "node 0").read_text()
    said = (tmp_path / "node 1").read_text()
    assert said.count("\nits part of ") == 2
    assert "node 0 has finished the run" in said


def test_a_node_that_is_killed_is_named_in_the_cell_and_ends_the_run(start, endless, tmp_path):
    leader, follower = start(0, endless), start(1, endless)
    wait_for_epoch(tmp_path / "run")
    follower.kill()
    assert ended(leader) == [2]
    (row,) = records(tmp_path / "run").to_dict("records")
    assert row["status"] == "failed"
    assert row["reason"].startswith("node 1 (")
    assert "gave no sign of life for 2 s" in row["reason"]
    assert "The same command, on all nodes again, resumes" in (tmp_path / "node 0").read_text()


def test_a_process_that_dies_on_another_node_ends_the_cell_in_words_and_no_command(start, endless, tmp_path):
    leader, follower = start(0, endless), start(1, endless)
    wait_for_epoch(tmp_path / "run")
    (member,) = psutil.Process(follower.pid).children()
    member.kill()
    assert ended(leader, follower) == [1, 0]
    (row,) = records(tmp_path / "run").to_dict("records")
    assert row["status"] == "failed"
    assert row["reason"].startswith("on node 1 (")
    assert "its process 2 of 2 ended with exit code -9" in row["reason"]


def test_without_node_0_the_others_end_with_a_word_and_so_do_their_processes(start, endless, tmp_path):
    leader, follower = start(0, endless), start(1, endless)
    wait_for_epoch(tmp_path / "run")
    members = psutil.Process(follower.pid).children()
    before = contents(tmp_path / "run")
    os.kill(leader.pid, signal.SIGKILL)
    assert ended(leader, follower) == [-signal.SIGKILL, 1]
    assert "node 0 is gone" in (tmp_path / "node 1").read_text()
    assert len(members) == 1
    assert not members[0].is_running()
    assert contents(tmp_path / "run").keys() == before.keys(), "it has written nothing"


def test_what_does_not_go_with_nodes_is_refused(made, tmp_path):
    with pytest.raises(BenchmarkError, match=r"--nodes 2 --devices 3: a batch is divided .* batches of 4 frames"):
        made.run(tmp_path / "run", nodes=2, devices=3)
    with pytest.raises(BenchmarkError, match="--compile always --nodes 2 --devices 1: steps are compiled on one"):
        made.run(tmp_path / "run", nodes=2, compile_steps="always")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "variables", "fragments"),
    [
        ([], {}, ["nothing says which of them this is", "NODE_RANK", "SLURM_NODEID"]),
        ([], {"NODE_RANK": "2"}, ["NODE_RANK", "from 0 to 1", "'2'"]),
        ([], {"SLURM_NODEID": "one"}, ["SLURM_NODEID", "'one'"]),
        (["--jobs", "2"], {"NODE_RANK": "1"}, ["--nodes 2 --jobs 2", "leave out --jobs"]),
        (["--executor", "x.py"], {"NODE_RANK": "1"}, ["--nodes", "--executor", "give one"]),
        (["--nodes", "0"], {}, ["--nodes 0: at least 1"]),
    ],
)
def test_a_node_without_a_number_and_other_mistakes_are_refused(refuse, monkeypatch, arguments, variables, fragments):
    for name in ("NODE_RANK", "SLURM_NODEID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    refuse("run", "--suite", "water", "--nodes", "2", *arguments, fragments=fragments)


@pytest.fixture
def planned(made, tmp_path):
    """The run as node 1 plans it."""
    suite = read_suite(str(made.suite), "tiny")
    return prepare(suite, made.folder.parent, out=tmp_path / "run", device="cpu", nodes=2, node=1)


class Heard:
    """A line on which node 0 has begun a job."""

    node, lost, meeting = 1, False, nodes.Meeting(host="n0", port=1, token="t")

    def __init__(self, key):
        self.said = nodes.Said(nodes.Announced(number=1, key=key, files={}))
        self.answers = []

    def answer(self, number, answer):
        self.answers.append((number, answer.state, answer.reason))


def test_a_job_that_is_not_planned_here_ends_the_command_in_words(planned, monkeypatch):
    line = Heard("0" * 12)
    monkeypatch.setattr("benchmark.run.follow.join", contextmanager(lambda *given: iter([line])))
    why = follow(planned, lambda line: None)
    assert "node 1 does not know the job 000000000000 that node 0 has begun" in why
    assert line.answers == [(1, "failed", why)]


def test_a_run_folder_that_nodes_do_not_share_is_told_before_a_process_is_started(planned, monkeypatch, tmp_path):
    monkeypatch.setattr(together, "SEEN_AFTER_S", 0.0)
    job = make_jobs(planned.cells, planned.settings)[0]
    checkpoint = job.folder.checkpoint("last").relative_to(tmp_path / "run")
    line = Heard(job.key)
    for content in (None, b"part"):  # not there, and not all of it
        if content is not None:
            job.folder.path.mkdir(parents=True)
            job.folder.checkpoint("last").write_bytes(content)
        take_part(job, {str(checkpoint): 9}, line, 1)
    assert [state for _, state, _ in line.answers] == ["failed", "failed"]
    assert all(f"does not see {tmp_path / 'run' / checkpoint} as node 0 does" in why for _, _, why in line.answers)
