"""Tables as files: CSV for programs and spreadsheets, LaTeX (booktabs) for papers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

from reports.analysis.results import Results
from reports.analysis.statistics import summarise
from reports.records.atomic import replacing
from reports.tables.table import Table, sort_value

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "±": r"$\pm$", "−": "$-$", "×": r"$\times$", "Å": r"\AA{}", "–": "--", "†": r"\dag{}",
    "‡": r"\ddag{}", "§": r"\S{}", "\N{NO-BREAK SPACE}": "~", "²": r"\textsuperscript{2}", "σ": r"$\sigma$",
    "·": r"$\cdot$", "≤": r"$\leq$", "≥": r"$\geq$", "₂": r"\textsubscript{2}",
    "◦": r"$\circ$", "ᵖ": r"\textsuperscript{p}", "°": r"\textdegree{}", "¶": r"\P{}",
}  # fmt: skip


def latex_text(text: object) -> str:
    """Text that LaTeX prints as it is, on one line."""
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(str(text).split()))


def table_tex(table: Table) -> str:
    r"""A table as LaTeX, to be `\input`; it needs the package booktabs and UTF-8 input."""
    upper = []
    if len(table.headers) > 1:
        spans = [
            rf"\multicolumn{{{n}}}{{c}}{{{latex_text(group)}}}" if group else " & " * (n - 1)
            for group, n in table.headers
        ]
        upper.append(" & ".join(spans) + r" \\")
        start, rules = 1, []
        for group, n in table.headers:
            if group:
                rules.append(rf"\cmidrule(lr){{{start}-{start + n - 1}}}")
            start += n
        upper.append("".join(rules))
    head = " & ".join(latex_text(column.title) for column in table.columns) + r" \\"
    body: list[str] = []
    for heading, rows in table.groups:
        if rows and body:
            body.append(r"\addlinespace")
        if rows and heading:
            body.append(rf"\multicolumn{{{len(table.columns)}}}{{l}}{{\textit{{{latex_text(heading)}}}}} \\")
        # A row that begins with a bracket would be read as the option of the line break before it.
        body += [" & ".join(re.sub(r"^\[", "{[}", latex_text(cell)) for cell in row) + r" \\" for row in rows]
    notes = [rf"\par\smallskip\footnotesize {latex_text(note)}" for note in table.notes]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(table.caption)}}}",
            rf"\label{{tab:{table.name}}}",
            rf"\begin{{tabular}}{{{''.join('r' if column.numeric else 'l' for column in table.columns)}}}",
            r"\toprule",
            *upper,
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *notes,
            r"\end{table}",
            "",
        ]
    )


def table_csv(table: Table) -> str:
    """A table as CSV: a first column with the heading of the group, then the cells as printed.

    Every column that holds numbers is followed by one titled `(value)` with the number that its cell is sorted by,
    in full precision and the same unit, empty where there is none.
    """
    valued = [
        any(sort_value(row[i]) is not None for _, rows in table.groups for row in rows)
        for i in range(len(table.columns))
    ]
    header = ["group"]
    for column, has_value in zip(table.columns, valued, strict=True):
        header += [column.full, f"{column.full} (value)"] if has_value else [column.full]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for heading, rows in table.groups:
        for row in rows:
            line: list[str] = [heading]
            for cell, has_value in zip(row, valued, strict=True):
                value = sort_value(cell)
                line += [str(cell), "" if value is None else repr(value)] if has_value else [str(cell)]
            writer.writerow(line)
    return buffer.getvalue()


def write_tables(results: Results, tables: Mapping[str, Table], folder: Path) -> list[Path]:
    """Write these tables, but for empty ones, as NAME.csv and NAME.tex into `folder`, and two with all digits.

    `all-means.csv` (`statistics.summarise`, best checkpoint) and `all-changes.csv` (`Results.comparisons`) hold
    every number, one a row. Each file is replaced in one step; `OSError` if `folder` cannot be written. Returns
    the paths.
    """
    folder = Path(folder)
    files = {
        "all-means.csv": summarise(results.run.records, results.metrics).to_csv(index=False, lineterminator="\n"),
        "all-changes.csv": results.comparisons.to_csv(index=False, lineterminator="\n"),
    }
    for name, table in tables.items():
        if not table.empty:
            files |= {f"{name}.csv": table_csv(table), f"{name}.tex": table_tex(table)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return [folder / name for name in files]
