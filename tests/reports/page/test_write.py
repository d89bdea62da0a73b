"""The files of a report: every number from the records; well-formed, escaped, accessible, whole or not at all."""

import json
import math
import re
import statistics as closed_form
import xml.etree.ElementTree as ElementTree

import pyarrow.parquet as pq
import pytest

from reports.page.write import build_comparison, build_report, summary_table, whole
from reports.records.record import METRICS, Record, write_records
from reports.records.run import read_run
from reports.text.formatting import number, plus_minus, signed

FULL = {
    "scratch": {0: (120.0, 510.0), 1: (131.0, 540.0), 2: (137.0, 600.0)},
    "scratch-extended": {0: (118.0, 420.0), 1: (121.0, 470.0), 2: (125.0, 460.0)},
    "masked": {0: (64.0, 101.0), 1: (66.5, 480.0), 2: (69.25, 117.0)},
}


def test_the_page_needs_no_network_and_is_well_formed(full):
    folder, page, _ = full
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "img"}
        for name, value in attributes.items():
            if name in {"src", "href", "xlink:href", "srcset", "action", "poster"}:
                # Only a reader who follows a reference leaves the page.
                assert value.startswith("#") or (tag == "a" and value.startswith("https://")), (tag, name, value)
    policies = [value["content"] for tag, value in page.tags if value.get("http-equiv") == "Content-Security-Policy"]
    assert policies[0].startswith("default-src 'none'")
    style = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", style)
    assert len(page.ids) == len(set(page.ids)), "ids are unique"
    targets = {value["href"][1:] for tag, value in page.tags if tag == "a" and value["href"].startswith("#")}
    assert targets <= set(page.ids)
    assert {value["aria-labelledby"] for _, value in page.tags if "aria-labelledby" in value} <= set(page.ids)


def test_headings_tables_and_figures_are_accessible(full):
    _, page, markdown = full
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert all(value.get("scope") for tag, value in page.tags if tag == "th")
    tables = [tag for tag, _ in page.tags if tag == "table"]
    assert len(tables) == len([tag for tag, _ in page.tags if tag == "caption"]) > 5
    images = [value for _, value in page.tags if value.get("role") == "img"]
    # The forest, force and energy against epochs, steps and seconds, and side by side as in the paper.
    assert len(images) == 9
    images = images[1:]
    means = number(closed_form.mean(0.9 * pair[0] for pair in FULL["masked"].values()))
    assert f"to {means} at epoch 4 after 2 of pretraining" in images[0]["aria-label"]
    assert all(image["aria-label"] for image in images)
    assert all(alt for alt in re.findall(r"!\[(.*?)\]\(", markdown))


def test_figures_beside_the_markdown_exist_and_are_small(full):
    folder, _, markdown = full
    names = re.findall(r"\]\((figures/[^)]+\.svg)\)", markdown)
    assert names == ["figures/forest.svg", "figures/convergence-1.svg", "figures/longer-or-pretrained.svg"]
    for name in names:
        content = (folder / "report" / name).read_text(encoding="utf-8")
        assert ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
        assert len(content) < 100_000
        assert "http" not in content.replace("http://www.w3.org/2000/svg", "")


def test_hostile_text_stays_text(make_run, both):
    hostile = '<script>alert("1")</script> | **bold** `code` ${x}$\n# not a heading'
    folder = make_run(
        {"scratch": {0: (1.0, 1.0)}, "masked": {0: ("failed", hostile)}},
        title=hostile,
        models={"egnn": {"label": hostile}},
        strategies={"scratch": {"label": hostile}},
    )
    page, markdown = both(folder)
    assert " ".join(hostile.split()) in page.text
    assert [tag for tag, _ in page.tags].count("script") == 1, "the page's own"
    assert "<script" not in markdown
    assert "\n# not" not in markdown
    assert r"\| \*\*bold\*\* \`code\` \${x}\$ # not a heading |" in markdown


def test_a_hostile_strategy_name_stays_text_in_the_figures(make_run, both):
    hostile = "$<b>&"
    folder = make_run({"scratch": {0: (1.0, 1.0)}})
    plan = json.loads((folder / "plan.json").read_text())
    plan["cells"][0]["strategy"] = hostile
    plan["strategies"][hostile] = plan["strategies"]["scratch"]
    (folder / "plan.json").write_text(json.dumps(plan))
    for path in (folder / "cells").glob("*/record.parquet"):
        rows = pq.read_table(path).to_pylist()
        write_records([Record.model_validate(row | {"strategy": hostile}) for row in rows], path)
    page, _ = both(folder)
    # The legend of the figure, and the arm's row in a table; in figures the text of every marked point too.
    assert sum(text.strip() == hostile for text in page.texts) > 2
    assert any(text.startswith(f"{hostile}, epoch 1: ") for text in page.texts)
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

    monkeypatch.setattr("reports.page.sections.convergence", fail)
    with pytest.raises(MemoryError):
        build_report(folder)
    assert (folder / "report" / "index.html").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("61.5 ± 4.0 §", "61.5~±~4.0~§"),
        ("−9.4 to +3.1)", "−9.4~to~+3.1)"),
        ("did not converge §", "did not converge~§"),
    ],
)
def test_numbers_are_not_broken_across_lines(text, expected):
    assert whole(text) == expected.replace("~", "\N{NO-BREAK SPACE}")


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
        "energy RMSE (meV/structure)",
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
