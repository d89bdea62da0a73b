"""The report: every number from the records, nothing from elsewhere, whatever state the run is in."""

import json
import math
import re
import statistics as closed_form

import pandas as pd
import pytest

from reports.analysis.results import Results
from reports.page.write import build_comparison, markdown_text, summary_table
from reports.records.plan import Arm
from reports.records.record import METRICS, write_records
from reports.records.run import read_run
from reports.records.samples import PREDICTION_SCHEMA, write_predictions
from reports.tables.errors import error_table
from reports.tables.every import report_tables
from reports.text.findings import cautions, findings
from reports.text.formatting import number, plus_minus, signed
from reports.text.headline import headline

FULL = {
    "scratch": {0: (120.0, 510.0), 1: (131.0, 540.0), 2: (137.0, 600.0)},
    "scratch-extended": {0: (118.0, 420.0), 1: (121.0, 470.0), 2: (125.0, 460.0)},
    "masked": {0: (64.0, 101.0), 1: (66.5, 480.0), 2: (69.25, 117.0)},
}


def test_every_number_of_the_main_table_is_in_the_records(full):
    _, page, markdown = full
    for at, metric in enumerate(METRICS):
        factor = {"force": 0.75, "energy": 0.8}[metric.split("_")[0]] if "mae" in metric else 1.0
        factor /= 48 if metric.endswith("per_atom") else 1
        for seeds in FULL.values():
            values = [factor * pair[0 if at < 2 else 1] for pair in seeds.values()]
            text = plus_minus(closed_form.mean(values), closed_form.stdev(values))
            assert text in page.text
            assert f"| {text} |" in markdown


def test_changes_are_in_table_and_findings(full):
    folder, page, markdown = full
    ((_, (masked,)),) = findings(Results(read_run(folder)))
    for baseline in ("scratch", "scratch-extended"):
        for i in (0, 1):
            ratios = [math.log(FULL["masked"][seed][i] / FULL[baseline][seed][i]) for seed in range(3)]
            percent = signed(100 * math.expm1(closed_form.mean(ratios)))
            assert f"{percent} %" in masked.sentences[i]
            assert percent in page.text
            assert percent in markdown
    force, energy = masked.sentences
    assert "with the same 4 epochs of finetuning" in force
    assert "at the same total of 6 epochs" in force
    assert "no difference can be told" in energy
    for sentence in masked.sentences:
        assert sentence in page.text.replace("\N{NO-BREAK SPACE}", " ")
        assert markdown_text(sentence) in markdown


def test_the_finding_comes_first_in_at_most_three_sentences(full):
    folder, page, markdown = full
    lead = headline(Results(read_run(folder)))
    assert 1 <= len(lead) <= 3
    for text, said in ((page.plain, lead[0]), (markdown, markdown_text(lead[0]))):
        before, found, _ = text.partition(said)
        assert found
        assert "±" not in before, "no number comes before the finding"
    assert len([tag for tag, value in page.tags if value.get("class") == "lead"]) == len(lead)


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
    ((_, (masked, denoised)),) = findings(Results(read_run(folder)))
    assert masked.sentences == ("No cell has finished (1 pending and 1 diverged): nothing can be said.",)
    assert "one common seed, an anecdote" in denoised.sentences[0]
    assert "Of its 2 cells 1 failed: not in these means." in denoised.sentences
    assert any("flatters" in caution for caution in cautions(Results(read_run(folder))))


def test_one_seed_says_so(make_run, both):
    folder = make_run({name: {0: seeds[0]} for name, seeds in FULL.items()})
    page, markdown = both(folder)
    for text in (page.text, markdown):
        assert "One seed is an anecdote" in text
        assert "one seed, an anecdote: no difference can be told" in text.replace("\N{NO-BREAK SPACE}", " ")
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
    assert "no baseline was planned" in page.text


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


def test_warnings_of_the_data_come_before_the_finding(make_run, key_of, both):
    folder = make_run(FULL)
    path = folder / "cells" / key_of("masked", 0) / "provenance.json"
    warning = "DO NOT train a model on more than 1000 samples from this dataset"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset": {"warnings": [warning]}}))
    page, markdown = both(folder)
    (lead, *_) = headline(Results(read_run(folder)))
    assert page.plain.index(warning) < page.plain.index(lead)
    assert markdown.index(warning) < markdown.index(markdown_text(lead))


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


def test_two_runs_side_by_side(make_run, parse):
    better = {name: {seed: (0.5 * f, 0.5 * e) for seed, (f, e) in seeds.items()} for name, seeds in FULL.items()}
    a, b = make_run(FULL, name="a"), make_run(better, name="b")
    paths = build_comparison(a, b, a.parent / "both")
    page, markdown = parse(paths.html.read_text(encoding="utf-8")), paths.markdown.read_text(encoding="utf-8")
    for text in (page.plain, markdown):
        assert signed(-50.0) in text
    assert not (a / "report").exists()


def test_summary_for_the_terminal(make_run):
    table = summary_table(read_run(make_run(FULL)))
    assert list(table.columns) == [
        "dataset",
        "model",
        "arm",
        "seeds",
        "force RMSE (meV/Å)",
        "energy RMSE (meV/cell)",
        "force vs scratch",
        "energy vs scratch",
        "force vs scratch-extended",
        "energy vs scratch-extended",
    ]
    masked = table[table["arm"] == "masked"].iloc[0]
    forces = [pair[0] for pair in FULL["masked"].values()]
    assert masked["seeds"] == "3 of 3"
    assert masked["force RMSE (meV/Å)"] == plus_minus(closed_form.mean(forces), closed_form.stdev(forces))
    assert masked["energy vs scratch-extended"].startswith(
        signed(
            100
            * math.expm1(
                closed_form.mean(
                    math.log(FULL["masked"][seed][1] / FULL["scratch-extended"][seed][1]) for seed in range(3)
                )
            )
        )
    )
    assert table[table["arm"] == "scratch"].iloc[0]["force vs scratch"] == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [(128.53, "128.5"), (8.374, "8.37"), (0.8612, "0.861"), (-3.0, "−3.00"), (float("nan"), "–")],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(("value", "text"), [(-48.24, "−48.2"), (3.0, "+3.0"), (-0.04, "0.0"), (0.04, "0.0")])
def test_signed_numbers(value, text):
    assert signed(value) == text
