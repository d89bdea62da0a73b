"""Reports of several runs, of two side by side, and of a run under way."""

from __future__ import annotations

import shutil
import sys

import pandas as pd
import pytest

from benchmark.run import live_report
from benchmark.run.live_report import FIRST_AFTER_S, LARGEST_SHARE, LiveReport
from tests.benchmark.runs import command


def test_a_finished_run_has_details_of_each_cell_and_they_agree_with_its_record(smoke):
    """Errors by element, over all elements, are the record's error; so is that of the predictions, all of them here."""
    cells = list(smoke[0].glob("cells/*/record.parquet"))
    assert len(cells) == 4
    for path in cells:
        record = pd.read_parquet(path).set_index(["split", "checkpoint"]).loc[("test", "best")]
        elements = pd.read_parquet(path.with_name("elements.parquet"))
        assert set(elements["cell_key"]) == {path.parent.name}
        test = elements[(elements["split"] == "test") & (elements["checkpoint"] == "best")]
        assert sorted(test["element"]) == [1, 8]
        assert test["n_atoms"].sum() == record["n_atoms"]
        squares = (test["n_atoms"] * test["force_rmse_mev_per_A"] ** 2).sum() / test["n_atoms"].sum()
        assert squares**0.5 == pytest.approx(record["force_rmse_mev_per_A"])
        predictions = pd.read_parquet(path.with_name("predictions.parquet"))
        energies = predictions[predictions["quantity"] == "energy"]
        errors = (energies["predicted"] - energies["reference"]).to_numpy(float)
        assert (errors**2).mean() ** 0.5 == pytest.approx(record["energy_rmse_mev_per_atom"])
        assert len(energies) == record["n_frames"]


def test_several_runs_make_one_report_and_two_are_compared(smoke, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(smoke[0], copy)
    done = command("report", smoke[0], copy, "--out", tmp_path / "both")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "both" / "index.html").is_file()
    assert len(pd.read_parquet(tmp_path / "both" / "records.parquet")) == 4 * 6
    done = command("report", "--compare", smoke[0], copy)
    assert done.returncode == 0, done.stderr
    assert (copy / "comparison" / "index.html").is_file()


@pytest.mark.parametrize("arguments", [(), ("a", "--compare", "a", "b")])
def test_a_report_is_of_runs_or_a_comparison(refuse, arguments):
    refuse("report", *arguments, fragments=["report takes run folders, or --compare"])


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
        assert command[-5:] == [sys.executable, "-m", "benchmark", "report", str(tmp_path)]
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
