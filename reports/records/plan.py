"""`plan.json`: what was to be run, by name, with all that a report has to know of the names.

Plans of earlier versions are read through `reports.records.older`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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


class PlannedDataset(BaseModel):
    """What a dataset says of itself."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    label: str
    """What to call it in print."""
    kind: str = ""
    """Its kind, as suites name it."""
    options: dict[str, Any] = {}
    """The options of the kind, defaults written out."""
    judged_by: Literal["rmse", "mae"] = "rmse"
    """The errors that its literature reports, and that verdicts are on."""
    pool: str | None = None
    """Datasets with an equal pool are members of one collection, the molecules of one source, say: reports average
    over them. None for a dataset that stands alone."""
    pooled_over: str | None = None
    """In what the members of its pool differ, which is also what reports call one: `molecule`, say."""
    member: str | None = None
    """Which member of its pool it is: `ethanol`, say."""
    stand_in: bool = False
    """Whether its labels, wholly or in part, stand in for those of the data that its kind is named after."""
    labelled: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training frames whose labels finetuning uses."""


class PlannedModel(BaseModel):
    """What a model is."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    label: str
    """What to call it in print."""
    kind: str = ""
    """Its kind, as suites name it."""


class PlannedStrategy(BaseModel):
    """What an arm does."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    label: str
    """What to call it in print."""
    pretext: str | None = None
    """Kind of the pretext that it pretrains with; None without pretraining."""
    options: dict[str, Any] = {}
    """The options of the pretext, defaults written out."""
    extended: bool = False
    """Whether it trains longer from scratch, to match a pretraining."""
    variant: bool = False
    """Whether it is not what its pretext, or training from scratch, is published as: a placebo, an arm that takes over
    some of the weights, or one with an auxiliary task. Published numbers are not its own."""
    from_file: bool = False
    """Whether its pretraining was made elsewhere and came in a file, which says what it has cost, or does not."""

    @property
    def role(self) -> str:
        """Kind of the pretext, else `extended` or `scratch`; marked where it is a variant of that."""
        role = self.pretext or ("extended" if self.extended else "scratch")
        return f"{role} (variant)" if self.variant else role


class PlannedPrimary(BaseModel):
    """Comparisons that were declared before anything ran: of one arm with one baseline or several."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    dataset: str | None
    """On which dataset; None: of the average over the members of the collection that was chosen (molecules, say)."""
    model: str
    """Of which network."""
    strategy: str
    """The arm."""
    baselines: Annotated[list[str], Field(min_length=1)]
    """The arms that it is compared with, a comparison each."""
    metric: str
    """The error that is compared: a column of the records."""


SpreadRule = Literal["pooled", "own"]
"""Whose spread an interval rests on: that of all arms of a dataset and network, or of the two that are compared."""


class Sweep(BaseModel):
    """The axis of an ablation: the names it goes over and the number that each stands for."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    over: Literal["dataset", "model", "strategy"]
    """What the names are."""
    label: Annotated[str, Field(min_length=1)]
    """Title of the axis, with its unit."""
    log: bool = False
    """Whether the axis is logarithmic."""
    values: Annotated[dict[str, float], Field(min_length=1)]
    """Where each name stands on the axis; names that are left out are not on it."""

    @model_validator(mode="after")
    def _has_logarithms(self) -> Sweep:
        low = {name: value for name, value in self.values.items() if value <= 0}
        if self.log and low:
            raise ValueError(f"a logarithmic axis takes values above 0, not {low}; change them or set log to false")
        return self


class Plan(BaseModel):
    """`plan.json`: what was to be run. Everything that a report calls by name is named here."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    version: Literal[3] = Field(3, alias="schema")
    suite: str
    title: str
    description: str = ""
    scale: str
    command: str
    """The command that repeats the run; a line each, where several filled the folder."""
    baselines: list[str]
    """Strategies that others are compared with, in order; the first sets the error to reach."""
    primary: list[PlannedPrimary] = []
    """The family of comparisons that verdicts are on; all others are exploratory. Also those that a filter left without
    cells: the family is what was declared. Empty where none was."""
    spread: SpreadRule = "pooled"
    """Whose spread the intervals of all comparisons rest on, as declared before the run; see `blocked_changes`."""
    until_percent: Annotated[float, Field(gt=0)] | None = None
    """Seeds are added until the half-width of the interval of every primary comparison is below this many %; None: the
    number of seeds was fixed."""
    datasets: dict[str, PlannedDataset]
    models: dict[str, PlannedModel]
    strategies: dict[str, PlannedStrategy]
    """In the order (and colour) of arms; also those that a filter left without cells."""
    data: dict[str, str] = {}
    """Content hash of every dataset that was read, by the suite's names."""
    files: dict[str, str] = {}
    """Content hash of every file of a pretrained body that cells start from, by where it is, without a user's home."""
    sweep: Sweep | None = None
    """What the report draws the test errors against, if it is an ablation."""
    config: dict[str, Any] = {}
    """The suite at its scale, every option written out."""
    cells: list[PlannedCell]

    @model_validator(mode="after")
    def _cells_are_distinct_and_named(self) -> Plan:
        for what, seen in (
            ("key", Counter(cell.key for cell in self.cells)),
            ("dataset, model, strategy and seed", Counter((*cell.arm, cell.seed) for cell in self.cells)),
        ):
            for value, count in seen.items():
                if count > 1:
                    raise ValueError(f"{count} cells share the {what} {value}; give each its own")
        tables = [*self.datasets], [*self.models], [*self.strategies]
        for cell in self.cells:
            for what, name, names in zip(Arm._fields, cell.arm, tables, strict=True):
                if name not in names:
                    raise ValueError(f"cell {cell.key} has the {what} {name!r}, which the plan does not describe")
        return self

    @model_validator(mode="after")
    def _primaries_are_distinct_and_named(self) -> Plan:
        seen = Counter(
            (primary.dataset, primary.model, primary.strategy, baseline, primary.metric)
            for primary in self.primary
            for baseline in primary.baselines
        )
        for comparison, count in seen.items():
            dataset, model, strategy, baseline, _ = comparison
            named: list[tuple[Iterable[str], str]] = [(self.models, model)]
            named += [(self.strategies, strategy), (self.strategies, baseline)]
            named += [] if dataset is None else [(self.datasets, dataset)]
            unknown = [name for table, name in named if name not in table]
            if unknown:
                raise ValueError(f"a primary comparison is of {unknown[0]!r}, which the plan does not describe")
            if strategy == baseline or count > 1:
                what = "with itself" if strategy == baseline else f"{count} times"
                raise ValueError(f"the primary comparison {comparison} is {what}; give each of two arms once")
        return self

    @cached_property
    def arms(self) -> list[Arm]:
        """The arms: by dataset and model as they first appear, strategies in the plan's order."""
        datasets = list(dict.fromkeys(cell.dataset for cell in self.cells))
        models = list(dict.fromkeys(cell.model for cell in self.cells))
        strategies = list(self.strategies)
        return sorted(
            {cell.arm for cell in self.cells},
            key=lambda a: (datasets.index(a.dataset), models.index(a.model), strategies.index(a.strategy)),
        )

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """(dataset, model), in order."""
        return list(dict.fromkeys((arm.dataset, arm.model) for arm in self.arms))

    @cached_property
    def pools(self) -> list[list[str]]:
        """Datasets with cells that are members of one collection, two or more, in order."""
        pools: dict[str, list[str]] = {}
        for name in dict.fromkeys(arm.dataset for arm in self.arms):
            pool = self.datasets[name].pool
            if pool is not None:
                pools.setdefault(pool, []).append(name)
        return [names for names in pools.values() if len(names) > 1]

    def members(self, datasets: Iterable[str]) -> str:
        """What to call one of these datasets of a collection: `molecule`, say; `member` where they differ in that."""
        names = {self.datasets[name].pooled_over for name in datasets}
        (name,) = names if len(names) == 1 else (None,)
        return name or "member"

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
        names = (self.models[model].label if model else "", self.datasets[dataset].label if dataset else "")
        return " on ".join(name for name in names if name)
