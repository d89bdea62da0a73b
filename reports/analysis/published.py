"""Published numbers that results are shown beside: the paper's own, and what other methods reach."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from reports.records.plan import Arm, Plan

Value = Annotated[list[float], Field(min_length=1, max_length=2)]
"""A mean, and its standard deviation over seeds where one was published."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """Where a number was published."""

    text: str
    url: str


class _Row(_Strict):
    molecule: str | None = None
    force_rmse_mev_per_A: Value | None = None
    force_mae_mev_per_A: Value | None = None
    energy_rmse_mev: Value | None = None
    energy_mae_mev: Value | None = None
    energy_rmse_mev_per_atom: Value | None = None


class PaperRow(_Row):
    """A model and arm of the paper; `text` in place of numbers."""

    model: str
    arm: str
    ratio: float | None = None
    text: str | None = None


class AnchorRow(_Row):
    """Another method on the same data."""

    method: str
    source: str


class _Block(_Strict):
    dataset: str
    options: dict[str, list[Any]] = {}
    """What the options of a dataset may be for it to hold the same structures."""


class PaperBlock(_Block):
    """The paper's results for one dataset."""

    table: str
    note: str
    rows: list[PaperRow]


class AnchorBlock(_Block):
    """Results of other methods for one dataset; `data` is what they were trained on."""

    data: str
    rows: list[AnchorRow]


class PaperFigure(_Strict):
    """A comparison of the paper's: which arms stand side by side in one figure."""

    name: str
    title: str
    roles: list[str]
    """Of the arms (see `PlannedStrategy.role`)."""


class Published(_Strict):
    """The file `published.yaml`."""

    sources: dict[str, Source]
    figures: list[PaperFigure]
    paper: list[PaperBlock]
    anchors: list[AnchorBlock]


class PaperValue(_Strict):
    """What the paper has for an arm and metric."""

    mean: float | None
    sd: float | None
    text: str | None
    ratio: float | None
    same_data: bool
    """Whether it was measured on data like these: not for a surrogate, a cell of another size, or another amount of
    frames."""


class Anchor(_Strict):
    """One line of an anchor: a method with its numbers for a planned dataset."""

    dataset: str
    data: str
    row: AnchorRow
    source: Source
    same_data: bool


@cache
def published() -> Published:
    """The published numbers, checked."""
    text = (files("reports") / "published.yaml").read_text(encoding="utf-8")
    return Published.model_validate(yaml.safe_load(text))


def _same_molecule(row: _Row, plan: Plan, dataset: str) -> bool:
    name = plan.datasets[dataset].member or ""
    return (row.molecule or "") == name.lower()


def _same_data(block: _Block, plan: Plan, dataset: str) -> bool:
    data = plan.datasets[dataset]
    whole = not data.stand_in and data.labelled == 1
    return whole and all(data.options.get(name) in allowed for name, allowed in block.options.items())


def paper_value(plan: Plan, arm: Arm, metric: str) -> PaperValue | None:
    """The paper's number for an arm of the same kind of dataset, model and pretext; None if it has none.

    A number for a certain ratio is that of the arms with just this ratio, if any are planned for the dataset and model;
    if none are, it is given to all arms of the pretext.
    """
    role, ratio = plan.strategies[arm.strategy].role, _ratio(plan, arm)
    alike = [other for other in plan.arms if other[:2] == arm[:2] and plan.strategies[other.strategy].role == role]
    ratios = [_ratio(plan, other) for other in alike]
    for block in published().paper:
        if block.dataset != plan.datasets[arm.dataset].kind:
            continue
        for row in block.rows:
            matches = (row.model, row.arm) == (plan.models[arm.model].kind, role)
            another = row.ratio is not None and row.ratio in ratios and row.ratio != ratio
            value = getattr(row, metric, None)
            if matches and not another and _same_molecule(row, plan, arm.dataset) and (value or row.text):
                return PaperValue(
                    mean=value[0] if value else None,
                    sd=value[1] if value and len(value) > 1 else None,
                    text=row.text,
                    ratio=row.ratio,
                    same_data=_same_data(block, plan, arm.dataset),
                )
    return None


def _ratio(plan: Plan, arm: Arm) -> Any:
    """What share its pretext masks, None if it has no such option."""
    return plan.strategies[arm.strategy].options.get("ratio")


def paper_notes(plan: Plan, datasets: Sequence[str]) -> list[str]:
    """Where the paper's numbers for these datasets stand, and what they were measured on."""
    wanted = {plan.datasets[dataset].kind for dataset in datasets}
    return [f"{block.table}: {block.note}" for block in published().paper if block.dataset in wanted]


def anchors(plan: Plan) -> list[Anchor]:
    """What other methods reach on the datasets of a plan, in the plan's order."""
    found = []
    for dataset in dict.fromkeys(arm.dataset for arm in plan.arms):
        for block in published().anchors:
            if block.dataset == plan.datasets[dataset].kind:
                found += [
                    Anchor(dataset=dataset, data=block.data, row=row, source=published().sources[row.source],
                           same_data=_same_data(block, plan, dataset))
                    for row in block.rows
                    if _same_molecule(row, plan, dataset)
                ]  # fmt: skip
    return found
