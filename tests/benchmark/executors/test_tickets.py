"""Who may work at a job is told by the run folder alone."""

from __future__ import annotations

from benchmark.executors import tickets
from benchmark.executors.tickets import Sign, Tickets


def test_only_the_last_ticket_of_a_job_counts_and_each_has_signs_of_its_own(tmp_path):
    desk = Tickets(tmp_path)
    first, other = desk.issue("a"), desk.issue("b")
    assert first.valid
    assert first.appears()
    assert (first.last_beat, first.sign()) == (0, None)
    first.beat(Sign(host="n1", pid=1, peak_memory_mb=5))
    second = desk.issue("a")
    assert not first.valid
    assert second.valid
    assert second.last_beat == 0
    assert first.sign() == Sign(host="n1", pid=1, peak_memory_mb=5)
    second.revoke()
    assert not second.valid
    assert other.valid


def test_taking_all_back_says_whether_somebody_may_still_be_at_work(tmp_path, monkeypatch):
    monkeypatch.setattr(tickets, "SEEN_AFTER_S", 0.0)
    desk = Tickets(tmp_path)
    assert not desk.revoke_all()
    ticket = desk.issue("a")
    assert desk.revoke_all()
    assert not desk.revoke_all()
    assert not ticket.valid
    assert not ticket.appears()
    assert not desk.folder.exists()


def test_a_file_system_that_does_not_answer_is_no_reason_to_let_go(tmp_path):
    ticket = Tickets(tmp_path).issue("a")
    ticket._path.unlink()
    ticket._path.mkdir()  # reading it is another error than that it is missing
    assert ticket.valid
