"""What the engine may know of reports: how to write records, and whether a run knows enough."""

from __future__ import annotations

import ast

from tests.benchmark.runs import ROOT

STATISTICS = {"benchmark/run/length/growth.py": {"reports.analysis.stopping"}}
"""A run that stops when it knows enough goes by the same intervals as its report."""
PRINTS = {f"benchmark/cli/{verb}.py": {"reports.page.write"} for verb in ("main", "use")}
"""The command line ends with the report."""


def test_the_engine_knows_the_records_and_whether_a_run_knows_enough():
    for path in (ROOT / "benchmark").rglob("*.py"):
        name = str(path.relative_to(ROOT))
        found = {
            node.module
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reports.")
        }
        further = {module for module in found if not module.startswith("reports.records.")}
        assert further <= STATISTICS.get(name, set()) | PRINTS.get(name, set()), name
