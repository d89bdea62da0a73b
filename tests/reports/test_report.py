"""The report: every number from the records, nothing from elsewhere, whatever state the run is in."""

import json
import re
import statistics as closed_form
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest

from reports import Record, build_report, read_run, summary_table, write_records
from reports.figures import look
from reports.findings import cautions, findings
from reports.formatting import number, plus_minus, signed
from reports.page import markdown_text
from reports.records import METRICS
from reports.results import Results
from reports.tables import error_table

FULL = {
    "scratch": {0: (120.0, 510.0), 1: (131.0, 540.0), 2: (137.0, 600.0)},
    "scratch-extended": {0: (118.0, 420.0), 1: (121.0, 470.0), 2: (125.0, 460.0)},
    "masked": {0: (64.0, 101.0), 1: (66.5, 480.0), 2: (69.25, 117.0)},
}


class Page(HTMLParser):
    """The text, the tags and the heading levels of a page; fails on tags that do not nest."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self, html):
        super().__init__()
        self.texts, self.tags, self.open, self.ids = [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    @property
    def headings(self):
        return [int(tag[1]) for tag, _ in self.tags if re.fullmatch("h[1-6]", tag)]


def both(folder):
    """(parsed HTML, Markdown) of a run's report."""
    paths = build_report(folder)
    return Page(paths.html.read_text(encoding="utf-8")), paths.markdown.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def full(run_factory, tmp_path_factory):
    """Folder, parsed HTML and Markdown of a complete run."""
    folder = run_factory(tmp_path_factory.mktemp("full"))(FULL)
    return folder, *both(folder)


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
    mean = {
        (name, i): closed_form.mean(pair[i] for pair in seeds.values()) for name, seeds in FULL.items() for i in (0, 1)
    }
    for baseline in ("scratch", "scratch-extended"):
        for i in (0, 1):
            percent = signed(100 * (mean["masked", i] / mean[baseline, i] - 1))
            assert f"{percent} %" in masked.sentences[i]
            assert percent in page.text
            assert percent in markdown
    force, energy = masked.sentences
    assert "with the same 4 epochs of finetuning" in force
    assert "at the same total of 6 epochs" in force
    assert force.count("lower in all 3 seeds") == 2
    # Seed 1 rises from 470 of the extended baseline to 480, the other seeds fall.
    assert "the seeds disagree in sign, so no difference can be told" in energy
    assert f"{signed(100 * (101 / 420 - 1))} to {signed(100 * (480 / 470 - 1))} % by seed" in energy
    for sentence in masked.sentences:
        assert sentence in page.text.replace("\N{NO-BREAK SPACE}", " ")
        assert markdown_text(sentence) in markdown


def test_epochs_and_costs_are_shown(full):
    _, page, markdown = full
    # Curves fall geometrically from 800 to 0.9 × the test error; masked passes the end of scratch at epoch 4.
    assert re.search(r"\| masked \| [\d.]+ \| 3 of 3 \| 4\.0 \(4\) \| 6\.0 \(6\) \| 2 \+ 4 \|", markdown)
    assert "| masked | 3 of 3 | 6.5 | 18.0 | 24.5 | 12345 | 512 |" in markdown
    assert "| scratch | 3 of 3 | 0.0 | 18.0 | 18.0 | 12345 | 512 |" in markdown
    assert "masked 3 of 3 6.5 18.0 24.5 12345 512" in page.text


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
    _, page, markdown = full
    assert "Failures, divergences, cells not finished None." in page.text
    assert "## Failures, divergences, cells not finished\n\nNone.\n" in markdown


def test_lost_and_pending_cells_are_named_with_reasons(make_run, key_of):
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


def test_one_seed_says_so(make_run):
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
def test_partial_runs_render(make_run, outcomes):
    folder = make_run(outcomes)
    page, markdown = both(folder)
    assert "nan" not in re.findall(r"[a-z]+", page.text.lower())
    assert "nan" not in re.findall(r"[a-z]+", markdown.lower())
    assert len(summary_table(read_run(folder))) == len(outcomes)


def test_no_baselines_at_all(make_run):
    page, _ = both(make_run(FULL, baselines=[]))
    assert "no baseline was planned" in page.text


def test_different_splits_are_a_caution(make_run, record, key_of):
    folder = make_run({"scratch": {0: (1.0, 1.0)}, "masked": {0: (1.0, 1.0)}})
    path = folder / "cells" / key_of("masked", 0) / "record.parquet"
    write_records([record("masked", 0, split_hash="another")], path)
    page, markdown = both(folder)
    assert "not paired" in page.text
    assert "not paired" in markdown


def test_the_page_needs_no_network_and_is_well_formed(full):
    folder, page, _ = full
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        for name, value in attributes.items():
            if name in {"src", "href", "xlink:href", "srcset", "action", "poster"}:
                assert value.startswith("#"), (tag, name, value)
    style = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", style)
    assert len(page.ids) == len(set(page.ids)), "ids are unique"
    targets = {value["href"][1:] for tag, value in page.tags if tag == "a"}
    assert targets <= set(page.ids)


def test_headings_tables_and_figures_are_accessible(full):
    _, page, markdown = full
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert all(value.get("scope") for tag, value in page.tags if tag == "th")
    tables = [tag for tag, _ in page.tags if tag == "table"]
    assert len(tables) == len([tag for tag, _ in page.tags if tag == "caption"]) > 5
    images = [value for _, value in page.tags if value.get("role") == "img"]
    assert len(images) == 4  # force and energy, two panels each
    means = number(closed_form.mean(0.9 * pair[0] for pair in FULL["masked"].values()))
    assert f"to {means} at epoch 4" in images[0]["aria-label"]
    assert f"to {means} at epoch 6" in images[1]["aria-label"]
    assert all(alt for alt in re.findall(r"!\[(.*?)\]\(", markdown))


def test_markdown_figures_exist_and_are_small(full):
    folder, _, markdown = full
    names = re.findall(r"\]\((figures/[^)]+\.png)\)", markdown)
    assert len(names) == 2
    for name in names:
        content = (folder / "report" / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) < 200_000


def test_hostile_text_stays_text(make_run):
    hostile = '<script>alert("1")</script> | **bold** `code` ${x}$\n# not a heading'
    folder = make_run(
        {"scratch": {0: (1.0, 1.0)}, "masked": {0: ("failed", hostile)}},
        title=hostile,
        labels={"models": {"egnn": hostile}, "strategies": {"scratch": hostile}},
    )
    page, markdown = both(folder)
    assert " ".join(hostile.split()) in page.text
    assert not any(tag == "script" for tag, _ in page.tags)
    assert "<script" not in markdown
    assert "\n# not" not in markdown
    assert r"\| \*\*bold\*\* \`code\` \${x}\$ # not a heading |" in markdown


def test_a_hostile_strategy_name_stays_text_in_the_figures(make_run):
    hostile = "$<b>&"
    folder = make_run({"scratch": {0: (1.0, 1.0)}})
    plan = json.loads((folder / "plan.json").read_text())
    plan["cells"][0]["strategy"] = hostile
    (folder / "plan.json").write_text(json.dumps(plan))
    for path in (folder / "cells").glob("*/record.parquet"):
        rows = pq.read_table(path).to_pylist()
        write_records([Record.model_validate(row | {"strategy": hostile}) for row in rows], path)
    page, _ = both(folder)
    assert page.texts.count(hostile) >= 2 * 2  # the legend of every panel
    assert not any(tag == "b" for tag, _ in page.tags)


def test_same_records_same_bytes(make_run):
    folder = make_run(FULL)

    def contents(out):
        build_report(folder, out)
        return {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    first, second = contents(folder / "one"), contents(folder / "two")
    assert set(map(str, first)) >= {"index.html", "report.md", "records.parquet", "curves.parquet"}
    assert first == second


def test_a_crash_leaves_the_older_report(full, monkeypatch):
    folder, _, _ = full
    before = (folder / "report" / "index.html").read_bytes()

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("reports.figures.convergence", fail)
    with pytest.raises(MemoryError):
        build_report(folder)
    assert (folder / "report" / "index.html").read_bytes() == before


def test_colours_belong_to_the_arm_not_to_what_has_run(make_run):
    # The labels name all strategies of the suite: a filtered run keeps their colours.
    everything, some = read_run(make_run(FULL)), read_run(make_run({"masked": {0: None}}, name="some"))
    assert look(everything.plan)[0]["masked"] == look(some.plan)[0]["masked"]
    colours, dashes = look(everything.plan)
    assert len({(colours[name], dashes[name]) for name in colours}) == len(colours)


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
    assert masked["energy vs scratch-extended"].endswith("% (seeds disagree)")
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
