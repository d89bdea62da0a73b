"""The finding of a report in a few sentences: whether anything was learned, the primary comparisons, what was lost."""

from __future__ import annotations

from reports.analysis.results import Results
from reports.text.arms import opening
from reports.text.formatting import plural
from reports.text.verdicts import planned, references, sentence

UNDECLARED = (
    "No primary comparison was declared before this run, so that it has no verdicts: all comparisons are exploratory. "
    "For verdicts, declare a few under `primary` in the suite and run it anew."
)


def nothing_learned(results: Results) -> str:
    """Says that no arm beats the references in forces; empty if one does, or none is known."""
    plan = results.run.plan
    found = [results.learned(arm, results.headline_metrics(arm.dataset)[0]) for arm in plan.arms]
    known = [beaten for beaten in found if beaten is not None]
    if not known or any(known):
        return ""
    names = dict.fromkeys(
        name
        for dataset in dict.fromkeys(arm.dataset for arm in plan.arms)
        for name in results.reference_names(dataset, results.headline_metrics(dataset)[0])
    )
    return (
        f"Nothing was learned yet: no arm beats the references that need no network ({references(list(names))}) in its "
        "force errors, so that comparisons say nothing. Train longer first."
    )


def headline(results: Results) -> list[str]:
    """What a reader who stops here should take away: the verdict on each primary comparison, a paragraph for an arm."""
    plan = results.run.plan
    if not plan.cells:
        return ["No cell was planned: there is nothing to compare."]
    if not plan.baselines and not results.primaries:
        return ["No baseline was planned: nothing is compared."]
    first = [text for text in [nothing_learned(results)] if text]
    if not results.primaries:
        return [*first, UNDECLARED]
    paragraphs: dict[tuple[str, ...], list[str]] = {}
    absent = 0
    for place in results.primaries:
        if not planned(results, place):
            absent += 1
            continue
        said = paragraphs.setdefault((place.dataset, place.model, place.strategy, place.metric), [])
        named = any(text.startswith(opening(plan, place.strategy)) for text in said)
        said.append(sentence(results, place, first=not named))
    return [*first, *(" ".join(said) for said in paragraphs.values()), *_rules(results, absent)]


def _rules(results: Results, absent: int) -> list[str]:
    """What a verdict is; how many comparisons were declared that this run leaves out; what is not finished."""
    declared = len(results.primaries)
    parts = [
        f"{'This comparison was' if declared == 1 else f'These {declared} comparisons were'} declared before the run"
        + (f" ({absent} of them {'has' if absent == 1 else 'have'} no cells in it)" if absent else "")
    ]
    if declared > 1:
        parts.append("a difference is told where p < 0.05 after Holm's correction over them")
    else:
        parts.append("a difference is told where p < 0.05")
    parts.append("all else is exploratory")
    unfinished = results.run.count("pending", "running")
    if unfinished:
        parts.append(f"{unfinished} of {plural(len(results.run.plan.cells), 'cell')} have not finished yet")
    return ["; ".join(parts) + "."]
