"""What stands where in a report, whatever state the run is in."""

import json
import re

import pandas as pd
import pytest

from reports.analysis.results import Results
from reports.page.sections import report
from reports.page.write import markdown_text, summary_table
from reports.records.plan import Arm
from reports.records.record import write_records
from reports.records.run import read_run
from reports.records.samples import PREDICTION_SCHEMA, write_predictions
from reports.tables.errors import error_table
from reports.tables.every import report_tables
from reports.text.cautions import cautions
from reports.text.headline import headline
from tests.reports.made_up import primary

FULL = {
    "scratch": {0: (120.0, 510.0), 1: (131.0, 540.0), 2: (137.0, 600.0)},
    "scratch-extended": {0: (118.0, 420.0), 1: (121.0, 470.0), 2: (125.0, 460.0)},
    "masked": {0: (64.0, 101.0), 1: (66.5, 480.0), 2: (69.25, 117.0)},
}


def test_sections_stand_in_order(full):
    _, page, markdown = full
    sections = ["findings", "results", "statistics", "escape", "convergence", "detail", "cost", "run", "reading"]
    assert [value["id"] for tag, value in page.tags if tag == "h2"] == sections
    assert re.findall(r"^## (.*)$", markdown, re.M) == [
        "The finding",
        "Test errors",
        "Statistics",
        "Escape from the plateau",
        "Convergence",
        "Detail by system",
        "Cost",
        "What was run and what was not",
        "How to read this",
    ]


def test_every_table_has_its_place(make_run):
    sweep = {"over": "strategy", "label": "ratio", "log": False, "values": {"masked": 0.5}}
    results = Results(read_run(make_run(FULL, sweep=sweep)))
    made = report_tables(results)
    placed = report(results, made).tables
    assert sorted(table.name for table in placed) == sorted(made)
    assert all(table.name for table in placed)


def test_the_question_the_finding_and_one_figure_come_first(make_run, both):
    folder = make_run(FULL, primary=[primary(baselines=["scratch", "scratch-extended"])])
    page, markdown = both(folder)
    (lead,) = headline(Results(read_run(folder)))
    for text, said in ((page.plain, lead), (markdown, markdown_text(lead))):
        before, found, after = text.partition(said)
        assert found
        assert "Does it help?" in before
        assert "±" not in before, "no number comes before the finding"
        assert "The primary comparisons" in after.partition("±")[0], "the figure comes before any table"
    assert len([tag for tag, value in page.tags if value.get("class") == "lead"]) == 1
    (figure,) = (value for tag, value in page.tags if value.get("id") == "forest")
    assert figure


def test_a_smoke_run_wears_a_badge(make_run, both):
    for scale, worn in (("smoke", True), ("quick", False), ("quick + smoke", True)):
        page, markdown = both(make_run(FULL, name=scale.replace(" ", ""), scale=scale))
        assert ("smoke: too short to conclude" in page.plain) == ("smoke: too short" in markdown) == worn


def test_warnings_of_the_data_come_before_the_finding(make_run, key_of, both):
    folder = make_run(FULL)
    path = folder / "cells" / key_of("masked", 0) / "provenance.json"
    warning = "DO NOT train a model on more than 1000 samples from this dataset"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset": {"warnings": [warning]}}))
    page, markdown = both(folder)
    (lead, *_) = headline(Results(read_run(folder)))
    assert page.plain.index(warning) < page.plain.index(lead)
    assert markdown.index(warning) < markdown.index(markdown_text(lead))


def test_epochs_and_costs_are_shown(full):
    _, page, markdown = full
    # Curves fall geometrically from 800 to 0.9 × the test error; masked passes the end of scratch at epoch 4.
    assert re.search(r"\| masked \| [\d.]+ \| 3 of 3 \| 4\.0 \(4\.0\) \| 6\.0 \(6\.0\) \| 480 \(480\) \|", markdown)
    assert "| masked | 3 of 3 | 6.5 | 18.0 | 24.5 | 27 | 22.2 | 12345 | 512 |" in markdown
    assert "masked 3 of 3 6.5 18.0 24.5 27 22.2 12345 512" in page.plain


def test_what_was_run_is_shown(full):
    _, page, markdown = full
    for text in (
        "TIP3P water, flexible",
        "what masked is",
        "python -m benchmark run --suite water",
        "2.13.0",
    ):
        assert text in page.text
        assert text in markdown
    for text in ("A made-up CPU", "0" * 40, "hash-of-seed-2", "2025-01-01T10:00:00Z", "2025-01-03T10:01:00Z"):
        assert text in page.text


def test_a_complete_run_has_no_failures(full):
    folder, page, markdown = full
    absent = report_tables(Results(read_run(folder)))["unfinished"].absent
    assert absent in page.plain
    assert markdown_text(absent) in markdown


def test_lost_and_pending_cells_are_named_with_reasons(make_run, key_of, both):
    outcomes = {
        "scratch": {0: (120.0, 510.0), 1: (131.0, 540.0)},
        "masked": {0: ("diverged", "loss is nan at step 12"), 1: None},
        "denoised": {0: ("failed", "out of memory"), 1: (90.0, 300.0)},
    }
    folder = make_run(outcomes)
    page, markdown = both(folder)
    for strategy, seed, state, reason in (
        ("masked", 0, "diverged", "loss is nan at step 12"),
        ("masked", 1, "pending", "not started"),
        ("denoised", 0, "failed", "out of memory"),
    ):
        cell = f"tip3p / egnn / {strategy} / seed {seed}"
        assert f"{cell} {key_of(strategy, seed)} {state} {reason}" in page.text
        assert f"| {cell} | {key_of(strategy, seed)} | {state} | {reason} |" in markdown
    assert any("flatters" in caution for caution in cautions(Results(read_run(folder))))


def test_one_seed_says_so(make_run, both):
    folder = make_run({name: {0: seeds[0]} for name, seeds in FULL.items()})
    page, markdown = both(folder)
    for text in (page.text, markdown):
        assert "One seed is an anecdote" in text
        assert "4 comparisons with one common seed are left out: an anecdote" in text
        assert "lower in" not in text
    assert "±" not in error_table(Results(read_run(folder))).groups[0][1][0][2]


@pytest.mark.parametrize(
    "outcomes",
    [
        {},
        {"scratch": {0: None}, "masked": {0: None}},
        {"scratch": {0: (1.0, 1.0)}, "masked": {0: None}},
        {"masked": {0: (1.0, 1.0), 1: (1.0, 1.0)}},
        {"scratch": {0: (0.0, 0.0)}, "masked": {0: (0.0, 0.0)}},
        {"scratch": {0: ("failed", "x")}, "scratch-extended": {0: ("failed", "x")}},
    ],
    ids=["no cells", "none finished", "baseline only", "no baseline", "all zero", "all failed"],
)
def test_partial_runs_render(make_run, outcomes, both):
    folder = make_run(outcomes)
    page, markdown = both(folder)
    assert "nan" not in re.findall(r"[a-z]+", page.text.lower())
    assert "nan" not in re.findall(r"[a-z]+", markdown.lower())
    assert len(summary_table(read_run(folder))) == len(outcomes)


def test_no_baselines_at_all(make_run, both):
    page, _ = both(make_run(FULL, baselines=[]))
    assert "No baseline was planned" in page.text


def test_different_splits_are_a_caution(make_run, record, key_of, both):
    folder = make_run({"scratch": {0: (1.0, 1.0), 1: (1.0, 1.0)}, "masked": {0: (1.0, 1.0), 1: (1.0, 1.0)}})
    metric = "force_rmse_mev_per_A"
    assert Results(read_run(folder)).change(Arm("tip3p", "egnn", "masked"), "scratch", metric).n == 2
    path = folder / "cells" / key_of("masked", 0) / "record.parquet"
    write_records([record("masked", 0, split_hash="another")], path)
    results = Results(read_run(folder))
    assert results.change(Arm("tip3p", "egnn", "masked"), "scratch", metric).n == 1
    assert results.reach[Arm("tip3p", "egnn", "masked")]["seeds"] == 1
    page, markdown = both(folder)
    for text in (page.plain, markdown):
        assert "seed 0: the arms were trained on different splits" in text
        assert "leave this seed out" in text


def test_predictions_are_drawn_where_there_are_any(make_run, key_of, both):
    folder = make_run(FULL)
    rows = [
        {
            "cell_key": key_of("masked", 0),
            "quantity": name,
            "frame": i,
            "element": 1,
            "reference": i,
            "predicted": i + 3.0,
        }
        for name in ("force", "energy")
        for i in range(20)
    ]
    frame = pd.DataFrame(rows, columns=PREDICTION_SCHEMA.names).astype({"element": "Int64", "reference": float})
    frame.loc[frame["quantity"] == "energy", "element"] = pd.NA
    write_predictions(frame, folder / "cells" / key_of("masked", 0) / "predictions.parquet")
    page, markdown = both(folder)
    assert {"parity-1", "distribution-1"} <= set(page.ids)
    assert "masked, seed 0: mean absolute error 3.00 meV/Å over a sample of 20, 20 of them drawn" in markdown
    assert "figures/parity-1.svg" in markdown


def test_the_page_says_what_is_not_drawn(make_run, monkeypatch, both):
    outcomes = {("tip3p", model, "scratch"): {0: (100.0, 100.0)} for model in ("egnn", "gns")}
    page, _ = both(make_run(outcomes))
    assert "pairs of dataset and model are drawn" not in page.plain
    for place in ("reports.figures.convergence.MOST_PAIRS", "reports.page.sections.MOST_PAIRS"):
        monkeypatch.setattr(place, 1)
    page, markdown = both(make_run(outcomes, name="more"))
    for text in (page.plain, markdown):
        assert "At most 1 pairs of dataset and model are drawn" in text
    assert page.ids.count("convergence-1") == 1
    assert "convergence-2" not in page.ids
