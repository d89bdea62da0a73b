"""How nodes meet by the run folder, and what each is told: in threads of one process, which all find it at once."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import pytest
import torch.distributed as dist

from benchmark.errors import BenchmarkError
from benchmark.executors import nodes
from benchmark.executors.nodes import Answer, Hello, Lead, Line, Meeting, gather, join
from reports.records.atomic import write_json

SAME = {"code": "abc", "devices": "1"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Node 0 is here, and nobody waits for long."""
    monkeypatch.setenv(nodes.ADDRESS_VARIABLE, "127.0.0.1")
    for name, seconds in (("MEET_S", 0.5), ("BEAT_S", 0.02), ("SILENCE_S", 0.3), ("ANSWER_S", 0.5)):
        monkeypatch.setattr(nodes, name, seconds)


@contextmanager
def follower(run, node=1, same=SAME):
    """A node that is there until told otherwise; yields what it has learnt."""
    learnt, over = {}, threading.Event()

    def stay():
        try:
            with join(run, node, same, lambda line: None) as line:
                learnt["line"] = line
                while line.said.end == "none" and not line.lost and not over.wait(0.01):
                    pass
        except BenchmarkError as error:
            learnt["refused"] = str(error)

    thread = threading.Thread(target=stay)
    thread.start()
    try:
        yield learnt
    finally:
        over.set()
        thread.join()


def line_of(learnt):
    """The follower's line, which node 0 may know of before the follower itself does."""
    wait_until(lambda: "line" in learnt)
    return learnt["line"]


def nothing(line):
    """Tell nobody."""


def test_nodes_meet_and_part(tmp_path):
    told = []
    with follower(tmp_path) as learnt:
        with gather(tmp_path, 2, SAME, told.append) as host:
            assert host.look()
            host.check()
            lead = Lead(host.meeting, 2, "0123456789ab", {"audit.json": 3})
            line = line_of(learnt)
            wait_until(lambda: line.said.job is not None)
            assert (line.said.job.number, line.said.job.key, line.said.job.files) == (
                1,
                "0123456789ab",
                {"audit.json": 3},
            )
            assert lead.ask() == []
            line.answer(1, Answer(state="diverged", reason="loss"))
            lead.end()
            assert (lead.waiting, lead.lost) == (set(), None)
            wait_until(lambda: line.said.over == 1)
            assert Lead(host.meeting, 2, "ba9876543210", {}).number == 2
        wait_until(lambda: line.said.end == "finished")
    assert told[0].startswith("this is node 0 of 2")
    assert told[1].startswith("node 1 (")
    assert not list(tmp_path.iterdir())


def wait_until(there):
    for _ in range(500):
        if there():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never was")


def test_an_address_of_an_earlier_run_is_not_believed(tmp_path):
    """Neither one where nobody listens any more, nor one where another store does, nor one that cannot be read."""
    other = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    other.set("token", "another")
    gone = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    port = gone.port
    del gone
    for content in (
        {"host": "127.0.0.1", "port": other.port, "token": "t"},
        {"host": "127.0.0.1", "port": port, "token": "t"},
        {"port": "x"},
    ):
        write_json(tmp_path / nodes.FILE, content)
        with pytest.raises(BenchmarkError, match="node 0 was not found"), join(tmp_path, 1, SAME, nothing):
            pass
    # The next run's takes its place, and is.
    with follower(tmp_path) as learnt, gather(tmp_path, 2, SAME, nothing):
        assert line_of(learnt).said.end == "none"


def test_what_listens_there_and_never_answers_is_left_alone(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        meeting = Meeting(host="127.0.0.1", port=deaf.getsockname()[1], token="t")
        write_json(tmp_path / nodes.FILE, meeting.model_dump())
        with (
            pytest.raises(BenchmarkError, match=r"node 0 was not found .*127\.0\.0\.1 does not answer"),
            join(tmp_path, 1, SAME, nothing),
        ):
            pass


def test_a_node_that_does_not_come_or_was_started_otherwise_is_named(tmp_path):
    with (
        pytest.raises(BenchmarkError, match="node 1 and node 2 of 3 did not answer"),
        gather(tmp_path, 3, SAME, nothing),
    ):
        pass
    assert not list(tmp_path.iterdir())
    with follower(tmp_path, same={**SAME, "devices": "4"}) as learnt:
        with (
            pytest.raises(BenchmarkError, match=r"node 1 \(.* is not at the same work: devices 4 there, 1 here"),
            gather(tmp_path, 2, SAME, nothing),
        ):
            pass
        wait_until(lambda: line_of(learnt).said.end == "failed")


def test_a_number_is_given_once(tmp_path):
    with (
        follower(tmp_path),
        gather(tmp_path, 2, SAME, nothing),
        pytest.raises(BenchmarkError, match="there is a node 1 already"),
        join(tmp_path, 1, SAME, nothing),
    ):
        pass


def test_a_node_that_leaves_is_lost(tmp_path):
    with follower(tmp_path) as learnt, gather(tmp_path, 2, SAME, nothing) as host:
        line_of(learnt).close()
        with pytest.raises(BenchmarkError, match=r"the command on node 1 \(.* has ended"):
            host.check()


def test_a_node_that_falls_silent_is_lost_and_its_part_of_a_job_with_it(tmp_path):
    with gather_with_silent(tmp_path) as host:
        lead = Lead(host.meeting, 2, "0123456789ab", {})
        lead.end()
        assert lead.lost.state == "failed"
        assert lead.lost.reason.startswith("node 1 (n1) gave no sign of life")
        wait_until(lambda: not host.look())
        with pytest.raises(BenchmarkError, match=r"node 1 \(n1\) gave no sign of life"):
            host.check()


@contextmanager
def gather_with_silent(run):
    """The other node is stopped as soon as it has introduced itself."""

    def call():
        wait_until(lambda: (run / nodes.FILE).exists())
        meeting = nodes._read(run / nodes.FILE)
        store = meeting.connect(1)
        store.add("joined 1", 1)
        store.set("hello 1", Hello(host="n1", same=SAME).model_dump_json())

    thread = threading.Thread(target=call)
    thread.start()
    with gather(run, 2, SAME, nothing) as host:
        yield host
    thread.join()


def test_node_0_is_lost_with_its_store(tmp_path):
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    for key, value in {"token": "t", "job": "null", "over": "0", "end": "none"}.items():
        store.set(key, value)
    line = Line(Meeting(host="127.0.0.1", port=store.port, token="t"), 1, Hello(host="n1", same=SAME))
    assert line.opens()
    assert not line.lost
    del store
    wait_until(lambda: line.lost)
    line.close()
