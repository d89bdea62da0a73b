"""Records -> tables, figures, HTML, Markdown. A report is a function of the records; nothing here trains."""

from reports.comparing import Comparison, compare
from reports.details import ELEMENT_SCHEMA, MOST_PREDICTIONS, PREDICTION_SCHEMA, write_elements, write_predictions
from reports.merging import read_runs
from reports.page import ReportPaths, build_comparison, build_report, summary_table
from reports.plan import Plan, Sweep
from reports.records import CURVE_METRICS, METRICS, Record, RecordError, write_curves, write_records
from reports.run import Run, read_run

__all__ = [
    "CURVE_METRICS",
    "ELEMENT_SCHEMA",
    "METRICS",
    "MOST_PREDICTIONS",
    "PREDICTION_SCHEMA",
    "Comparison",
    "Plan",
    "Record",
    "RecordError",
    "ReportPaths",
    "Run",
    "Sweep",
    "build_comparison",
    "build_report",
    "compare",
    "read_run",
    "read_runs",
    "summary_table",
    "write_curves",
    "write_elements",
    "write_predictions",
    "write_records",
]
