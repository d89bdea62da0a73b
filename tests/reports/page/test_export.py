"""Tables as files: every number in full, and text that LaTeX and spreadsheets read back."""

import csv
import io
import re
import statistics as closed_form

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.analysis.results import Results
from reports.page.export import latex_text, table_csv, table_tex, write_tables
from reports.records.run import read_run
from reports.tables.every import report_tables
from reports.tables.table import Column, Number, Table

FULL = {
    "scratch": {0: (120.0, 510.0), 1: (131.0, 540.0), 2: (137.0, 600.0)},
    "masked": {0: (64.0, 101.0), 1: (66.5, 480.0), 2: (69.25, 117.0)},
}
TABLE = Table(
    "5 % & more_of ~ it",
    [Column("arm", numeric=False), Column("RMSE", "force, meV/Å"), Column("MAE", "force, meV/Å")],
    [("EGNN", [["a_b", Number("1.2 ± 0.1", 1.23456789), "–"]]), ("GNS", [["[x]", Number("−3*", -3.25), "#1"]])],
    ("A note with $ and \\.",),
    name="made-up",
)


def test_all_tables_of_a_report_are_written(make_run, tmp_path):
    results = Results(read_run(make_run(FULL)))
    paths = write_tables(results, report_tables(results), tmp_path / "tables")
    assert sorted(paths) == sorted((tmp_path / "tables").iterdir())
    names = {path.name for path in paths}
    assert {"main-rmse.csv", "main-rmse.tex", "comparisons.csv", "costs.tex", "all-means.csv"} <= names
    assert "elements.csv" not in names  # nothing was recorded
    first = {path.name: path.read_bytes() for path in paths}
    assert first == {
        path.name: path.read_bytes() for path in write_tables(results, report_tables(results), tmp_path / "tables")
    }


def test_numbers_are_there_in_full(make_run, tmp_path):
    results = Results(read_run(make_run(FULL)))
    write_tables(results, report_tables(results), tmp_path)
    with (tmp_path / "main-rmse.csv").open(encoding="utf-8") as file:
        rows = {row["arm"]: row for row in csv.DictReader(file)}
    mean = closed_form.mean(pair[0] for pair in FULL["masked"].values())
    assert float(rows["masked"]["force, meV/Å: RMSE (value)"]) == pytest.approx(mean, rel=1e-15)
    assert rows["masked"]["group"] == "EGNN on TIP3P water, flexible"
    with (tmp_path / "all-changes.csv").open(encoding="utf-8") as file:
        changes = {(row["strategy"], row["baseline"], row["metric"]): row for row in csv.DictReader(file)}
    ratios = [FULL["masked"][seed][0] / FULL["scratch"][seed][0] for seed in range(3)]
    change = float(changes["masked", "scratch", "force_rmse_mev_per_A"]["change_percent"])
    assert change == pytest.approx(100 * (closed_form.geometric_mean(ratios) - 1))


def test_csv_reads_back():
    rows = list(csv.reader(io.StringIO(table_csv(TABLE))))
    assert rows == [
        ["group", "arm", "force, meV/Å: RMSE", "force, meV/Å: RMSE (value)", "force, meV/Å: MAE"],
        ["EGNN", "a_b", "1.2 ± 0.1", "1.23456789", "–"],
        ["GNS", "[x]", "−3*", "-3.25", "#1"],
    ]


def test_latex_is_a_booktabs_table_with_escaped_text():
    text = table_tex(TABLE)
    assert text.splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\caption{5 \% \& more\_of \textasciitilde{} it}",
        r"\label{tab:made-up}",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r" & \multicolumn{2}{c}{force, meV/\AA{}} \\",
        r"\cmidrule(lr){2-3}",
        r"arm & RMSE & MAE \\",
        r"\midrule",
        r"\multicolumn{3}{l}{\textit{EGNN}} \\",
        r"a\_b & 1.2 $\pm$ 0.1 & -- \\",
        r"\addlinespace",
        r"\multicolumn{3}{l}{\textit{GNS}} \\",
        r"{[}x] & $-$3* & \#1 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\smallskip\footnotesize A note with \$ and \textbackslash{}.",
        r"\end{table}",
    ]


def test_every_latex_row_has_as_many_cells_as_columns(make_run, tmp_path):
    results = Results(read_run(make_run(FULL)))
    for path in write_tables(results, report_tables(results), tmp_path):
        if path.suffix == ".tex":
            text = path.read_text(encoding="utf-8")
            width = len(re.search(r"\\begin\{tabular\}\{([lr]+)\}", text).group(1))
            for line in text.splitlines():
                if line.endswith(r"\\"):
                    spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
                    assert len(re.findall(r"(?<!\\)&", line)) + 1 + spanned == width, line


@given(st.text())
def test_no_active_sign_is_left_in_latex(text):
    escaped = latex_text(text)
    assert "\n" not in escaped
    # What remains after the commands and escapes that the function itself writes.
    rest = re.sub(r"\\(text[a-z]+|AA|dag|ddag|S|P)\{[^{}]*\}|\$\\?[a-z−-]+\$|\\[{}$&%#_]|~", "", escaped)
    assert not re.search(r"[\\{}$&%#_^~]", rest)
