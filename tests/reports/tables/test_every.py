"""Every number of the page's main tables, computed again from the cells' files by other code than the report's."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import f, t, ttest_rel

from reports.page.write import build_report
from reports.tables.every import BUILDERS, report_tables
from tests.reports.made_up import KNOWN, primary, results_of

OUTCOMES = {
    ("tip3p", "egnn", "scratch"): {0: (127.3, 481.0), 1: (141.9, 512.5), 2: (133.1, 655.2), 3: (120.4, 466.6)},
    ("tip3p", "egnn", "scratch-extended"): {0: (111.1, 402.2), 1: (95.8, 470.9), 2: (101.7, 377.7), 3: (99.9, 421.3)},
    ("tip3p", "egnn", "masked"): {0: (64.4, 98.7), 1: (71.2, 143.2), 2: (58.3, 131.3), 3: (66.6, 110.0)},
    ("tip3p", "egnn", "denoised"): {0: (101.4, 398.7), 1: ("diverged", "loss is nan"), 2: (121.8, 231.3), 3: None},
    ("tip3p", "gns", "scratch"): {0: (8.731, 48.2), 1: (9.117, 51.6), 2: (8.9, 47.7), 3: (9.4, 50.3)},
    ("tip3p", "gns", "scratch-extended"): {0: (8.02, 44.4), 1: (8.33, 46.0), 2: (8.21, 49.9), 3: (8.5, 45.1)},
    ("tip3p", "gns", "masked"): {0: (8.55, 41.2), 1: (8.61, 52.3), 2: (8.3, 44.4), 3: (9.2, 46.8)},
    ("tip3p", "gns", "denoised"): {0: (7.4, 46.6), 1: None, 2: None, 3: None},
}
DESCRIBED = {
    "datasets": {"tip3p": {"options": {"molecules": 16}}},
    "models": {"gns": {"kind": "gns"}},
    "strategies": {"masked": {"options": {}}},
}
BASELINES = ["scratch", "scratch-extended"]
FORCE, ENERGY, PER_ATOM = "force_rmse_mev_per_A", "energy_rmse_mev", "energy_rmse_mev_per_atom"
PRIMARY = [primary(baselines=BASELINES), primary(baselines=BASELINES, model="gns", metric=ENERGY)]
PUBLISHED = {  # the paper's Table 1 and Fig. 3, TIP3P
    ("egnn", "scratch"): ([61.5, 4.0], [685.1, 55.8]),
    ("egnn", "masked"): ([39.3, 2.0, 0.9], [241.9, 27.3, 0.9]),
    ("egnn", "denoised"): ([], [2442.75]),
    ("gns", "scratch"): ([52.0, 0.2], [638.2, 11.6]),
    ("gns", "masked"): ([49.1, 0.3, 0.5], [540.4, 8.1, 0.5]),
}


TRACED = {"main-rmse", "errors", "errors-last", "primary", "comparisons", "changes", "costs", "frames"}
"""Tables that this file computes again."""
BY_HAND = {
    "main-mae": "tables/test_errors.py",
    "anchors": "tables/test_errors.py",
    "pooled": "tables/test_changes.py",
    "losses": "tables/test_changes.py",
    "seeds": "tables/test_changes.py",
    "escape": "tables/test_learning.py",
    "handover": "tables/test_learning.py",
    "late": "tables/test_learning.py",
    "reach": "page/test_sections.py",
    "speedup": "tables/test_speed.py",
    "sweep": "tables/test_sweep.py",
    "elements": "tables/test_systems.py",
    "quantiles": "tables/test_systems.py",
    "molecules": "tables/test_systems.py",
    "further": "tables/test_systems.py",
    "arms": "page/test_sections.py",
    "unfinished": "page/test_sections.py",
    "simulations": "page/test_in_use.py",
    "audit": "tables/test_provenance.py",
    "splits": "page/test_sections.py",
    "software": "page/test_sections.py",
    "sources": "records/test_merge.py",
    "conflicts": "records/test_merge.py",
}
"""Tables whose numbers another test checks by hand, and where."""


class Tables(HTMLParser):
    """Tables of a page by name: rows of (text, value to sort by), each under the heading of its group."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.rows, self.row, self.cell = {}, None, None, None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "table":
            self.rows = self.tables[attributes["data-name"]] = []
        elif tag == "tr":
            self.row = []
            self.rows.append(self.row)
        elif tag in ("th", "td"):
            self.cell = [[], attributes.get("data-sort")]
            self.row.append(self.cell)

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self.cell[0], self.cell = " ".join("".join(self.cell[0]).split()), None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell[0].append(data)


@pytest.fixture(scope="module")
def run(run_factory, tmp_path_factory):
    """Run folder and the tables of its page."""
    folder = run_factory(tmp_path_factory.mktemp("trace"))(OUTCOMES, **DESCRIBED, primary=PRIMARY)
    return folder, Tables(build_report(folder).html.read_text(encoding="utf-8")).tables


def errors(folder, metric, split="test", checkpoint="best"):
    """(model, strategy) -> seed -> error, read from the cells' files."""
    found = {}
    for path in folder.glob("cells/*/record.parquet"):
        for row in pq.ParquetFile(path).read().to_pylist():
            if (row["split"], row["checkpoint"]) == (split, checkpoint):
                found.setdefault((row["model"], row["strategy"]), {})[row["seed"]] = row[metric]
    return found


def mean_sd(values):
    """[mean, sample standard deviation], without the latter for one value."""
    return [np.mean(values), np.std(values, ddof=1)] if len(values) > 1 else list(values)


def change(values, model, arm, baseline):
    """[change in %, ends of its interval], p and changes of single seeds, by least squares of log = seed + arm.

    Where the two arms scatter more than the rest, as the F test of the ratio of sums of squares has it, by scipy's
    paired t-test.
    """
    ours, theirs = values.get((model, arm), {}), values.get((model, baseline), {})
    common = sorted(set(ours) & set(theirs))
    own = np.array([math.log(ours[seed] / theirs[seed]) for seed in common])
    cells = [(a, seed) for (m, a), seeds in values.items() if m == model for seed in seeds]
    cells = [(a, seed) for a, seed in cells if sum(other == seed for _, other in cells) > 1]
    seeds, arms = sorted({seed for _, seed in cells}), sorted({a for a, _ in cells} - {baseline})
    design = np.array([[seed == s for s in seeds] + [a == name for name in arms] for a, seed in cells], dtype=float)
    log = np.array([math.log(values[model, a][seed]) for a, seed in cells])
    solution = np.linalg.lstsq(design, log, rcond=None)[0]
    squares, df = ((log - design @ solution) ** 2).sum(), len(cells) - design.shape[1]
    at = len(seeds) + arms.index(arm)
    estimate, error = solution[at], math.sqrt(squares / df * np.linalg.inv(design.T @ design)[at, at])
    single = np.expm1(own) * 100
    if len(common) == 1:
        return [100 * math.expm1(estimate)], None, single
    mine, mine_df = ((own - own.mean()) ** 2).sum() / 2, len(common) - 1
    if f.sf((mine / mine_df) / ((squares - mine) / (df - mine_df)), mine_df, df - mine_df) < 0.1:
        test = ttest_rel(*([math.log(side[seed]) for seed in common] for side in (ours, theirs)))
        ends = test.confidence_interval(0.95)
        return [100 * math.expm1(x) for x in (own.mean(), *ends)], test.pvalue, single
    half = t.ppf(0.975, df) * error
    p = 2 * t.sf(abs(estimate) / error, df)
    return [100 * math.expm1(x) for x in (estimate, estimate - half, estimate + half)], p, single


def corrected(p_values):
    """Holm's correction, as it is written in textbooks: reject while the i-th smallest is below level / (m - i)."""
    order = sorted(p_values, key=p_values.get)
    found, largest = {}, 0.0
    for i, name in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - i) * p_values[name]))
        found[name] = largest
    return found


def numbers(text):
    return [float(number.replace("−", "-")) for number in re.findall(r"[−+]?\d+(?:\.\d+)?", text)]


def shows(text, expected, what):
    """The text holds exactly these numbers, each rounded to the digits that it is shown with."""
    digits = re.findall(r"\d+(?:\.(\d+))?", text)
    assert len(digits) == len(expected), (what, text, expected)
    for value, decimals, number in zip(expected, digits, numbers(text), strict=True):
        assert number == pytest.approx(value, abs=0.5000001 * 10 ** -len(decimals)), (what, text, expected)


def agrees(cell, expected, what):
    """The cell shows these numbers, and is sorted by the first of them."""
    text, sort = cell
    shows(text, expected, what)
    if expected:
        assert float(sort) == pytest.approx(expected[0], rel=1e-5), (what, text, sort)
    else:
        assert sort is None, (what, text, sort)


def body(rows, header_rows):
    """(model, cells) of the rows below the headers."""
    model = None
    for row in rows[header_rows:]:
        if len(row) == 1:
            model = {"EGNN on TIP3P water, flexible": "egnn", "gns on TIP3P water, flexible": "gns"}[row[0][0]]
        else:
            yield model, row


def family(folder):
    """(model, arm, baseline, metric) -> p-value of every comparison that was declared."""
    return {
        (model, "masked", baseline, metric): change(errors(folder, metric), model, "masked", baseline)[1]
        for model, metric in (("egnn", FORCE), ("gns", ENERGY))
        for baseline in BASELINES
    }


def printed(expected):
    """What is printed of [change, low, high]: an interval that says nothing is left out."""
    return expected[:1] if len(expected) > 1 and expected[1] < 0 and expected[2] > 300 else expected


def test_the_main_table(run):
    folder, tables = run
    rows = tables["main-rmse"]
    assert [text for text, _ in rows[0]] == ["arm", "seeds", "force, meV/Å", "energy, meV per structure"]
    columns = ["RMSE", "RMSE vs scratch, %", "RMSE vs scratch-extended, %", "paper"]
    assert [text for text, _ in rows[1]] == [*columns, *columns]
    by_metric = {metric: errors(folder, metric) for metric in (FORCE, ENERGY)}
    declared = family(folder)
    told = {name for name, p in corrected(family(folder)).items() if p < 0.05}
    seen = set()
    for model, row in body(rows, 2):
        arm, cells = row[0][0], row[1:]
        seen.add((model, arm))
        finished = by_metric[FORCE][model, arm]
        assert numbers(cells[0][0])[:2] == [len(finished), 4]
        for at, metric in ((1, FORCE), (5, ENERGY)):
            values = by_metric[metric]
            agrees(cells[at], mean_sd(list(values[model, arm].values())), (model, arm, metric))
            for i, baseline in enumerate(BASELINES, start=1):
                compared = arm not in BASELINES or BASELINES.index(arm) >= i
                expected = change(values, model, arm, baseline)[0] if compared else []
                agrees(cells[at + i], printed(expected), (model, arm, metric, baseline))
                place = (model, arm, baseline, metric)
                assert ("*" in cells[at + i][0]) == (place in told)
                assert ("◦" in cells[at + i][0]) == (place in declared and place not in told)
                assert ("‡" in cells[at + i][0]) == (compared and len(finished) == 1)
            published = PUBLISHED.get((model, arm), ([], []))[at // 5]
            agrees(cells[at + 3], published, (model, arm, metric, "published"))
    assert seen == {(model, arm) for _, model, arm in OUTCOMES}
    assert told, "the made-up numbers hold a difference that can be told"


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_the_table_of_all_errors(run, checkpoint):
    folder, tables = run
    metrics = ("force_rmse_mev_per_A", "force_mae_mev_per_A", "energy_rmse_mev", "energy_mae_mev")
    metrics += ("energy_rmse_mev_per_atom", "energy_mae_mev_per_atom")
    count = 0
    for model, row in body(tables["errors" if checkpoint == "best" else "errors-last"], 2):
        for cell, metric in zip(row[2:], metrics, strict=True):
            values = errors(folder, metric, checkpoint=checkpoint)[model, row[0][0]]
            agrees(cell, mean_sd(list(values.values())), (model, row[0][0], metric))
            count += 1
    assert count == len(OUTCOMES) * len(metrics)


def compared(folder, rows):
    """Checks seeds, change and interval of rows; gives what they are and their further cells."""
    for model, row in body(rows, 1):
        (arm, baseline), quantity = row[0][0].split(" vs "), row[1][0]
        metric = {"force RMSE": FORCE, "energy RMSE": ENERGY}[quantity]
        what = (model, arm, baseline, metric)
        estimate, p, single = change(errors(folder, metric), model, arm, baseline)
        agrees(row[2], [len(single)], what)
        agrees(row[3], estimate[:1], what)
        if row[4][0] != "not determined":
            shows(row[4][0], estimate[1:], what)
        yield what, p, single, row[5:]


def test_the_table_of_primary_comparisons(run):
    folder, tables = run
    holm = corrected(family(folder))
    seen = set()
    for what, p, _, cells in compared(folder, tables["primary"]):
        seen.add(what)
        for cell, value in ((cells[0], p), (cells[1], holm[what])):
            if value < 0.001:
                assert cell[0] == "< 0.001"
            else:
                agrees(cell, [value], what)
        assert (cells[4][0] in ("lower", "higher")) == (holm[what] < 0.05)
    assert seen == set(holm)


def test_the_table_of_comparisons(run):
    folder, tables = run
    seen = set()
    for what, _, single, cells in compared(folder, tables["comparisons"]):
        seen.add(what)
        shows(cells[0][0], [min(single), max(single)][: len(single)], what)
    every = {
        (model, arm, baseline, metric)
        for metric in (FORCE, ENERGY)
        for model in ("egnn", "gns")
        for arm in ("masked", "denoised")
        for baseline in BASELINES
    }
    # One seed of GNS was denoised: a line of a note, and no rows.
    assert seen == {what for what in every if what[:2] != ("gns", "denoised")} - set(family(folder))


def test_no_table_goes_unchecked(run):
    _, tables = run
    names = {*BUILDERS, *tables} - {"main"} | {"main-rmse", "main-mae"}
    assert names == TRACED | set(BY_HAND)
    assert all((Path(__file__).parents[1] / file).exists() for file in BY_HAND.values())
    assert set(tables) >= TRACED


def test_the_table_of_changes(run):
    folder, tables = run
    metrics = (FORCE, "force_mae_mev_per_A", ENERGY, "energy_mae_mev", PER_ATOM, "energy_mae_mev_per_atom")
    count = 0
    for model, row in body(tables["changes"], 1):
        arm, baseline = row[0][0].split(" vs ")
        for cell, metric in zip(row[2:], metrics, strict=True):
            estimate, _, single = change(errors(folder, metric), model, arm, baseline)
            agrees(cell, printed(estimate), (model, arm, baseline, metric))
            assert row[1][0] == str(len(single))
            count += 1
    # Two arms (of GNS one: the other has one seed) against two baselines, and one baseline against the other.
    assert count == (5 + 3) * len(metrics)


def test_the_table_of_frames(run):
    folder, tables = run
    found = {}
    for path in folder.glob("cells/*/record.parquet"):
        for row in pq.ParquetFile(path).read().to_pylist():
            if row["split"]:
                found.setdefault(row["split"], set()).add((row["n_frames"], row["n_atoms"]))
    shown = {row[1][0]: {(int(row[2][0]), int(row[3][0]))} for row in tables["frames"][2:]}
    assert shown == found


def test_the_table_of_costs(run):
    folder, tables = run
    found = {}
    for path in folder.glob("cells/*/record.parquet"):
        row = pq.ParquetFile(path).read().to_pylist()[0]
        if row["status"] == "ok":
            found.setdefault((row["model"], row["strategy"]), []).append(row)
    count = 0
    for model, row in body(tables["costs"], 1):
        cells = found[model, row[0][0]]
        before, after = (np.mean([cell[f"{phase}_seconds"] for cell in cells]) for phase in ("pretrain", "finetune"))
        for cell, value in zip(row[2:5], (before, after, before + after), strict=True):
            agrees(cell, [value], (model, row[0][0]))
        agrees(row[5], [100 * before / (before + after)], (model, row[0][0]))
        agrees(row[6], [100 * cells[0]["finetune_epochs"] / after], (model, row[0][0]))
        count += 1
    assert count == len(OUTCOMES)


def test_the_plan_is_the_one_that_was_made(run):
    """The expectations above stand on what the factory wrote, not on what they were told."""
    folder, _ = run
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    assert len(plan["cells"]) == 4 * len(OUTCOMES)
    assert len(errors(folder, FORCE)["egnn", "masked"]) == 4
    assert errors(folder, FORCE)["egnn", "masked"][2] == 58.3


def test_every_table_of_any_run_has_a_name_and_rows_as_wide_as_its_header(make_run):
    for at, outcomes in enumerate(
        ({}, KNOWN, {"scratch": {0: None}}, {"masked": {0: (0.0, 0.0)}, "scratch": {0: ("failed", "why")}})
    ):
        for name, table in report_tables(results_of(make_run, outcomes, name=f"run-{at}")).items():
            assert table.name == name
            assert table.caption.endswith((".", "?"))
            assert all(len(row) == len(table.columns) for _, rows in table.groups for row in rows)
            assert not any("nan" in cell for _, rows in table.groups for row in rows for cell in row)
