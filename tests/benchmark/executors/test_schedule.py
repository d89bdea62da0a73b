"""Which job is given to a pool, and which is taken back."""

from __future__ import annotations

from benchmark.executors.schedule import run_all
from tests.benchmark.executors.jobs import Noting


class Queue:
    """A pool of two places, in which each job begins at a time of its own and ends a moment later."""

    def __init__(self, begins):
        self.begins = begins
        self.now = 0
        self.taken = []
        self.given = []
        self.back = []

    @property
    def running(self):
        return [job for job in self.taken if self.begins[job.key] <= self.now]

    @property
    def has_room(self):
        return len(self.taken) < 2

    def take(self, job):
        self.taken.append(job)
        self.given.append(job.key)

    def withdraw(self, job):
        self.taken.remove(job)
        self.back.append(job.key)

    def wait(self):
        ended = self.running
        self.now += 1
        self.taken = [job for job in self.taken if job not in ended]
        return ended


def test_jobs_are_given_in_order_for_as_many_places_as_there_are(tmp_path):
    queue, ended = Queue({"a": 3, "b": 0, "c": 0, "d": 5}), []
    jobs = [Noting(key, tmp_path) for key in "abcd"]
    run_all(jobs, queue, lambda running, job: ended.append(job.key) if job else None, lambda job, running: True)
    assert queue.given == ["a", "b", "c", "d"]
    assert ended == ["b", "c", "a", "d"]


def test_no_function_is_compiled_twice_at_a_time_where_another_job_of_the_seed_can_go_first(tmp_path):
    queue = Queue({"a": 2, "b": 5, "c": 0, "d": 1, "e": 6})
    functions = {"a": "egnn", "b": "egnn", "c": "gns", "d": "gns", "e": None}
    jobs = [Noting(key, tmp_path, seed=int(key == "e"), to_compile=name) for key, name in functions.items()]
    run_all(jobs, queue, lambda running, job: None, lambda job, running: True)
    # b would compile what a does: c and d go first. Then b goes beside a, rather than let e of the next seed overtake.
    assert queue.given == ["a", "c", "d", "b", "e"]


def test_what_waits_for_a_place_is_taken_back_when_it_may_not_start_any_more_and_left_with_what_needs_it(tmp_path):
    queue = Queue({"a": 0, "pretraining": 100, "cell": 0})
    jobs = [Noting("a", tmp_path), Noting("pretraining", tmp_path), Noting("cell", tmp_path, needs="pretraining")]
    run_all(jobs, queue, lambda running, job: None, lambda job, running: queue.now < 4)
    assert queue.given == ["a", "pretraining"]
    assert queue.back == ["pretraining"]
    assert queue.now == 4
    assert not list(tmp_path.iterdir()), "nothing is recorded of what was not begun"
