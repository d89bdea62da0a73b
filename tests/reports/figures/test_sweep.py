"""Sweeps: what is drawn, described and tabulated is what the records hold, and nothing without a sweep."""

import html
import re
from itertools import pairwise
from statistics import mean

import pytest

from reports.analysis.results import Results
from reports.analysis.sweep import SWEPT
from reports.figures.sweep import sweep_figures
from reports.page.write import build_report, markdown_text
from reports.records.run import read_run
from reports.text.formatting import number
from tests.reports.ablations import FRAMES, LABEL_EFFICIENCY, LABELLED, MASKED, RATIO, RATIOS, values_of

pytestmark = pytest.mark.slow


def alternatives(folder):
    """Alternative texts of the panels of the sweep section, checked to stand in the Markdown too."""
    paths = build_report(folder)
    page, markdown = paths.html.read_text(encoding="utf-8"), paths.markdown.read_text(encoding="utf-8")
    section = page.split('id="ablations"')[1].split('id="detail"')[0]
    texts = [html.unescape(text) for text in re.findall(r'role="img"[^>]* aria-label="([^"]*)"', section)]
    assert all(markdown_text(text) in markdown for text in texts)
    return texts


def drawn(folder, monkeypatch):
    """The matplotlib figures of a sweep, both panels side by side, by title."""
    figures = {}
    monkeypatch.setattr(
        "reports.figures.sweep.compose",
        lambda name, title, panels, draw: figures.update({title: draw(list(panels), (10.0, 4.0))}),
    )
    sweep_figures(Results(read_run(folder)))
    return figures


def lines(axes):
    """The lines of a panel: label -> points."""
    return {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axes.lines}


def test_strategies_are_described_with_the_numbers_of_the_records(make_run):
    force, energy = alternatives(make_run(MASKED, sweep=RATIO))
    for i, text in enumerate((force, energy)):
        average = {name: number(mean(values_of(seeds, i))) for name, seeds in MASKED.items()}
        assert (
            f"{SWEPT} {average['masked-0.1']} at 0.1, {average['masked-0.12']} at 0.12, "
            f"{average['masked-0.5']} at 0.5 and {average['masked-0.9']} at 0.9 (2 of 3 seeds); "
            f"scratch {average['scratch']} as a horizontal line; "
            f"denoised {average['denoised']} as a horizontal line."
        ) in text
    assert "force RMSE in meV/Å" in force
    assert "energy RMSE in meV/structure" in energy
    assert "best checkpoint against share of molecules masked" in force


def test_strategies_are_one_line_and_the_others_horizontal(make_run, monkeypatch):
    (figure,) = drawn(make_run(MASKED, sweep=RATIO), monkeypatch).values()
    for i, axes in enumerate(figure.axes):
        found = lines(axes)
        assert found.pop(SWEPT) == [
            (value, pytest.approx(mean(values_of(MASKED[name], i))))
            for name, value in sorted(RATIOS.items(), key=lambda item: item[1])
        ]
        assert {name: {y for _, y in points} for name, points in found.items()} == {
            name: {mean(values_of(MASKED[name], i))} for name in ("scratch", "denoised")
        }
        seeds = sorted((float(x), float(y)) for points in axes.collections for x, y in points.get_offsets())
        assert seeds == sorted((x, y) for name, x in RATIOS.items() for y in values_of(MASKED[name], i))
        # Of two numbers too close to be read, the first.
        assert list(axes.get_xticks()) == [0.1, 0.5, 0.9]
        assert axes.get_xscale() == "linear"
    assert figure.axes[0].get_xlabel() == "share of molecules masked"
    assert figure.axes[0].get_ylabel() == "test force RMSE (meV/Å)"


def test_the_section_stands_before_the_detail_and_adds_no_table_for_strategies(make_run):
    folder = make_run(MASKED, sweep=RATIO)
    paths = build_report(folder)
    page, markdown = paths.html.read_text(encoding="utf-8"), paths.markdown.read_text(encoding="utf-8")
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert ids.index("results") < ids.index("ablations") < ids.index("detail")
    assert 'href="#ablations"' in page
    section = markdown.split("## Ablation: share of molecules masked\n")[1].split("\n## ")[0]
    assert "|" not in section
    names = re.findall(r"\]\((.+?\.svg)\)", section)
    assert names == ["figures/sweep-1.svg"]
    assert "<svg" in (folder / "report" / "figures" / "sweep-1.svg").read_text(encoding="utf-8")


def test_datasets_are_lines_of_strategies_with_one_range_for_all_models(make_run, monkeypatch):
    folder = make_run(LABEL_EFFICIENCY, sweep=FRAMES, train_frames=LABELLED)
    figures = drawn(folder, monkeypatch)
    assert [title.split(":")[0] for title in figures] == ["EGNN", "tensornet"]
    for model, figure in zip(("egnn", "tensornet"), figures.values(), strict=True):
        for i, axes in enumerate(figure.axes):
            assert lines(axes) == {
                strategy: [
                    (x, pytest.approx(mean(values_of(LABEL_EFFICIENCY[dataset, model, strategy], i))))
                    for dataset, x in FRAMES["values"].items()
                ]
                for strategy in ("scratch", "masked")
            }
            assert axes.get_xscale() == "log"
    for panels in zip(*(figure.axes for figure in figures.values()), strict=True):
        assert len({axes.get_ylim() for axes in panels}) == 1
        assert panels[0].get_ylim()[1] < 1000  # the dataset off the axis does not count


def test_models_are_drawn_for_each_dataset(make_run, monkeypatch):
    sweep = {"over": "model", "label": "layers", "values": {"tensornet": 2, "egnn": 5}}
    folder = make_run(LABEL_EFFICIENCY, sweep=sweep)
    figures = drawn(folder, monkeypatch)
    assert [title.split(":")[0] for title in figures] == ["many", "few", "other"]
    few = lines(figures["few: test errors against layers"].axes[0])
    assert few["masked"] == [
        (x, pytest.approx(mean(values_of(LABEL_EFFICIENCY["few", model, "masked"], 0))))
        for model, x in sweep["values"].items()
    ]


def test_names_that_a_filter_left_out_are_not_drawn(make_run):
    outcomes = {name: MASKED[name] for name in ("scratch", "masked-0.5", "masked-0.1")}
    folder = make_run(outcomes, sweep=RATIO | {"values": RATIOS | {"never-planned": 0.7}})
    force, _ = alternatives(folder)
    assert " at 0.1 and " in force
    assert " at 0.5;" in force
    for absent in ("0.12", "0.7", "0.9", "denoised"):
        assert absent not in force.replace(number(mean(values_of(MASKED["scratch"], 0))), "")


@pytest.mark.parametrize(
    "outcomes",
    [
        {"scratch": MASKED["scratch"]},
        {"scratch": MASKED["scratch"], "masked-0.5": {0: ("failed", "out of memory"), 1: None}},
    ],
    ids=["filtered", "none finished"],
)
def test_an_axis_without_results_says_so(make_run, outcomes):
    folder = make_run(outcomes, sweep=RATIO)
    assert alternatives(folder) == []
    for path in (folder / "report" / "index.html", folder / "report" / "report.md"):
        assert "No cell on this axis has finished." in path.read_text(encoding="utf-8")


def test_points_and_lines_without_a_result_are_left_out(make_run, monkeypatch):
    outcomes = MASKED | {"masked-0.5": {0: None, 1: ("failed", "why")}, "scratch": {0: None}}
    folder = make_run(outcomes, sweep=RATIO)
    force, _ = alternatives(folder)
    assert "nothing at 0.5 (0 of 2 seeds)" in force
    assert "scratch nothing as a horizontal line (0 of 1 seeds)" in force
    (figure,) = drawn(folder, monkeypatch).values()
    found = lines(figure.axes[0])
    assert [x for x, _ in found[SWEPT]] == [0.1, 0.12, 0.9]
    assert "scratch" not in found


def test_errors_of_zero_are_drawn(make_run):
    folder = make_run({"scratch": {0: (0.0, 0.0)}, "masked-0.5": {0: (0.0, 0.0)}}, sweep=RATIO)
    assert "0.000 at 0.5" in alternatives(folder)[0]


def test_no_sweep_changes_nothing(make_run):
    outcomes = {name: MASKED[name] for name in ("scratch", "masked-0.5")}
    absent, null = make_run(outcomes, name="absent"), make_run(outcomes, name="null", sweep=None)
    reports = []
    for folder in (absent, null):
        build_report(folder)
        files = {path.name: path.read_bytes() for path in (folder / "report").rglob("*") if path.is_file()}
        reports.append(files)
    assert reports[0] == reports[1]
    assert not any(name.startswith("sweep") for name in reports[0])
    assert b"Ablation" not in reports[0]["index.html"] + reports[0]["report.md"]


def test_hostile_labels_stay_text_and_the_bytes_repeat(make_run):
    hostile = '<script>alert("1")</script> | $x$ (%)\n# no heading'
    outcomes = {("few", "egnn", "masked"): {0: (64.0, 101.0)}}
    folder = make_run(outcomes, sweep=FRAMES | {"label": hostile}, train_frames=LABELLED, baselines=[])
    first, second = (build_report(folder, folder / name) for name in ("one", "two"))
    page, markdown = first.html.read_text(encoding="utf-8"), first.markdown.read_text(encoding="utf-8")
    assert "<script>alert" not in page + markdown
    assert "\n# no" not in markdown
    assert markdown_text(f"Ablation: {hostile}") in markdown
    assert "| 0.01 | 50 | – | – | 1 of 1 | 64.0 | 101.0 |" in markdown
    assert page == second.html.read_text(encoding="utf-8")
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
