"""The harness: alternation, ratios, tables, and the arithmetic of the extrapolation."""

from __future__ import annotations

import sys

import pytest
import torch
import typer

from performance import ours, processes, table
from performance.__main__ import ROWS, chosen
from performance.plain.step import finetuning_step
from performance.plain.weights import plain_of
from performance.processes import run
from performance.rows import Finding, Settings, of_pairs
from performance.suites import Share, days
from performance.timing import Pairs, alternate, medians

MACHINE = {
    "hardware": {
        "processor": "made up", "cores": 2, "memory_gb": 24.0, "system": "Linux", "accelerator": None, "threads": 1,
    },
    "versions": {"torch": "2"},
    "git_commit": None,
}  # fmt: skip


def test_sides_take_turns_after_a_warm_up():
    calls = []
    pairs = alternate(lambda: calls.append("A"), lambda: calls.append("B"), budget_s=0, warm_up=1, fewest=3)
    assert calls == ["A", "B"] * 4
    assert len(pairs.ours) == len(pairs.other) == 3
    calls.clear()
    assert len(medians([lambda: calls.append("A"), lambda: calls.append("B")], budget_s=0, warm_up=0)) == 2
    assert calls == ["A", "B"] * 3


def test_ratios_of_medians_and_quartiles_of_pairs():
    pairs = Pairs((1.0, 2.0, 4.0), (3.0, 8.0, 8.0))
    assert pairs.ratio == 4.0  # 8 / 2
    assert pairs.quartiles == (2.5, 3.5)  # of 3, 4, 2


@pytest.mark.parametrize(
    ("wanted", "sense", "met"), [(2, "at least", True), (2, "at most", False), (None, "at most", None)]
)
def test_a_target_is_met_on_its_side(wanted, sense, met):
    assert Finding("row", "what", "other", 3.0, "×", wanted, sense).met is met


def test_findings_survive_the_file_and_become_markdown(tmp_path):
    findings = [of_pairs("egnn", "a step", "a plain one", Pairs((1.0,), (2.6,)), 2.5), Finding("x", "y", "–", 1.0, "s")]
    table.write(tmp_path / "deep" / "r.json", findings, MACHINE)
    back, machine = table.read(tmp_path / "deep" / "r.json")
    assert back == findings
    text = table.markdown(back, machine)
    assert "| egnn | a step | a plain one | ≥ 2.5 × | 2.6 × | 2.6 to 2.6 | met |" in text
    assert "made up, 2 cores" in text


def test_rows_are_chosen_by_name_and_long_ones_only_so():
    assert all(not row.long for row in chosen(""))
    assert [row.name for row in chosen("water, egnn")] == ["water", "egnn"]
    assert len({row.name for row in ROWS}) == len(ROWS)
    with pytest.raises(typer.BadParameter, match="no rows nothing"):
        chosen("nothing")


def test_the_extrapolation_is_steps_times_seconds_over_workers():
    shares = [Share("egnn", 86400, 2.0), Share("gns", 43200, 4.0)]
    assert days(shares, 1) == 4.0
    assert days(shares, 8) == 0.5


@pytest.mark.parametrize("kind", ["egnn", "gns", "forcenet"])
def test_both_sides_of_a_row_make_the_same_steps(kind):
    """Losses of a few steps from equal weights: that both compute, differentiate and update alike."""
    potential = ours.network(kind, "cpu", hidden=8, layers=2, cutoff_A=3.0)
    batch = ours.collate(potential, ours.water(8, 2), "cpu")
    other = finetuning_step(plain_of(kind, potential, potential.config), batch)
    step = ours.finetuning_step(potential, lambda: batch)
    losses = torch.tensor([[step(), other()] for _ in range(4)])
    torch.testing.assert_close(losses[:, 0], losses[:, 1], rtol=1e-4, atol=1e-5)
    assert losses[3, 0] < losses[0, 0]


def test_the_peak_of_a_command_is_its_own():
    """Linux hands the peak of a process on to what it starts; this one has torch in its memory, and more here."""
    ballast = bytearray(300_000_000)
    ballast[:: 1 << 12] = b"x" * len(ballast[:: 1 << 12])
    small = run([sys.executable, "-I", "-S", "-c", "pass"])
    large = run([sys.executable, "-I", "-S", "-c", "b'x' * 200_000_000"])
    del ballast
    assert (small.code, large.code) == (0, 0)
    assert small.peak_mb < 50
    assert 200 < large.peak_mb < 300
    assert small.cpu_s < 5
    assert run([sys.executable, "-c", "raise SystemExit(7)"]).code == 7


def test_two_versions_are_compared_on_one_file_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("NNP_BENCH_EARLIER", str(tmp_path))
    with pytest.raises(RuntimeError, match="name a file"):
        processes._water(Settings())
    took = {"now": iter([10.0, 6.0]), "earlier": iter([20.0, 8.0])}
    suite = tmp_path / "own.yaml"
    suite.write_text("")
    monkeypatch.setenv("NNP_BENCH_SUITE", str(suite))
    monkeypatch.setattr(processes, "_whole", lambda suite, root, folder: next(took[folder.name]))
    assert [finding.value for finding in processes._water(Settings())] == [0.5, 0.75]
