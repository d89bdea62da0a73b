"""The finding of a report in a few sentences: whether anything was learned, the primary comparisons, what was lost."""

from __future__ import annotations

from reports.analysis.families import Primary
from reports.analysis.results import Results
from reports.text.verdicts import no_contest, paragraph, planned, references

UNDECLARED = (
    "No primary comparison was declared before this run, so that it has no verdicts: all comparisons are exploratory. "
    "For verdicts, declare a few under “primary” in the suite before a run."
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
    by_arm: dict[tuple[str, ...], list[Primary]] = {}
    for place in results.primaries:
        if planned(results, place):
            by_arm.setdefault((place.dataset, place.model, place.strategy, place.metric), []).append(place)
    # Where nothing was learned anywhere, the first sentence has said it of every comparison of force errors.
    left = [places for places in by_arm.values() if not (first and all(no_contest(results, one) for one in places))]
    return [*first, *(paragraph(results, places) for places in left)]


def compared(results: Results) -> list[tuple[str, str]]:
    """Name and label of each arm in the primary comparisons: what the names in the verdicts stand for."""
    names = dict.fromkeys(
        name for place in results.primaries if planned(results, place) for name in (place.strategy, place.baseline)
    )
    return [(name, results.run.plan.strategies[name].label) for name in names]


def rules(results: Results) -> str:
    """What makes a verdict, and which declared comparisons this run leaves out; empty where none was declared."""
    declared = len(results.primaries)
    if not declared:
        return ""
    absent = sum(not planned(results, place) for place in results.primaries)
    without = f" ({absent} of them {'has' if absent == 1 else 'have'} no cells in it)" if absent else ""
    which = "This comparison was" if declared == 1 else f"These {declared} comparisons were"
    corrected = "" if declared == 1 else " after Holm's correction over them"
    return (
        f"{which} declared before the run{without}: a difference is told where p < 0.05{corrected}. All other "
        "comparisons are exploratory, with intervals and without verdicts."
    )
