"""What an ablation varies: arms on an axis, in groups that differ in nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from reports.analysis.results import Results
from reports.records.plan import Arm, Plan, Sweep

SWEPT = "arms on the axis"
"""The one line of a sweep over strategies, which belongs to no single arm."""


@dataclass(frozen=True)
class Group:
    """What one figure shows: everything that differs in the swept name and in the strategy only."""

    place: Arm
    """What its arms have in common; empty where they differ."""
    lines: dict[str, list[tuple[float, Arm]]] = field(default_factory=dict)
    """Arms on the axis with their places, ascending, by strategy (or `SWEPT`)."""
    levels: list[Arm] = field(default_factory=list)
    """Arms without a place on an axis of strategies: horizontal lines."""

    @property
    def on_axis(self) -> list[Arm]:
        return [arm for points in self.lines.values() for _, arm in points]


def groups(plan: Plan, sweep: Sweep) -> list[Group]:
    """The figures of a sweep, in the plan's order; none without an arm on the axis."""
    places = {arm: arm._replace(**{"strategy": "", sweep.over: ""}) for arm in plan.arms}
    order = list(plan.strategies)
    found = {place: Group(place) for place in places.values()}
    for arm in sorted(plan.arms, key=lambda arm: order.index(arm.strategy)):
        group = found[places[arm]]
        value = sweep.values.get(getattr(arm, sweep.over))
        if value is not None:
            name = SWEPT if sweep.over == "strategy" else arm.strategy
            group.lines.setdefault(name, []).append((value, arm))
        elif sweep.over == "strategy":
            group.levels.append(arm)
    for group in found.values():
        for points in group.lines.values():
            points.sort()
    return [group for group in found.values() if group.lines]


def headline_metrics(results: Results) -> tuple[str, str]:
    """Force and energy metric that the swept datasets are judged by: those of the first."""
    return results.headline_metrics(results.run.plan.arms[0].dataset)
