"""The report: one HTML page that needs no network, and the same in Markdown with its figures beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from reports.analysis.results import Results
from reports.figures.palette import COLOURS, DARK_COLOURS, pens, variables
from reports.figures.svg import STYLE
from reports.page.export import write_tables
from reports.page.sections import Report, comparison, report
from reports.page.stale import remove_stale
from reports.records.atomic import replacing
from reports.records.merge import read_runs
from reports.records.parquet import write_frame
from reports.records.record import CURVE_SCHEMA, RECORD_SCHEMA
from reports.records.run import Run, read_run
from reports.tables.comparison import compare
from reports.tables.errors import summary_frame
from reports.tables.every import report_tables
from reports.tables.table import STUCK, sort_value


@dataclass(frozen=True)
class ReportPaths:
    """Where a report was written."""

    html: Path
    markdown: Path


def markdown_text(value: object) -> str:
    """Text that Markdown and HTML within it show as it is, on one line (so also in a table)."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", text)


def unbroken(text: str) -> str:
    """Text in which no line ends between a number and its sign, sd or unit."""
    return re.sub(r" (?=[±%<]|meV)|(?<=[±<]) ", "\N{NO-BREAK SPACE}", text)


def whole(text: str) -> str:
    """A number with its sd, sign or range as one word; of text without digits only the last sign."""
    return re.sub(" " if re.search(r"\d", text) else r" (?=\W$)", "\N{NO-BREAK SPACE}", text)


def arm_name(text: str) -> str:
    """The arm that a row is about, from the text that heads the row."""
    return text.partition(" vs ")[0].removesuffix(" (baseline)").removesuffix(STUCK)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = markdown_text
    environment.filters["unbroken"] = unbroken
    environment.filters["whole"] = whole
    environment.filters["arm_name"] = arm_name
    environment.globals["sort_value"] = sort_value
    return environment


def _style(environment: jinja2.Environment) -> str:
    template = environment.get_template("style.css")
    return template.render(arms=variables(COLOURS), dark_arms=variables(DARK_COLOURS), plots=STYLE)


def _write(report: Report, out: Path, beside: Sequence[Path] = ()) -> ReportPaths:
    """Write page, Markdown and figures of a report into `out`; all is made before the first file is written.

    Args:
        report: the report.
        out: where to.
        beside: files of it that are there already. What an earlier report has left is removed.
    """
    environment = _environment()
    html = environment.get_template("index.html.j2").render(
        report=report,
        style=Markup(_style(environment)),
        script=Markup(environment.get_template("script.js").render()),
        pens=pens(report.strategies),
    )
    markdown = environment.get_template("report.md.j2").render(report=report)
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    paths = ReportPaths(out / "index.html", out / "report.md")
    files = {figures / f"{drawing.name}.svg": drawing.file.encode() for drawing in report.drawings}
    files |= {paths.markdown: markdown.encode(), paths.html: html.encode()}
    for path, content in files.items():
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    remove_stale(out, [*beside, *files])
    return paths


def build_report(run_folders: Path | Sequence[Path], out: Path | None = None) -> ReportPaths:
    """Write the report of one or more run folders, finished or not, into `out`.

    Writes `index.html`, `report.md`, `figures/*.svg`, `tables/*.csv` and `*.tex`, the merged `records.parquet` and
    `curves.parquet`, and `files.json`, which names these: what a report before wrote and this one does not is removed.
    `out` is by default `report` in the (first) run folder. Page, Markdown and figures are made before the first file is
    written, and each file is replaced in one step. The same records give the same bytes.
    Raises `RecordError` if a run folder cannot be read, `OSError` if `out` cannot be written.
    """
    folders = [Path(run_folders)] if isinstance(run_folders, (str, Path)) else [Path(path) for path in run_folders]
    run = read_runs(folders)
    out = Path(out) if out is not None else folders[0] / "report"
    results = Results(run)
    tables = report_tables(results)
    made = report(results, tables)
    out.mkdir(parents=True, exist_ok=True)
    merged = out / "records.parquet", out / "curves.parquet"
    write_frame(run.records, merged[0], RECORD_SCHEMA)
    write_frame(run.curves, merged[1], CURVE_SCHEMA)
    return _write(made, out, [*merged, *write_tables(results, tables, out / "tables")])


def build_comparison(a: Path, b: Path, out: Path) -> ReportPaths:
    """Write two run folders side by side into `out`: `index.html` and `report.md`.

    Raises `RecordError` if a run folder cannot be read, `OSError` if `out` cannot be written.
    """
    first, second = read_run(a), read_run(b)
    return _write(comparison(compare(first, second), first, second), Path(out))


def summary_table(run: Run) -> pd.DataFrame:
    """The headline numbers as text, one row an arm, ready for a terminal.

    A DataFrame with the columns dataset, model, arm, seeds (finished of planned), test errors of the best
    checkpoint (mean ± sd) and their seed-paired change against every baseline.
    """
    return summary_frame(Results(run))
