"""What has to be typed is whole in every table, and what is told of a plan is in people's units."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmark.cli import main as cli
from benchmark.cli.dry_run import cost, in_words
from benchmark.cli.options import table
from benchmark.planning.suite_files import available_suites
from benchmark.run.length.estimate import Estimate


def shown(console_width, what):
    console = Console(file=io.StringIO(), width=console_width)
    console.print(what)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_names_of_suites_are_whole_in_a_terminal(monkeypatch, width):
    console = Console(file=io.StringIO(), width=width)
    monkeypatch.setattr(cli, "console", console)
    cli.list_suites()
    printed = console.file.getvalue()
    assert all(name in printed for name in available_suites())
    assert "…" not in printed


@pytest.mark.parametrize("width", [30, 60, 80])
def test_nothing_is_cut(width):
    made = table("cell", "arm", "detail", whole=("cell",))
    arm, detail = "scratch-extended-and-more", "a reason that is longer than any terminal " * 4
    made.add_row("0123456789ab", arm, detail)
    printed = shown(width, made)
    assert "…" not in printed
    assert "0123456789ab" in printed
    columns = zip(*(line.split("│")[1:-1] for line in printed.splitlines() if line.startswith("│")), strict=True)
    texts = ["".join(part.strip() for part in column) for column in columns]
    assert texts[1] == arm
    assert texts[2].replace(" ", "") == detail.replace(" ", "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second"), (40, "40 seconds"), (89, "89 seconds"), (95, "2 minutes"), (17 * 60, "17 minutes"),
        (2 * 3600, "2 hours"), (30 * 3600, "30 hours"), (24 * 86400, "24 days"),
    ],
)  # fmt: skip
def test_times_are_told_as_people_do(seconds, words):
    assert in_words(seconds) == words


def test_a_plan_that_takes_days_says_that_it_is_meant_for_a_gpu():
    long, short = Estimate(12, 10**7, 48 * 86400.0, 2, compiled=8), Estimate(1, 40, 20.0, 2)
    assert cost(long, "cpu").startswith("about 24 days on ")
    assert "; meant for a GPU: 12 fits (8 with compiled steps), 10000000 optimizer steps, 2 at a time" in cost(
        long, "cpu"
    )
    assert cost(long, "cuda").startswith("about 24 days on the GPU: ")
    assert "GPU" not in cost(short, "cpu")
    assert cost(short, "cpu").startswith("about 10 seconds on ")
    assert cost(Estimate(0, 0, 0.0, 2), "cpu") == "nothing is left to do: all cells are finished"
