"""What can be stated of each comparison of an arm with a baseline: who, where, against what, how much, how sure."""

from __future__ import annotations

from dataclasses import dataclass

from reports.analysis.estimates import Change, Pooled
from reports.analysis.results import Results
from reports.records.plan import Arm, Plan
from reports.text.arms import budget, seeds_text
from reports.text.formatting import QUANTITIES, p_value, plural, signed


@dataclass(frozen=True)
class Statement:
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
    is_name: bool = False
    """Whether the subject is the name of a strategy, which no sentence changes."""

    @property
    def pooled(self) -> bool:
        """Whether it is an average over the members of a collection."""
        return isinstance(self.change, Pooled)

    @property
    def place(self) -> str:
        """Model and data."""
        join = " averaged over " if self.pooled else " on "
        return join.join(name for name in (self.model, self.data) if name)

    @property
    def interval(self) -> str:
        """What the interval is called."""
        return "95 % CI over seeds" if self.pooled else "95 % CI"

    @property
    def estimate(self) -> str:
        """Change in %, with its interval."""
        text = f"{signed(self.change.percent)} %"
        ends = f"{self.interval} {signed(self.change.low)} to {signed(self.change.high)} %"
        return f"{text}, {ends}" if self.change.tested else text

    @property
    def numbers(self) -> str:
        """Estimate, corrected p-value and basis, for brackets."""
        corrected = [f"corrected p {p_value(self.change.p_holm)}"] if self.change.tested else []
        return ", ".join([self.estimate, *corrected, self.basis])


def _subject(plan: Plan, strategy: str) -> tuple[str, bool]:
    """What to call an arm, and whether that is its name: the kind of its pretext, if no other arm has it."""
    planned_arm = plan.strategies[strategy]
    pretext = None if planned_arm.variant else planned_arm.pretext
    kinds = [planned.pretext for name, planned in plan.strategies.items() if name not in plan.baselines]
    return (f"pretraining by {pretext}", False) if pretext and kinds.count(pretext) == 1 else (strategy, True)


def _of_pools(results: Results, quantity: int) -> list[Statement]:
    plan = results.run.plan
    found = []
    for pooled in results.pooled:
        if pooled.metric != results.headline_metrics(pooled.datasets[0])[quantity]:
            continue
        arm = Arm(pooled.datasets[0], pooled.model, pooled.strategy)
        base = arm._replace(strategy=pooled.baseline)
        members = plural(pooled.members, plan.members(pooled.datasets))
        subject, is_name = _subject(plan, pooled.strategy)
        found.append(
            Statement(
                subject=subject,
                model=plan.models[pooled.model].label,
                data=f"{members} of {plan.datasets[pooled.datasets[0]].kind}",
                baseline=pooled.baseline,
                budget=budget(plan, arm, base) if arm in plan.arms and base in plan.arms else "",
                quantity=QUANTITIES[pooled.metric][0],
                change=pooled,
                basis=f"lower in {pooled.lower} of {members}, "
                + (plural(pooled.n, "seed") if pooled.tested else "one seed each"),
                is_name=is_name,
            )
        )
    return found


def statements(results: Results, quantity: int) -> list[Statement]:
    """The comparisons of force (0) or energy (1) errors; members of a collection that is pooled do not stand alone."""
    plan = results.run.plan
    pooled = {
        (name, one.model, one.strategy, one.baseline, one.metric) for one in results.pooled for name in one.datasets
    }
    found = _of_pools(results, quantity)
    for arm in plan.arms:
        if arm.strategy in plan.baselines:
            continue
        metric = results.headline_metrics(arm.dataset)[quantity]
        subject, is_name = _subject(plan, arm.strategy)
        for baseline in results.references(arm):
            change, base = results.change(arm, baseline, metric), arm._replace(strategy=baseline)
            if change is not None and (*arm, baseline, metric) not in pooled:
                found.append(
                    Statement(
                        subject=subject,
                        model=plan.models[arm.model].label,
                        data=plan.datasets[arm.dataset].label,
                        baseline=baseline,
                        budget=budget(plan, arm, base),
                        quantity=QUANTITIES[metric][0],
                        change=change,
                        basis=seeds_text(results, arm, base, change.n),
                        is_name=is_name,
                    )
                )
    return found
