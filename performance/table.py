"""Findings as a table on the terminal, as JSON, and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from performance.rows import Finding

HEADINGS = ("row", "what", "against", "wanted", "measured", "quartiles", "")
SIGNS = {"at least": "≥", "at most": "≤"}


def cells(finding: Finding) -> tuple[str, ...]:
    """A finding as the cells of a table's row."""
    wanted = "–" if finding.wanted is None else f"{SIGNS[finding.sense]} {_number(finding.wanted, finding.unit)}"
    quartiles = "–" if finding.quartiles is None else " to ".join(_number(q, "") for q in finding.quartiles)
    verdict = {None: "", True: "met", False: "short"}[finding.met]
    measured = _number(finding.value, finding.unit)
    return (finding.row, finding.what, finding.against, wanted, measured, quartiles, verdict)


def _number(value: float, unit: str) -> str:
    digits = f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return f"{digits} {unit}".rstrip()


def terminal(findings: Sequence[Finding]) -> Table:
    """For rich."""
    table = Table(*HEADINGS)
    for finding in findings:
        table.add_row(*cells(finding))
    return table


def markdown(findings: Sequence[Finding], machine: dict[str, Any]) -> str:
    """A table, and under it the machine."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    lines += ["| " + " | ".join(cells(finding)) + " |" for finding in findings]
    hardware, versions = machine["hardware"], machine["versions"]
    seen = [f"{hardware['processor']}, {hardware['cores']} cores, {hardware['memory_gb']} GB", hardware["system"]]
    seen += [hardware["accelerator"]] if hardware["accelerator"] else []
    seen += [f"{hardware['threads']} threads a step", f"torch {versions['torch']}", f"commit {machine['git_commit']}"]
    return "\n".join([*lines, "", "Measured on: " + ", ".join(seen) + "."])


def write(path: Path, findings: Sequence[Finding], machine: dict[str, Any]) -> None:
    """Findings, and the machine that they were found on, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"schema": 1, **machine, "findings": [asdict(finding) | {"met": finding.met} for finding in findings]}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> tuple[list[Finding], dict[str, Any]]:
    """What `write` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    findings = []
    for entry in content.pop("findings"):
        quartiles = entry["quartiles"] and tuple(entry["quartiles"])
        findings.append(Finding(**{k: v for k, v in entry.items() if k != "met"} | {"quartiles": quartiles}))
    return findings, content
