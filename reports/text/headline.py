"""The finding of a report in at most three sentences, made from its numbers and hedged by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.analysis.results import Change, Pooled, Results
from reports.records.plan import Arm, Plan
from reports.text.formatting import QUANTITIES, listing, number, p_value, plural, signed, spread

SINGLE = "one seed, which tells nothing,"

NO_BASELINE = ": nothing to compare with"

NAMED = 3
"""How many arms a sentence names; of more it gives their number and range."""

SUBJECTS = {"masking": "masked pretraining", "denoising": "denoising pretraining"}


@dataclass(frozen=True)
class Item:
    """One comparison that a sentence may speak of."""

    subject: str
    """The arm, in the middle of a sentence."""
    model: str
    data: str
    baseline: str
    budget: str
    """How the epochs of arm and baseline compare; begins with a space, or is empty."""
    quantity: str
    change: Change | Pooled
    basis: str
    """What interval and estimate rest on."""

    @property
    def place(self) -> str:
        """Model and data."""
        join = " averaged over " if isinstance(self.change, Pooled) else " on "
        return join.join(name for name in (self.model, self.data) if name)

    @property
    def tested(self) -> bool:
        return self.change.n > 1

    @property
    def interval(self) -> str:
        """What the interval is called."""
        return "95 % CI over seeds" if isinstance(self.change, Pooled) else "95 % CI"

    @property
    def estimate(self) -> str:
        """Change in %, with its interval."""
        text = f"{signed(self.change.percent)} %"
        return (
            f"{text}, {self.interval} {signed(self.change.low)} to {signed(self.change.high)} %"
            if self.tested
            else text
        )

    @property
    def numbers(self) -> str:
        """Estimate and interval in brackets' text."""
        corrected = [f"corrected p {p_value(self.change.p_holm)}"] if self.tested else []
        return ", ".join([self.estimate, *corrected, self.basis])


def budget(plan: Plan, arm: Arm, baseline: Arm) -> str:
    """How the epochs of an arm and its baseline compare, for the middle of a sentence."""
    pretraining, finetuning = plan.epochs(arm)
    base_pretraining, base_finetuning = plan.epochs(baseline)
    if pretraining + finetuning == base_pretraining + base_finetuning:
        return f" at the same total of {pretraining + finetuning} epochs"
    if finetuning == base_finetuning:
        return f" with the same {finetuning} epochs of finetuning"
    return f" after {base_pretraining + base_finetuning} epochs"


def lost(results: Results, arm: Arm) -> str:
    """`1 diverged and 1 failed`; empty if the arm lost no cell."""
    counts = results.states(arm)
    found = [f"{counts[state]} {state}" for state in ("diverged", "failed") if counts.get(state)]
    return listing(found) if found else ""


def seeds_text(results: Results, arm: Arm, baseline: Arm, n: int) -> str:
    """`3 seeds`, or `2 of 3 seeds; masked: 1 diverged`: what a comparison rests on and what was lost."""
    planned = max(results.planned(arm), results.planned(baseline))
    text = plural(n, "seed") if n == planned else f"{n} of {plural(planned, 'seed')}"
    losses = [f"{place.strategy}: {lost(results, place)}" for place in (arm, baseline) if lost(results, place)]
    return "; ".join([text, *losses])


def _subject(plan: Plan, results: Results, arm: Arm) -> str:
    roles = {name: plan.strategies[name].role for name in plan.strategies if name not in plan.baselines}
    role = roles.get(arm.strategy, "")
    alone = list(roles.values()).count(role) == 1
    return SUBJECTS[role] if alone and role in SUBJECTS else arm.strategy


def _pooled_items(results: Results, quantity: int) -> list[Item]:
    plan = results.run.plan
    items = []
    for pooled in results.pooled:
        metrics = results.headline_metrics(pooled.datasets[0])
        if pooled.metric != metrics[quantity]:
            continue
        arm = Arm(pooled.datasets[0], pooled.model, pooled.strategy)
        base = arm._replace(strategy=pooled.baseline)
        known = arm in plan.arms and base in plan.arms
        seeds = plural(pooled.n, "seed") if pooled.n > 1 else "one seed each"
        items.append(
            Item(
                _subject(plan, results, arm),
                plan.models[pooled.model].label,
                f"{pooled.molecules} molecules of rMD17",
                pooled.baseline,
                budget(plan, arm, base) if known else "",
                QUANTITIES[pooled.metric][0],
                pooled,
                f"lower in {pooled.lower} of {pooled.molecules} molecules, {seeds}",
            )
        )
    return items


def _items(results: Results, quantity: int) -> list[Item]:
    """The comparisons of force (0) or energy (1) errors; molecules that are pooled do not stand alone."""
    plan = results.run.plan
    pooled = {
        (name, one.model, one.strategy, one.baseline, one.metric) for one in results.pooled for name in one.datasets
    }
    items = _pooled_items(results, quantity)
    for arm in plan.arms:
        if arm.strategy in plan.baselines:
            continue
        metric = results.headline_metrics(arm.dataset)[quantity]
        for baseline in results.references(arm):
            change, base = results.change(arm, baseline, metric), arm._replace(strategy=baseline)
            if change is not None and (*arm, baseline, metric) not in pooled:
                items.append(
                    Item(
                        _subject(plan, results, arm),
                        plan.models[arm.model].label,
                        plan.datasets[arm.dataset].label,
                        baseline,
                        budget(plan, arm, base),
                        QUANTITIES[metric][0],
                        change,
                        seeds_text(results, arm, base, change.n),
                    )
                )
    return items


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _opening(item: Item) -> str:
    """The arm at the start of a sentence; the name of a strategy stays as it is."""
    return _capital(item.subject) if item.subject in SUBJECTS.values() else item.subject


def _size(item: Item) -> tuple[str, str]:
    """`21.3 %` and the rest in brackets, without signs: the verb says the direction."""
    change = item.change
    ends = sorted((abs(change.low), abs(change.high)))
    interval = f"{item.interval} {number(ends[0], 1)} to {number(ends[1], 1)} %"
    return f"{number(abs(change.percent), 1)} %", f"({interval}, corrected p {p_value(change.p_holm)}, {item.basis})"


def _clause(item: Item, first: bool) -> str:
    """What is said of one comparison; the first of a sentence names the arm and the error."""
    against = f"against {item.baseline}{item.budget}"
    verdict = item.change.verdict
    if verdict:
        size, rest = _size(item)
        if not first:
            return f"{against} it is {verdict} by {size} {rest}"
        verb = "lowers" if verdict == "lower" else "raises"
        return f"{_opening(item)} {verb} the {item.quantity} of {item.place} by {size} {against} {rest}"
    why = "" if item.tested else ": one seed is an anecdote" if isinstance(item.change, Change) else ": not tested"
    if first:
        return (
            f"{_opening(item)}, {item.quantity} of {item.place}: no difference can be told {against} "
            f"({item.numbers}{why})"
        )
    return f"{against} no difference can be told ({item.numbers}{why})"


def all_lost(results: Results, arm: Arm) -> str:
    """`diverged in 3 of 3 seeds`; empty unless every cell of the arm diverged or failed."""
    counts, planned = results.states(arm), results.planned(arm)
    ended = {state: counts[state] for state in ("diverged", "failed") if counts.get(state)}
    if sum(ended.values()) < planned:
        return ""
    return listing([f"{state} in {count} of {plural(planned, 'seed')}" for state, count in ended.items()])


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


def _label(item: Item, items: Sequence[Item]) -> str:
    """What tells an item from the others: its arm, its model, its data, as far as they differ."""
    arms = len({other.subject for other in items}) > 1
    models = len({other.model for other in items}) > 1
    data = len({other.data for other in items}) > 1
    parts = [item.subject] if arms or not (models or data) else []
    where = " on ".join([*([item.model] if models else []), *([item.data] if data else [])])
    return " of ".join([*parts, *([where] if where else [])])


def _group(kind: str, items: Sequence[Item], every: Sequence[Item]) -> str:
    """`lower for masked pretraining (−21.3 %, 95 % CI −35.0 to −5.1 %)`; of many, their number and range."""
    if len(items) <= NAMED:
        return f"{kind} for {listing([f'{_label(item, every)} ({item.estimate})' for item in items])}"
    percents = [item.change.percent for item in items]
    return f"{kind} for {len(items)} (changes between {signed(min(percents))} and {signed(max(percents))} %)"


def _tally(results: Results, items: Sequence[Item], quantity: int) -> str:
    """One sentence on many comparisons: how many went which way, against each baseline."""
    parts = []
    for baseline in results.run.plan.baselines:
        here = [item for item in items if item.baseline == baseline]
        kinds: dict[str, list[Item]] = {"lower": [], "higher": [], "no difference can be told": [], SINGLE: []}
        for item in here:
            kinds[(item.change.verdict or "no difference can be told") if item.tested else SINGLE].append(item)
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
        seeds = sorted({item.change.n for item in _items(results, 0)})
        if seeds:
            parts.append(
                "comparisons rest on one seed, an anecdote: no difference can be told"
                if seeds[-1] == 1
                else f"comparisons rest on {spread(seeds[0], seeds[-1])} seeds"
            )
        families = [f"{results.family_size} comparisons of arms"] if results.family_size else []
        pooled = sum(one.n > 1 for one in results.pooled)
        families += [f"{pooled} averages over molecules"] if pooled else []
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
    by_quantity = [_items(results, 0), _items(results, 1)]
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
