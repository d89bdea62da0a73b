"""What the names of a plan stand for, read from its resolved configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reports.records.plan import Plan

RMSE = ("force_rmse_mev_per_A", "energy_rmse_mev")
MAE = ("force_mae_mev_per_A", "energy_mae_mev")


def _entry(plan: Plan, what: str, name: str) -> dict[str, Any]:
    entries = plan.config.get(what)
    entry = entries.get(name) if isinstance(entries, dict) else None
    return entry if isinstance(entry, dict) else {}


def dataset_kind(plan: Plan, dataset: str) -> str:
    """Kind of a dataset (`tip3p`, `rpbe`, `rmd17`, ...); '' if the configuration does not say."""
    return str(_entry(plan, "datasets", dataset).get("kind") or "")


def model_kind(plan: Plan, model: str) -> str:
    """Kind of a model (`egnn`, ...); '' if the configuration does not say."""
    return str(_entry(plan, "models", model).get("kind") or "")


def dataset_options(plan: Plan, dataset: str) -> dict[str, Any]:
    """Resolved options of a dataset; none if the configuration does not say."""
    options = _entry(plan, "datasets", dataset).get("options")
    return options if isinstance(options, dict) else {}


def molecule(plan: Plan, dataset: str) -> str | None:
    """The molecule of an rMD17 dataset; None for others."""
    name = dataset_options(plan, dataset).get("molecule")
    return str(name) if name and dataset_kind(plan, dataset) == "rmd17" else None


def surrogates(plan: Plan, provenance: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """Datasets that stand in for others, wholly or in part: as the provenance of a cell says, or as they are called."""
    found = set()
    for cell in plan.cells:
        dataset = provenance.get(cell.key, {}).get("dataset")
        recorded = dataset.get("surrogate_structures", 0) if isinstance(dataset, dict) else 0
        label = str(_entry(plan, "datasets", cell.dataset).get("label") or "")
        names = (plan.labels.datasets.get(cell.dataset, ""), label, cell.dataset)
        if recorded > 0 or any("surrogate" in name.lower() for name in names):
            found.add(cell.dataset)
    return frozenset(found)


def labelled_share(plan: Plan, dataset: str) -> float:
    """Share of the training frames whose labels finetuning uses."""
    share = _entry(plan, "datasets", dataset).get("labelled")
    return float(share) if share else 1.0


def role(plan: Plan, strategy: str) -> str:
    """What an arm is: kind of its pretext (`masking`, `denoising`, ...), else `extended` or `scratch`.

    '' if the configuration does not know the strategy.
    """
    entry = _entry(plan, "strategies", strategy)
    if not entry:
        return ""
    pretext = entry.get("pretext")
    if isinstance(pretext, dict):
        return str(pretext.get("kind") or "")
    return "extended" if entry.get("extended") else "scratch"


def headline_metrics(plan: Plan, dataset: str) -> tuple[str, str]:
    """(force, energy) metric that a dataset is judged by: RMSE, or for rMD17 MAE, as in its literature."""
    return MAE if dataset_kind(plan, dataset) == "rmd17" else RMSE


def molecule_groups(plan: Plan) -> list[list[str]]:
    """Datasets of two or more molecules that differ in nothing else, in the plan's order."""
    groups: dict[str, list[str]] = {}
    for dataset in dict.fromkeys(cell.dataset for cell in plan.cells):
        if molecule(plan, dataset) is None:
            continue
        entry = {name: value for name, value in _entry(plan, "datasets", dataset).items() if name != "label"}
        entry["options"] = {name: value for name, value in entry["options"].items() if name != "molecule"}
        groups.setdefault(json.dumps(entry, sort_keys=True, default=str), []).append(dataset)
    return [names for names in groups.values() if len(names) > 1]
