"""Progress fits 80 columns, and the time left is learned from the networks' own pace."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmark.cell.job import Job
from benchmark.planning.cells import Work
from benchmark.planning.config import Entry, Phase
from benchmark.run.length.pace import Pace
from benchmark.run.watching.progress import Display
from reports.records.status import Status

LONG = "a-dataset-with-a-long-name/equivariant-transformer/scratch-extended/seed 3"


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def job(key, model="egnn", epochs=10, phase="finetune", name="", status=None, cells=1):
    """What a display and a pace ask of a job."""

    class Made(Work):
        @property
        def trains_on(self):
            return ()

    schedule = Phase(epochs=epochs, lr=1e-3, lr_min=1e-4)
    work = Made(model=Entry(kind=model), batch_size=4, eval_batch_size=4, seed=0, phase=schedule)
    folder = SimpleNamespace(status=lambda: status or Status(state="running"))
    made = SimpleNamespace(key=key, work=work, phase=phase, epochs=epochs, cells=cells, name=name or key, folder=folder)
    made.pace_group = Job.pace_group.fget(made)
    return made


def test_networks_are_weighed_by_their_own_pace():
    """One network takes a second an epoch, another a hundred: epochs alone would say 55 seconds for the last."""
    clock = Clock()
    jobs = [job("fast1"), job("slow1", "gns"), job("fast2"), job("slow2", "gns")]
    pace = Pace(jobs, clock)
    assert pace.seconds_left({}, 1) is None
    for done, seconds in ((jobs[0], 10), (jobs[1], 1000)):
        pace.begin(done, 0.0)
        clock.now += seconds
        pace.end(done)
    assert pace.seconds_left({}, 1) == pytest.approx(10 + 1000)
    pace.begin(jobs[3], 0.0)
    assert pace.seconds_left({"slow2": 0.0}, 2) == pytest.approx(1000), "two at a time, and one lasts longer"


def test_a_running_fit_and_a_resumed_one_tell_their_pace():
    clock = Clock()
    pace = Pace([job("a", epochs=100), job("b", epochs=100)], clock)
    pace.begin(job("a"), 0.5)  # resumed in the middle
    clock.now = 20.0
    assert pace.seconds_left({"a": 0.52}, 1) is None, "too early to tell"
    assert pace.seconds_left({"a": 0.7}, 1) == pytest.approx((0.3 + 1) * 100)


def test_what_has_not_run_takes_the_pace_of_the_same_network():
    clock = Clock()
    pace = Pace([job("a", "egnn"), job("b", "gns"), job("c", "egnn", phase="pretrain")], clock)
    for key, model, seconds in (("a", "egnn", 10), ("b", "gns", 500)):
        pace.begin(job(key, model), 0.0)
        clock.now += seconds
        pace.end(job(key, model))
    assert pace.seconds_left({}, 1) == pytest.approx(10)


@pytest.mark.parametrize("width", [80, 60, 160])
def test_the_overall_line_is_first_and_whole_at_any_width(width):
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=width, color_system=None)
    status = Status(
        state="running", phase="finetune", epoch=7, epochs=20, fraction=0.35, loss=0.123, seconds_left=8130.0,
        force_rmse_mev_per_A=123.4,
    )  # fmt: skip
    with Display(console) as display:
        with display.preparing("a-dataset-with-a-long-name") as show:
            show("molecules of 7241 structures, which takes a while", 0.4)
        running = [job(key, name=LONG, status=status, epochs=20) for key in ("one", "two")]
        display.begin_jobs(running, total_cells=36)
        display.update(running, None)
        plain = Console(file=io.StringIO(), width=width)
        plain.print(display._progress.get_renderable())
    lines = [line.rstrip() for line in plain.file.getvalue().splitlines()]
    assert len(lines) == 3, "a dataset that is ready leaves no row"
    assert all(len(line) <= width for line in lines)
    assert "cells 34/36" in lines[0]
    assert "35 %" in lines[0]
    for line in lines[1:]:
        assert "35 %" in line
        assert "2:15:30 left" in line
        assert "a-dataset-with" in line


def test_lines_of_a_log_have_no_time_left_before_it_is_known(monkeypatch):
    output = io.StringIO()
    monkeypatch.setattr("benchmark.run.watching.progress.LOG_EVERY_SECONDS", 0.0)
    with Display(Console(file=output, width=160)) as display:
        running = [job("one", name=LONG)]
        display.begin_jobs(running, total_cells=1)
        display.update(running, None)
    assert f"cells 0/1, 0 %\n  {LONG}: running" in output.getvalue()
