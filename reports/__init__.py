"""Records -> tables, figures, HTML, Markdown. A report is a function of the records; nothing here trains."""

from reports.page import ReportPaths, build_report, summary_table
from reports.records import CURVE_METRICS, METRICS, Record, RecordError, write_curves, write_records
from reports.run import Plan, Run, Sweep, read_run

__all__ = [
    "CURVE_METRICS",
    "METRICS",
    "Plan",
    "Record",
    "RecordError",
    "ReportPaths",
    "Run",
    "Sweep",
    "build_report",
    "read_run",
    "summary_table",
    "write_curves",
    "write_records",
]
