"""The report of a run that is under way."""

from __future__ import annotations

import sys

from benchmark.run.watching import live_report
from benchmark.run.watching.live_report import FIRST_AFTER_S, LARGEST_SHARE, LiveReport


class Clock:
    """Time that only the test moves, and processes that end when it says so."""

    def __init__(self, monkeypatch):
        self.now, self.started = 100.0, []
        monkeypatch.setattr(live_report.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(live_report.subprocess, "Popen", self.start)

    def start(self, command, **_):
        clock = self

        class Process:
            ends_at = None
            terminated = False

            def poll(self):
                return 0 if self.ends_at is not None and clock.now >= self.ends_at else None

            def terminate(self):
                self.terminated = True

            def wait(self):
                return 0

        self.started.append((command, Process()))
        return self.started[-1][1]


def test_a_live_report_is_made_when_cells_end_but_never_takes_much_of_the_time(monkeypatch, tmp_path):
    clock = Clock(monkeypatch)
    with LiveReport(tmp_path) as live:
        live.update(cell_ended=False)
        assert not clock.started, "nothing has changed"
        live.update(cell_ended=True)
        assert not clock.started, "a run that has just begun may end before its report"
        clock.now += FIRST_AFTER_S
        live.update(cell_ended=False)
        command, process = clock.started[0]
        assert command[-6:] == [sys.executable, "-P", "-m", "benchmark", "report", str(tmp_path)]
        clock.now += 4
        live.update(cell_ended=True)
        assert len(clock.started) == 1, "one at a time"
        process.ends_at = clock.now
        live.update(cell_ended=False)
        clock.now += 4 / LARGEST_SHARE - 1
        live.update(cell_ended=False)
        assert len(clock.started) == 1, "not before the pause is over"
        clock.now += 1
        live.update(cell_ended=False)
        assert len(clock.started) == 2, "the cell that ended meanwhile is reported"
    assert clock.started[1][1].terminated
