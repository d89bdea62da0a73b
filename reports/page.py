"""The report: one HTML page that needs no network, and the same in Markdown with its figures beside it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from reports import tables
from reports.files import replacing
from reports.findings import HEADLINES, cautions, findings
from reports.reading import READING
from reports.records import CURVE_SCHEMA, RECORD_SCHEMA, write_frame
from reports.results import Results
from reports.run import Run, read_run


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
    return re.sub(r" (?=[±%]|meV)|(?<=±) ", "\N{NO-BREAK SPACE}", text)


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
    environment.globals["zip"] = zip
    return environment


def _context(run: Run) -> dict[str, Any]:
    # Training processes import this package to write records: they need no plotting.
    from reports.figures import convergence
    from reports.sweeps import explanation, sweep_figures, sweep_table

    results = Results(run)
    plan = run.plan
    return {
        "plan": plan,
        "states": {state: run.count(state) for state in ("ok", "diverged", "failed", "running", "pending")},
        "cautions": cautions(results),
        "findings": findings(results),
        "errors": tables.error_table(results),
        "errors_last": tables.error_table(results, "last"),
        "changes": tables.change_table(results),
        "reach": tables.reach_table(results),
        "costs": tables.cost_table(results),
        "arms": tables.arm_table(results),
        "splits": tables.split_table(results),
        "unfinished": tables.unfinished_table(results),
        "provenance": tables.provenance_table(results),
        "split_hashes": tables.split_hash_table(results),
        "sweep_figures": sweep_figures(results),
        "sweep_words": explanation(plan.sweep) if plan.sweep else "",
        "sweep_table": sweep_table(results),
        "figures": [drawing for metric in HEADLINES for drawing in convergence(run, metric)],
        "config": json.dumps(plan.config, indent=2, ensure_ascii=False),
        "reading": READING,
    }


def build_report(run_folder: Path, out: Path | None = None) -> ReportPaths:
    """Write the report of a run folder, finished or not, into `out` (default: `report` in the run folder).

    Writes `index.html`, `report.md`, `figures/*.png`, and the merged `records.parquet` and `curves.parquet`.
    All of it is made before the first file is written, and each file is replaced in one step. The same
    records give the same bytes. Raises `RecordError` if the run folder cannot be read, `OSError` if `out`
    cannot be written.
    """
    run = read_run(run_folder)
    out = Path(out) if out is not None else run.folder / "report"
    context = _context(run)
    environment = _environment()
    style = Markup(environment.get_template("style.css").render())
    html = environment.get_template("index.html.j2").render(context, style=style)
    markdown = environment.get_template("report.md.j2").render(context)

    (out / "figures").mkdir(parents=True, exist_ok=True)
    write_frame(run.records, out / "records.parquet", RECORD_SCHEMA)
    write_frame(run.curves, out / "curves.parquet", CURVE_SCHEMA)
    paths = ReportPaths(out / "index.html", out / "report.md")
    drawings = [*context["sweep_figures"], *context["figures"]]
    files = {out / "figures" / f"{figure.name}.png": figure.png for figure in drawings}
    files |= {paths.markdown: markdown.encode(), paths.html: html.encode()}
    for path, content in files.items():
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    return paths


def summary_table(run: Run) -> pd.DataFrame:
    """The headline numbers as text, one row an arm, ready for a terminal.

    A DataFrame with the columns dataset, model, arm, seeds (finished of planned), test errors of the best
    checkpoint (mean ± sd) and their seed-paired change against every baseline.
    """
    return tables.summary_frame(Results(run))
