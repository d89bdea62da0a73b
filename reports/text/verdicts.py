"""What may be said of one comparison, in the words of a table and in a sentence that a chemist would say aloud."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from reports.analysis.estimates import Change
from reports.analysis.families import Primary
from reports.analysis.results import Results
from reports.records.plan import Arm
from reports.text.arms import all_lost, budget, lost, opening
from reports.text.formatting import QUANTITIES, REFERENCES, UNTOLD, WIDEST, brief, interval, listing, number, plural

KINDS = {"force": "force errors", "energy": "energy errors"}
"""First word of a column -> what sentences call the error."""


def references(names: list[str]) -> str:
    """What references predict, in words."""
    return "; ".join(REFERENCES.get(name, name) for name in names)


def errors_of(metric: str) -> str:
    """What sentences call an error."""
    return KINDS.get(metric.split("_")[0], QUANTITIES[metric][0])


def unseen(change: Change, missed: str = "could not have been seen") -> str:
    """Which changes the comparison was too weak for: `a change between −29 and +40 % could not have been seen`."""
    low, high = change.seen
    if pd.isna(low):
        return ""
    if high > WIDEST:
        return f"hardly any change could have been seen with {plural(change.n, 'seed')}"
    if high < 0.05:
        return "any change would have been seen"
    return f"a change between {brief(low)} and {brief(high)} % {missed}"


def conclusion(results: Results, change: Change) -> str:
    """What a table says of a comparison."""
    if not change.primary:
        return "exploratory"
    if not change.tested:
        return "one seed: not tested"
    if no_contest(results, change.place):
        return "no verdict: neither arm beats the references"
    text = change.verdict or f"{UNTOLD} ({unseen(change)})"
    counted = results.with_losses(change.place)
    if counted is not None and counted.verdict != change.verdict:
        text += f"; with lost and stuck cells counted: {counted.verdict or UNTOLD}"
    return text


def _arms(results: Results, place: Primary) -> list[tuple[Arm, Arm]]:
    """Arm and baseline on each dataset of a comparison, as far as they are planned."""
    plan = results.run.plan
    pairs = [
        (Arm(name, place.model, place.strategy), Arm(name, place.model, place.baseline))
        for name in results.datasets(place.dataset)
    ]
    return [(arm, base) for arm, base in pairs if {arm, base} <= set(plan.arms)]


def planned(results: Results, place: Primary) -> bool:
    """Whether both sides have cells in this run."""
    return bool(_arms(results, place))


def no_contest(results: Results, place: Primary) -> bool:
    """Whether neither side beats the references."""
    sides = [Arm(place.dataset, place.model, name) for name in (place.strategy, place.baseline)]
    return all(results.learned(side, place.metric) is False for side in sides)


def where(results: Results, place: Primary) -> str:
    """Model and data of a comparison."""
    plan = results.run.plan
    if place.dataset not in results.averages:
        return plan.heading(place.dataset, place.model)
    names = results.averages[place.dataset]
    change = results.changes.get(place)
    members = plural((change and change.members) or len(names), plan.members(names))
    kinds = listing(list(dict.fromkeys(plan.datasets[name].kind for name in names)))
    return f"{plan.models[place.model].label}, averaged over {members} of {kinds}"


def _against(results: Results, place: Primary) -> str:
    """`against scratch-extended at equal compute`."""
    (arm, base), *_ = _arms(results, place)
    return f"against {place.baseline}{budget(results.run.plan, arm, base)}"


def _basis(results: Results, change: Change) -> str:
    """Seeds, and of an average over how many members the error is lower."""
    if change.members is None:
        return plural(change.n, "seed")
    members = results.run.plan.members(results.datasets(change.place.dataset))
    return f"{plural(change.n, 'seed')}, lower in {results.lower(change)} of {plural(change.members, members)}"


def paragraph(results: Results, places: Sequence[Primary]) -> str:
    """The verdicts on an arm against its baselines in one error, a sentence each."""
    unlearned = [place for place in places if place in results.changes and no_contest(results, place)]
    said = [_neither(results, unlearned)] if unlearned else []
    who = opening(results.run.plan, places[0].strategy)
    for place in places:
        if place not in unlearned:
            said.append(_sentence(results, place, named=any(text.startswith(who) for text in said)))
    return " ".join([*said, *_mixed(results, [place for place in places if place not in unlearned])])


def _mixed(results: Results, places: Sequence[Primary]) -> list[str]:
    """That cells of these comparisons were computed in different ways, where they were, and a change was tested."""
    changes = [change for place in places if (change := results.changes.get(place)) is not None and change.tested]
    mixtures = [ways for change in changes if len(ways := results.ways(change)) > 1]
    if not mixtures:
        return []
    met = listing(sorted(set().union(*mixtures)))
    return [f"The cells compared were computed in different ways ({met}), which may add to a difference."]


def _neither(results: Results, places: Sequence[Primary]) -> str:
    """Of comparisons in which neither side learned anything."""
    place = places[0]
    others = [place.baseline for place in places]
    who = f"Neither {place.strategy} nor {listing(others).replace(' and ', ' nor ')} beats"
    names = references(results.reference_names(place.dataset, place.metric))
    return (
        f"{who} the references that need no network ({names}) in the {errors_of(place.metric)} of "
        f"{where(results, place)}: to compare them says nothing."
    )


def _sentence(results: Results, place: Primary, named: bool) -> str:
    """The verdict on one comparison; `named`: a sentence before has named arm and place."""
    who = opening(results.run.plan, place.strategy)
    whose = f"the {errors_of(place.metric)} of {where(results, place)}"
    change = results.changes.get(place)
    if change is None:
        return _nothing_to_say(results, place)
    if not change.tested:
        return (
            f"{who} changed {whose} by {brief(change.percent)} % {_against(results, place)} with "
            f"{plural(change.n, 'seed')}: an anecdote, which tells nothing."
        )
    told = _told(results, change, "It" if named else who, "" if named else whose)
    return " ".join([told, *_hangs_on(results, change), *_losses(results, change)])


def _told(results: Results, change: Change, who: str, whose: str) -> str:
    """The verdict itself."""
    against = _against(results, change.place)
    basis = _basis(results, change)
    if change.verdict:
        size = number(abs(change.percent), 0 if abs(change.percent) >= 2 else 1)
        low, high = sorted((abs(change.low), abs(change.high)))
        ends = interval(low, high, lambda end: number(end, 0))
        verb = f"{change.verdict}ed" if change.verdict == "lower" else "raised"
        return f"{who} {verb} {whose or 'them'} by {size} % ({ends} %; {basis}) {against}."
    of = f" to {whose}" if whose else ""
    ends = interval(change.low, change.high, brief)
    ends += " %" if ends[-1].isdigit() else ""
    more = f"; {basis}" if change.members else ""
    if change.primary and (change.low > 0 or change.high < 0):
        more += f"; outside 0 only before the correction for {change.family} comparisons"
    return (
        f"{who} made no difference{of} that {plural(change.n, 'seed')} could show {against}: {brief(change.percent)} % "
        f"({ends}{more}); {unseen(change, 'would have been missed')}."
    )


def _hangs_on(results: Results, change: Change) -> list[str]:
    """That a verdict hangs on single seeds, where it does."""
    crucial = results.crucial_seeds(change)
    if not crucial:
        return []
    if len(crucial) == 1:
        without = f"seed {crucial[0]}"
    elif len(crucial) == change.n:
        without = "any one of these seeds"
    else:
        without = f"any one of {len(crucial)} of these seeds"
    return [f"That hangs on single seeds: without {without} {UNTOLD}."]


def _losses(results: Results, change: Change) -> list[str]:
    """What was lost or is stuck, and whether the verdict survives it."""
    arms = dict.fromkeys(arm for pair in _arms(results, change.place) for arm in pair)
    lost_by = {arm: lost(results, arm) for arm in arms if lost(results, arm)}
    stuck_by = {arm: f"{results.stuck(arm)} never left the plateau" for arm in arms if results.stuck(arm)}
    texts: dict[str, list[str]] = {}
    for arm, text in [*lost_by.items(), *stuck_by.items()]:
        texts.setdefault(arm.strategy, []).append(text)
    if not texts:
        return []
    cells = "; ".join(f"{name}: {', '.join(dict.fromkeys(found))}" for name, found in texts.items())
    counted = results.with_losses(change.place)
    if counted is None:
        return [f"Cells were lost, which flatters an arm ({cells})."]
    ends = interval(counted.low, counted.high, brief)
    estimate = f"{brief(counted.percent)} %" + (f", {ends}" if ends else "")
    if counted.verdict == change.verdict:
        held = "The verdict stands" if change.verdict else "The same holds"
        return [f"{held} if lost and stuck cells count as having learned nothing ({cells}; then {estimate})."]
    then = f"they are {counted.verdict}" if counted.verdict else UNTOLD
    return [
        f"But the verdict changes if lost and stuck cells count as having learned nothing ({cells}): then {then} "
        f"({estimate})."
    ]


def _nothing_to_say(results: Results, place: Primary) -> str:
    """Why there is no change: everything lost, not finished yet, or no common seed."""
    what = f"{where(results, place)}, {place.strategy} against {place.baseline}"
    for side in (1, 0):
        for pair in _arms(results, place):
            if ended := all_lost(results, pair[side]):
                return f"{what}: {pair[side].strategy} {ended}, so there is nothing to compare."
    if results.run.count("pending", "running"):
        return f"{what}: nothing can be said yet, for no seed of both has finished."
    return f"{what}: nothing can be compared, for no seed with the same split and errors above zero is common to both."
