"""Run folders of earlier versions: what they hold, in the form of today."""

from __future__ import annotations

import json
from typing import Any


def upgrade_plan(content: dict[str, Any]) -> dict[str, Any]:
    """A plan of schema 1 as one of schema 2; anything else is returned as it is.

    Schema 1 had only labels of the names; what they stand for was read from the configuration.
    """
    cells, labels = content.get("cells"), content.get("labels", {})
    if content.get("schema") != 1 or not isinstance(cells, list) or not isinstance(labels, dict):
        return content
    config = content.get("config") or {}

    def described(what: str, column: str) -> dict[str, dict[str, Any]]:
        named = labels.get(what) or {}
        names = [*named, *(cell.get(column) for cell in cells if isinstance(cell, dict))]
        entries = config.get(what) or {}
        return {str(name): {**(entries.get(name) or {}), "label": named.get(name, name)} for name in names}

    return {
        **{name: value for name, value in content.items() if name != "labels"},
        "schema": 2,
        "datasets": {name: _dataset(name, entry) for name, entry in described("datasets", "dataset").items()},
        "models": {
            name: {"label": entry["label"], "kind": entry.get("kind") or ""}
            for name, entry in described("models", "model").items()
        },
        "strategies": {name: _strategy(entry) for name, entry in described("strategies", "strategy").items()},
    }


def _dataset(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 knew the kinds of datasets by name: rMD17 alone was judged by MAE and averaged over molecules."""
    options = entry.get("options") or {}
    molecule = options.get("molecule") if entry.get("kind") == "rmd17" else None
    return {
        "label": entry["label"],
        "kind": entry.get("kind") or "",
        "options": options,
        "judged_by": "mae" if entry.get("kind") == "rmd17" else "rmse",
        "pool": json.dumps(_without_molecule(entry), sort_keys=True, default=str) if molecule else None,
        "member": molecule,
        "stand_in": any("surrogate" in text.lower() for text in (name, str(entry["label"]))),
        "labelled": entry.get("labelled") or 1.0,
    }


def _without_molecule(entry: dict[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in entry["options"].items() if name != "molecule"}
    return {**{name: value for name, value in entry.items() if name != "label"}, "options": options}


def _strategy(entry: dict[str, Any]) -> dict[str, Any]:
    pretext = entry.get("pretext") or {}
    return {
        "label": entry["label"],
        "pretext": pretext.get("kind"),
        "options": pretext.get("options") or {},
        "extended": bool(entry.get("extended")),
    }
