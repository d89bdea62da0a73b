"""The house of the reports: who imports whom, what importing costs, and that the code knows no dataset by name."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import reports
from reports.analysis.published import published

ROOT = Path(reports.__file__).parent
FLOORS = ("records", "analysis", "text", "tables", "figures", "page")
"""Ground first: a module imports of its own floor and of those below."""
HEAVY = ("torch", "scipy", "jinja2", "matplotlib", "seaborn", "ase")
MODULES = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in ROOT.rglob("*.py")}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def imported(tree):
    """Modules that are imported anywhere in a tree: `a.b` of both `import a.b` and `from a.b import c`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ([node.module] if node.module in MODULES else [])
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_reading_and_writing_records_is_light():
    names = [name for name in MODULES if name.startswith("reports.records.") and not name.endswith("__init__")]
    assert "reports.records.merge" in names
    assert run(f"import sys, {', '.join(names)}; print([m for m in {HEAVY} if m in sys.modules])") == "[]"


def test_making_a_report_does_not_import_torch(make_run):
    folder = make_run({"scratch": {0: (120.0, 500.0)}})
    code = f"from reports.page.write import build_report; build_report({str(folder)!r}); import sys; "
    assert run(code + "print('torch' in sys.modules)") == "False"
    assert (folder / "report" / "index.html").exists()


def test_no_import_runs_upward_or_in_a_circle():
    graph = {name: {other for other in imported(tree) if other in MODULES} for name, tree in TREES.items()}
    for name, others in graph.items():
        floor = name.split(".")[1]
        for other in others:
            assert FLOORS.index(other.split(".")[1]) <= FLOORS.index(floor), f"{name} imports {other}"
    assert len(tuple(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_reports_stand_alone():
    found = {name.split(".")[0] for tree in TREES.values() for name in imported(tree)}
    assert found & {"benchmark", "tasks", "torch"} == set()
    assert found >= {"reports", "pandas"}


@pytest.mark.parametrize("path", sorted(MODULES.values()), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_stand_at_the_top(path):
    """Nothing is imported late: what is heavy is in a module of its own."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert late == [node.lineno for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]


def test_the_code_knows_no_dataset_model_or_pretext_by_name():
    """`published.yaml` names them, as data, and plans of schema 1 have to be read by name; all else asks the plan."""
    blocks = [*published().paper, *published().anchors]
    kinds = {block.dataset for block in blocks} | {row.model for block in published().paper for row in block.rows}
    kinds |= {row.arm for block in published().paper for row in block.rows} - {"scratch"}
    assert {"rmd17", "egnn", "masking"} <= kinds
    for name, tree in TREES.items():
        documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        words = {
            word
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
            for word in node.value.lower().split()
        }
        assert name == "reports.records.older" or not words & kinds, name
