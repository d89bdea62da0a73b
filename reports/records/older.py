"""Run folders of earlier versions: what they hold, in the form of today."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Provenance = Callable[[str], dict[str, Any] | None]
"""Key of a cell -> its provenance, None if there is none yet."""


def upgrade_plan(content: dict[str, Any], provenance: Provenance) -> dict[str, Any]:
    """A plan of schema 1 or 2 as one of schema 3; anything else is returned as it is.

    Schema 2 declared no primary comparisons, so that it has none. Schema 1 had only labels of the names; what they
    stand for was read from the configuration, and whether data are a stand-in from the provenance of the cells.
    """
    version = content.get("schema", 1)
    if version == 2:
        return {**content, "schema": 3}
    if version != 1:
        return content
    # What is no mapping here is refused when the plan is validated.
    labels, config = _mapping(content.get("labels")), _mapping(content.get("config"))
    listed = content.get("cells")
    cells = [cell for cell in listed if isinstance(cell, dict)] if isinstance(listed, list) else []
    stand_ins = {cell.get("dataset") for cell in cells if _surrogate(cell, provenance)}

    def described(what: str, column: str) -> dict[str, dict[str, Any]]:
        named, entries = _mapping(labels.get(what)), _mapping(config.get(what))
        names = [*named, *(str(cell.get(column)) for cell in cells)]
        return {name: {**_mapping(entries.get(name)), "label": named.get(name, name)} for name in names}

    return {
        **{name: value for name, value in content.items() if name != "labels"},
        "schema": 3,
        "datasets": {
            name: _dataset(name, entry, name in stand_ins) for name, entry in described("datasets", "dataset").items()
        },
        "models": {
            name: {"label": entry["label"], "kind": entry.get("kind") or ""}
            for name, entry in described("models", "model").items()
        },
        "strategies": {name: _strategy(entry) for name, entry in described("strategies", "strategy").items()},
    }


def _mapping(content: Any) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}


def _surrogate(cell: dict[str, Any], provenance: Provenance) -> bool:
    dataset = _mapping(_mapping(provenance(str(cell.get("key")))).get("dataset"))
    return dataset.get("surrogate_structures", 0) > 0


def _dataset(name: str, entry: dict[str, Any], stand_in: bool) -> dict[str, Any]:
    """Schema 1 knew the kinds of datasets by name: rMD17 alone was judged by MAE and averaged over molecules."""
    options = _mapping(entry.get("options"))
    molecule = options.get("molecule") if entry.get("kind") == "rmd17" else None
    return {
        "label": entry["label"],
        "kind": entry.get("kind") or "",
        "options": options,
        "judged_by": "mae" if entry.get("kind") == "rmd17" else "rmse",
        "pool": json.dumps(_without_molecule(entry), sort_keys=True, default=str) if molecule else None,
        "member": molecule,
        "pooled_over": "molecule" if molecule else None,
        "stand_in": stand_in or any("surrogate" in text.lower() for text in (name, str(entry["label"]))),
        "labelled": entry.get("labelled") or 1.0,
    }


def _without_molecule(entry: dict[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in entry["options"].items() if name != "molecule"}
    return {**{name: value for name, value in entry.items() if name != "label"}, "options": options}


def _strategy(entry: dict[str, Any]) -> dict[str, Any]:
    pretext = _mapping(entry.get("pretext"))
    return {
        "label": entry["label"],
        "pretext": pretext.get("kind"),
        "options": pretext.get("options") or {},
        "extended": bool(entry.get("extended")),
    }
