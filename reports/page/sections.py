"""What stands where in a report: sections of parts, the same for the page and the Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from reports.analysis.results import Results
from reports.analysis.simulations import Used, used
from reports.figures.comparison import MOST_ROWS, comparisons
from reports.figures.convergence import MOST_PAIRS, convergence
from reports.figures.drawing import Drawing
from reports.figures.escape import MOST_DRAWINGS as MOST_ESCAPES
from reports.figures.escape import escapes
from reports.figures.forest import forest
from reports.figures.predictions import MOST_DRAWINGS, distributions, parity
from reports.figures.sweep import explanation, sweep_figures
from reports.page.in_use import TABLES, TITLE, pieces, sentence
from reports.records.run import Run
from reports.tables.comparison import Comparison
from reports.tables.table import Table
from reports.text.cautions import cautions, data_warnings
from reports.text.citing import how_to_cite
from reports.text.formatting import plural
from reports.text.glossary import GLOSSARY
from reports.text.headline import compared, headline, rules

STATE_NAMES = {"ok": "finished", "diverged": "diverged", "failed": "failed", "running": "running", "pending": "pending"}

SMOKE = "smoke"
"""The scale at which suites only show that they work."""

MOST_SWEEPS = 12
"""Figures of an ablation on one page."""


@dataclass(frozen=True)
class Part:
    """One piece of a section.

    `kind` and its `content`: `heading`, `text`, `code` (str); `lead`, `notes` (list of str: sentences, warnings);
    `table` (Table); `figure` (Drawing); `terms` (pairs of str); `references`
    (list of Reference); `choices` (None: what the convergence figures show); `aside` (list of Part, folded away under
    the `title`).
    """

    kind: Literal[
        "heading",
        "text",
        "code",
        "lead",
        "notes",
        "table",
        "figure",
        "terms",
        "references",
        "choices",
        "aside",
    ]
    content: Any
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A section under a heading; `id` is its anchor."""

    id: str
    title: str
    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """All that a page shows."""

    title: str
    summary: str
    """What was run, in a line."""
    description: str
    """The question."""
    badge: str
    """What a reader must know of all numbers at a glance; empty for nothing."""
    strategies: list[str]
    sections: list[Section]

    @property
    def drawings(self) -> list[Drawing]:
        return [part.content for section in self.sections for part in _flat(section.parts) if part.kind == "figure"]

    @property
    def tables(self) -> list[Table]:
        return [part.content for section in self.sections for part in _flat(section.parts) if part.kind == "table"]


def _flat(parts: Iterable[Part]) -> Iterable[Part]:
    for part in parts:
        if part.kind == "aside":
            yield from _flat(part.content)
        else:
            yield part


def _limit(count: int, most: int, rest: str) -> list[Part]:
    """A word on what is not drawn, where as much is drawn as may be."""
    text = f"At most {most} pairs of dataset and model are drawn, to keep the page small. {rest}"
    return [Part("text", text)] if count >= most else []


def _figures(drawings: Sequence[Drawing], nothing: str) -> list[Part]:
    return [Part("figure", drawing) for drawing in drawings] or [Part("text", nothing)]


def _summary(run: Run) -> str:
    counts = [f"{run.count(state)} {name}" for state, name in STATE_NAMES.items() if run.count(state)]
    what = f"Suite {run.plan.suite}, scale {run.plan.scale}: {plural(len(run.plan.cells), 'cell')}"
    return ", ".join([what, *counts]) + "."


def _badge(run: Run) -> str:
    return f"{SMOKE}: too short to conclude" if SMOKE in run.plan.scale.split(" + ") else ""


def _in_use(simulations: Used, tables: list[Part]) -> Section:
    found = pieces(simulations)
    figures = [Part("figure", drawing) for drawing in found.figures]
    return Section(
        "in-use", TITLE, [Part("text", found.text), *tables, *figures, *(Part("text", n) for n in found.notes)]
    )


def _findings(results: Results, simulations: Used | None) -> Section:
    every = [
        Part("notes", data_warnings(results)),
        Part("lead", [*headline(results), *([sentence(simulations)] if simulations else [])]),
        *(Part("figure", drawing) for drawing in forest(results)),
        Part("terms", compared(results)),
        Part("text", rules(results)),
        Part("notes", cautions(results)),
    ]
    return Section("findings", "The finding", [part for part in every if part.content])


ESCAPED = (
    "Training begins on a plateau, where a network does no better than to predict no force at all. Networks that have "
    "just left it are compared by when they left it. Lines are the share of cells that are still on it (Kaplan and "
    "Meier)."
)
CONVERGENCE = (
    "Validation error during finetuning. Lines are means over the finished seeds, bands reach from the smallest to the "
    "largest seed; on the page, numbers show where the pointer rests on a marked point, and curves.parquet holds all. "
    "Error axes are logarithmic. An arm starts where its pretraining ended, or at zero if pretraining is not counted."
)
COMPARED = (
    "Test errors of the best checkpoint, logarithmic: faint points are single seeds that finished, the marker is their "
    "mean, and its line one standard deviation to each side."
)
PREDICTED = (
    "A random sample of test predictions, from the smallest seed of each arm. Energies are per atom, after subtracting "
    "the training set's reference energies of the elements. Points on the diagonal are exact."
)


def _sections(results: Results, made: dict[str, Table]) -> list[Section]:
    plan = results.run.plan

    def shown(*names: str) -> list[Part]:
        return [Part("table", made[name]) for name in names if name in made]

    def folded(title: str, *names: str) -> list[Part]:
        found = shown(*names)
        return [Part("aside", found, title)] if found else []

    simulations = used(results)
    sections = [
        _findings(results, simulations),
        Section(
            "results",
            "Test errors",
            [
                *shown("main-rmse", "main-mae", "anchors"),
                *folded("All error metrics; the last checkpoint", "errors", "errors-last"),
            ],
        ),
        Section(
            "statistics",
            "Statistics",
            [
                *shown("primary", "pooled", "losses", "seeds"),
                *folded("Exploratory comparisons, without verdicts", "comparisons"),
                *folded("The changes of every metric", "changes"),
            ],
        ),
    ]
    plateau = escapes(results)
    parts = [Part("text", ESCAPED), *(Part("figure", drawing) for drawing in plateau)] if plateau else []
    parts.extend(_limit(len(plateau), MOST_ESCAPES, "The table has the numbers of all."))
    sections.append(Section("escape", "Escape from the plateau", [*parts, *shown("escape", "handover")]))
    drawn = convergence(results)
    section = Section("convergence", "Convergence", [Part("text", CONVERGENCE)])
    if drawn:
        section.parts.append(Part("choices", None))
    section.parts.extend(_figures(drawn, "No cell has finished, so there is no curve to draw."))
    section.parts.extend(_limit(len(drawn), MOST_PAIRS, "The curves of all are in curves.parquet."))
    section.parts.extend(shown("late"))
    section.parts.append(Part("heading", "Speed-up"))
    section.parts.extend([*shown("speedup"), *folded("What it takes to reach that error", "reach")])
    if side_by_side := comparisons(results):
        section.parts.append(Part("heading", "The paper's comparisons"))
        section.parts.append(Part("text", COMPARED))
        section.parts.extend(Part("figure", drawing) for drawing in side_by_side)
        section.parts.extend(_limit(len(plan.pairs), MOST_ROWS, "The tables have the numbers of all."))
    sections.append(section)

    if plan.sweep:
        swept = sweep_figures(results)
        parts = [Part("text", explanation(plan.sweep))]
        parts.extend(_figures(swept[:MOST_SWEEPS], "No cell on this axis has finished."))
        parts.extend(_limit(len(swept), MOST_SWEEPS, "The tables have the numbers of all."))
        sections.append(Section("ablations", f"Ablation: {plan.sweep.label}", [*parts, *shown("sweep")]))

    if simulations:
        sections.append(_in_use(simulations, shown(*TABLES)))

    detail = Section("detail", "Detail by system")
    drawings = parity(results)
    if drawings:
        detail.parts.append(Part("text", PREDICTED))
        detail.parts.extend(Part("figure", drawing) for drawing in [*drawings, *distributions(results)])
        detail.parts.extend(_limit(len(drawings), MOST_DRAWINGS, "The tables have the numbers of all."))
    detail.parts.extend(shown("quantiles", "elements", "molecules", "molecules-2", "further"))
    sections.append(detail)
    sections.append(Section("cost", "Cost", shown("costs")))
    sections.append(_run(results, shown("arms", "unfinished", "frames", "audit"), shown))
    sections.append(Section("reading", "How to read this", [Part("terms", GLOSSARY)]))
    return sections


def _run(results: Results, first: list[Part], shown: Any) -> Section:
    plan = results.run.plan
    return Section(
        "run",
        "What was run and what was not",
        [
            *first,
            *shown("sources", "conflicts"),
            Part("heading", "To repeat it"),
            Part("code", plan.command),
            Part("aside", shown("software", "splits"), "Software, hardware, hashes of the splits"),
            Part("aside", [Part("code", json.dumps(plan.config, indent=2, ensure_ascii=False))], "Configuration"),
            Part("heading", "How to cite"),
            Part("references", how_to_cite(results)),
        ],
    )


def report(results: Results, tables: dict[str, Table]) -> Report:
    """The report of a run, with these tables."""
    run = results.run
    return Report(
        run.plan.title,
        _summary(run),
        run.plan.description,
        _badge(run),
        list(run.plan.strategies),
        _sections(results, tables),
    )


def comparison(compared: Comparison, a: Run, b: Run) -> Report:
    """The report of two runs side by side."""
    section = Section("findings", "What differs", [Part("lead", compared.sentences)])
    section.parts.extend(Part("table", table) for table in compared.tables)
    strategies = list(dict.fromkeys([*a.plan.strategies, *b.plan.strategies]))
    title = f"{a.plan.title}, {a.folder.name} and {b.folder.name}"
    badge = _badge(a) or _badge(b)
    return Report(title, f"A: {_summary(a)} B: {_summary(b)}", "", badge, strategies, [section])
