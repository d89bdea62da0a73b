"""What a row of the table is, and what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from performance.timing import Pairs

Sense = Literal["at least", "at most"]


@dataclass(frozen=True)
class Settings:
    """How rows are measured.

    Attributes:
        quick: a tenth of the time a row, to see that it works.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads of a step.
    """

    quick: bool = False
    device: str = "cpu"
    threads: int = 1

    def budget(self, usual_s: float) -> float:
        """Seconds to measure for."""
        return usual_s / 10 if self.quick else usual_s


@dataclass(frozen=True)
class Finding:
    """What a row measured.

    Attributes:
        row: the row's name.
        what: what was measured, in words.
        against: what it is compared with.
        value: a ratio, a share, or seconds.
        unit: of the value: ``×``, ``s`` or nothing.
        wanted: the target; None where there is none.
        sense: on which side of the target is good.
        quartiles: of the value over single pairs, if it is a ratio of pairs.
        details: what else is known, for the JSON file.
    """

    row: str
    what: str
    against: str
    value: float
    unit: str
    wanted: float | None = None
    sense: Sense = "at least"
    quartiles: tuple[float, float] | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.wanted is None:
            return None
        return self.value >= self.wanted if self.sense == "at least" else self.value <= self.wanted


def of_pairs(row: str, what: str, against: str, pairs: Pairs, wanted: float | None, **details: Any) -> Finding:
    """How many times as fast as the other side ours is."""
    seen = {"ours_s": pairs.ours_s, "other_s": pairs.other_s, "pairs": len(pairs.ours), **details}
    return Finding(row, what, against, pairs.ratio, "×", wanted, "at least", pairs.quartiles, seen)


@dataclass(frozen=True)
class Row:
    """A row, or several that are measured together.

    Attributes:
        name: what ``--rows`` calls it.
        title: what it measures.
        measure: does it.
        long: takes more than a minute or two: only measured when it is named.
    """

    name: str
    title: str
    measure: Callable[[Settings], list[Finding]]
    long: bool = False
