"""`plan.json`: what was to be run, by name."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Arm(NamedTuple):
    """What is averaged over seeds: a strategy for one dataset and model."""

    dataset: str
    model: str
    strategy: str


class PlannedCell(BaseModel):
    """One cell of the plan."""

    model_config = ConfigDict(frozen=True)

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    dataset: str
    model: str
    strategy: str
    seed: Annotated[int, Field(ge=0)]
    pretraining_key: str | None = None
    pretrain_epochs: Annotated[int, Field(ge=0)]
    finetune_epochs: Annotated[int, Field(ge=0)]

    @property
    def arm(self) -> Arm:
        return Arm(self.dataset, self.model, self.strategy)


class Labels(BaseModel):
    """What to call things in print; the order of `strategies` is the order (and colour) of arms."""

    datasets: dict[str, str] = {}
    models: dict[str, str] = {}
    strategies: dict[str, str] = {}


class Sweep(BaseModel):
    """The axis of an ablation: the names it goes over and the number that each stands for."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    over: Literal["dataset", "model", "strategy"]
    """What the names are."""
    label: Annotated[str, Field(min_length=1)]
    """Title of the axis, with its unit."""
    log: bool = False
    """Whether the axis is logarithmic."""
    values: Annotated[dict[str, float], Field(min_length=1)]
    """Name -> place on the axis; what is not named here is not on it."""

    @model_validator(mode="after")
    def _has_logarithms(self) -> Sweep:
        low = {name: value for name, value in self.values.items() if value <= 0}
        if self.log and low:
            raise ValueError(f"a logarithmic axis takes values above 0, not {low}; change them or set log to false")
        return self


class Plan(BaseModel):
    """`plan.json`: what was to be run. Everything that a report calls by name is named here."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = Field(alias="schema")
    suite: str
    title: str
    description: str = ""
    scale: str
    command: str
    """The command that repeats the run."""
    baselines: list[str]
    """Strategies that others are compared with, in order; the first sets the error to reach."""
    labels: Labels = Labels()
    sweep: Sweep | None = None
    """What the report draws the test errors against, if it is an ablation."""
    config: dict[str, Any] = {}
    cells: list[PlannedCell]

    @model_validator(mode="after")
    def _cells_are_distinct(self) -> Plan:
        for what, seen in (
            ("key", Counter(cell.key for cell in self.cells)),
            ("dataset, model, strategy and seed", Counter((*cell.arm, cell.seed) for cell in self.cells)),
        ):
            for value, count in seen.items():
                if count > 1:
                    raise ValueError(f"{count} cells share the {what} {value}; give each its own")
        return self

    @cached_property
    def arms(self) -> list[Arm]:
        """The arms: by dataset and model as they first appear, strategies in the order of the labels."""
        datasets = list(dict.fromkeys(cell.dataset for cell in self.cells))
        models = list(dict.fromkeys(cell.model for cell in self.cells))
        return sorted(
            {cell.arm for cell in self.cells},
            key=lambda a: (
                datasets.index(a.dataset),
                models.index(a.model),
                self.strategies.index(a.strategy),
            ),
        )

    @cached_property
    def strategies(self) -> list[str]:
        """All strategies named in the plan, also those that a filter left without cells, in order."""
        return list(dict.fromkeys([*self.labels.strategies, *(cell.strategy for cell in self.cells)]))

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """(dataset, model), in order."""
        return list(dict.fromkeys((arm.dataset, arm.model) for arm in self.arms))

    @cached_property
    def _by_arm(self) -> dict[Arm, list[PlannedCell]]:
        cells: dict[Arm, list[PlannedCell]] = {}
        for cell in self.cells:
            cells.setdefault(cell.arm, []).append(cell)
        return cells

    def cells_of(self, arm: Arm) -> list[PlannedCell]:
        return self._by_arm.get(arm, [])

    def epochs(self, arm: Arm) -> tuple[int, int]:
        """(pretraining epochs, finetuning epochs) of an arm; the largest, should its cells differ."""
        cells = self.cells_of(arm)
        return max(c.pretrain_epochs for c in cells), max(c.finetune_epochs for c in cells)

    def heading(self, dataset: str, model: str) -> str:
        """What to call a model on a dataset; only one of them if the other is empty."""
        names = (self.labels.models.get(model, model), self.labels.datasets.get(dataset, dataset))
        return " on ".join(name for name in names if name)
