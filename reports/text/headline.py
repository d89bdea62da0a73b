"""The finding of a report in at most three sentences, made from its numbers and hedged by them."""

from __future__ import annotations

from collections.abc import Sequence

from reports.analysis.results import Results
from reports.records.plan import Arm
from reports.text.arms import NO_BASELINE, all_lost, lost
from reports.text.formatting import UNTOLD, listing, number, p_value, plural, signed, spread
from reports.text.statements import Statement, statements

SINGLE = "one seed, which tells nothing,"

NAMED = 3
"""How many arms a sentence names; of more it gives their number and range."""


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _opening(item: Statement) -> str:
    """The arm at the start of a sentence; the name of a strategy stays as it is."""
    return item.subject if item.is_name else _capital(item.subject)


def _size(item: Statement) -> tuple[str, str]:
    """`21.3 %` and the rest in brackets, without signs: the verb says the direction."""
    change = item.change
    ends = sorted((abs(change.low), abs(change.high)))
    interval = f"{item.interval} {number(ends[0], 1)} to {number(ends[1], 1)} %"
    return f"{number(abs(change.percent), 1)} %", f"({interval}, corrected p {p_value(change.p_holm)}, {item.basis})"


def _clause(item: Statement, first: bool) -> str:
    """What is said of one comparison; the first of a sentence names the arm and the error."""
    against = f"against {item.baseline}{item.budget}"
    verdict = item.change.verdict
    if verdict:
        size, rest = _size(item)
        if not first:
            return f"{against} it is {verdict} by {size} {rest}"
        verb = "lowers" if verdict == "lower" else "raises"
        return f"{_opening(item)} {verb} the {item.quantity} of {item.place} by {size} {against} {rest}"
    why = "" if item.change.tested else ": not tested" if item.pooled else ": one seed is an anecdote"
    if first:
        return f"{_opening(item)}, {item.quantity} of {item.place}: {UNTOLD} {against} ({item.numbers}{why})"
    return f"{against} {UNTOLD} ({item.numbers}{why})"


def _absent(results: Results, quantity: int) -> list[str]:
    """Planned baselines that nothing could be compared with, each with its model and data if there are several."""
    plan = results.run.plan
    compared: dict[Arm, bool] = {}
    for arm in plan.arms:
        metric = results.headline_metrics(arm.dataset)[quantity]
        for baseline in results.references(arm) if arm.strategy not in plan.baselines else []:
            base = arm._replace(strategy=baseline)
            compared[base] = compared.get(base, False) or results.change(arm, baseline, metric) is not None
    missing: dict[tuple[str, str], list[str]] = {}
    for base, found in compared.items():
        if not found:
            heading = plan.heading(base.dataset, base.model)
            missing.setdefault((base.strategy, all_lost(results, base)), []).append(heading)
    yet = " yet" if results.run.count("pending", "running") else ""
    texts = []
    for (name, lost_how), headings in missing.items():
        where = f" of {listing(headings) if len(headings) <= NAMED else f'{len(headings)} models on their data'}"
        who = name + (where if len(plan.pairs) > 1 else "")
        texts.append(
            f"{who} {lost_how}{NO_BASELINE}"
            if lost_how
            else f"against {who} nothing can be said{yet}: no seed in common has finished with the same split"
        )
    return texts


def _label(item: Statement, items: Sequence[Statement]) -> str:
    """What tells an item from the others: its arm, its model, its data, as far as they differ."""
    arms = len({other.subject for other in items}) > 1
    models = len({other.model for other in items}) > 1
    data = len({other.data for other in items}) > 1
    parts = [item.subject] if arms or not (models or data) else []
    where = " on ".join([*([item.model] if models else []), *([item.data] if data else [])])
    return " of ".join([*parts, *([where] if where else [])])


def _group(kind: str, items: Sequence[Statement], every: Sequence[Statement]) -> str:
    """`lower for masked pretraining (−21.3 %, 95 % CI −35.0 to −5.1 %)`; of many, their number and range."""
    if len(items) <= NAMED:
        return f"{kind} for {listing([f'{_label(item, every)} ({item.estimate})' for item in items])}"
    percents = [item.change.percent for item in items]
    return f"{kind} for {len(items)} (changes between {signed(min(percents))} and {signed(max(percents))} %)"


def _tally(results: Results, items: Sequence[Statement], quantity: int) -> str:
    """One sentence on many comparisons: how many went which way, against each baseline."""
    parts = []
    for baseline in results.run.plan.baselines:
        here = [item for item in items if item.baseline == baseline]
        kinds: dict[str, list[Statement]] = {"lower": [], "higher": [], UNTOLD: [], SINGLE: []}
        for item in here:
            kinds[(item.change.verdict or UNTOLD) if item.change.tested else SINGLE].append(item)
        budgets = {item.budget for item in here}
        if here:
            groups = [_group(kind, members, items) for kind, members in kinds.items() if members]
            parts.append(f"against {baseline}{budgets.pop() if len(budgets) == 1 else ''}, {listing(groups)}")
    quantities = listing(list(dict.fromkeys(item.quantity for item in items)))
    places = dict.fromkeys(item.place for item in items)
    networks = len({(item.subject, item.place) for item in items})
    of = next(iter(places)) if len(places) == 1 else plural(networks, "pretrained network")
    return f"{_capital(quantities)} of {of}: {'; '.join([*parts, *_absent(results, quantity)])}."


def _basis(results: Results, many: bool) -> list[str]:
    """What is not finished, what was lost, and what p-values are corrected over; no sentence if all is said."""
    run = results.run
    parts = []
    unfinished = run.count("pending", "running")
    if unfinished:
        parts.append(f"{unfinished} of {plural(len(run.plan.cells), 'cell')} have not finished yet")
    losses = [(arm, lost(results, arm)) for arm in run.plan.arms if lost(results, arm)]
    if not many:
        # The sentence on the one arm names its own losses; an arm that lost all its cells has no sentence.
        losses = [(arm, text) for arm, text in losses if not results.finished(arm)]
    if losses:
        if len(losses) <= NAMED:
            named = [f"{arm.strategy} of {run.plan.heading(arm.dataset, arm.model)}: {text}" for arm, text in losses]
            parts.append(f"cells were lost, which flatters an arm ({'; '.join(named)})")
        else:
            count = run.count("diverged", "failed")
            parts.append(f"{plural(count, 'cell')} of {len(losses)} arms diverged or failed, which flatters an arm")
    if many:
        seeds = sorted({item.change.n for item in statements(results, 0)})
        if seeds:
            parts.append(
                f"comparisons rest on one seed, an anecdote: {UNTOLD}"
                if seeds[-1] == 1
                else f"comparisons rest on {spread(seeds[0], seeds[-1])} seeds"
            )
        families = [f"{results.family_size} comparisons of arms"] if results.family_size else []
        pooled = sum(one.tested for one in results.pooled)
        members = run.plan.members(name for one in results.pooled for name in one.datasets)
        families += [f"{pooled} averages over {members}s"] if pooled else []
        if families:
            apart = " (each family apart)" if len(families) > 1 else ""
            parts.append(f"a difference is told where p < 0.05 after Holm's correction over {listing(families)}{apart}")
    if not parts:
        return []
    text = "; ".join(parts)
    return [f"{_capital(text)}."]


def headline(results: Results) -> list[str]:
    """What a reader who stops here should take away: one to three sentences.

    For one arm the changes of its force and energy errors with their intervals; for several how many went which
    way; then what is missing. A difference is told only where its corrected p-value is below 0.05.
    """
    plan = results.run.plan
    arms = [arm for arm in plan.arms if arm.strategy not in plan.baselines]
    if not plan.cells:
        return ["No cell was planned: there is nothing to compare."]
    if not plan.baselines:
        return ["No baseline was planned: nothing is compared."]
    if not arms:
        return ["Only baselines were planned: there is nothing to compare."]
    by_quantity = [statements(results, 0), statements(results, 1)]
    if not any(by_quantity):
        counts = [f"{results.run.count(state)} {state}" for state in ("ok", "diverged", "failed", "running", "pending")
                  if results.run.count(state)]  # fmt: skip
        lost_baselines = [text for text in _absent(results, 0) if text.endswith(NO_BASELINE)]
        said = "said yet" if results.run.count("pending", "running") else "compared"
        return [
            f"Nothing can be {said}: no arm has finished with a seed that a baseline has finished too "
            f"({plural(len(plan.cells), 'cell')}: {listing(counts)}).",
            *([f"{'; '.join(lost_baselines)}."] if lost_baselines else []),
        ]
    places = {(item.subject, item.place) for items in by_quantity for item in items}
    many = len(places) > 1
    sentences = []
    for quantity, items in enumerate(by_quantity):
        if items and many:
            sentences.append(_tally(results, items, quantity))
        elif items:
            clauses = [_clause(item, first=i == 0) for i, item in enumerate(items)]
            sentences.append("; ".join([*clauses, *_absent(results, quantity)]) + ".")
    return [*sentences, *_basis(results, many)]
