"""The JSON schema of suite files, for editors: completion, descriptions, and what is wrong, while one types.

It is made from the typed configuration. A file may hold any part of a suite, as scales and ``extends`` lay one mapping
over another: little is required, and null, which takes an entry away, may stand anywhere. What a schema cannot tell
(names that must agree, say), ``run --dry-run`` does.
"""

from __future__ import annotations

from typing import Any

from benchmark.planning.config import Suite
from tasks.registry import DATASETS, LABELLERS, MODELS, PRETEXTS, Registry

Schema = dict[str, Any]

ENTRIES: dict[str, Registry[Any]] = {
    "DatasetEntry": DATASETS,
    "StructuresEntry": DATASETS,
    "ModelEntry": MODELS,
    "Auxiliary": PRETEXTS,
}
"""The definitions that have a kind and its options, and where the kinds are registered."""


def suite_schema() -> Schema:
    """The schema of a suite file, JSON Schema 2020-12, with the options of every registered kind."""
    suite = Suite.model_json_schema()
    definitions: dict[str, Schema] = suite["$defs"]
    entry = definitions.pop("Entry")
    for registry in (DATASETS, MODELS, PRETEXTS, LABELLERS):
        for kind in registry.kinds():
            options = registry.get(kind).Config.model_json_schema()
            definitions.update(options.pop("$defs", {}))
            definitions[_options_of(registry, kind)] = options
        definitions[_entry_of(registry)] = _with_kinds(entry, registry)
    for name, registry in ENTRIES.items():
        definitions[name] = _with_kinds(definitions[name], registry)
        if "training" in definitions[name]["properties"]:
            _point(definitions[name]["properties"], "training", "Training")
    tests = definitions["DatasetEntry"]["properties"]["extra_tests"]
    tests["additionalProperties"] = {"$ref": f"#/$defs/{_entry_of(DATASETS)}"}
    arm = definitions["Strategy"]["properties"]
    _point(arm, "pretext", _entry_of(PRETEXTS))
    _point(arm, "labels_from", _entry_of(LABELLERS))
    _point(arm, "training", "Training")
    definitions["Split"] = _merge(
        [definitions.pop(f"{method}Split") for method in ("Trajectory", "Official", "Frame", "Own")]
    )
    for name in ("DatasetEntry", "StructuresEntry"):
        _point(definitions[name]["properties"], "split", "Split")
    labelled = definitions["DatasetEntry"]["properties"]["labelled"]["anyOf"]
    labelled.append({"type": "array", "items": labelled[0]})
    del suite["properties"]["scale"]
    definitions["Scale"] = {"type": "object", "properties": suite["properties"], "additionalProperties": False}
    for definition in definitions.values():
        _loosen(definition)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Suite of nnp-pretrain-bench",
        "type": "object",
        "properties": {
            "extends": {
                "type": "string",
                "description": "A suite to start from, at the same scale: a shipped one, or the path of a file.",
            },
            **definitions["Scale"]["properties"],
            "scales": {
                "description": "What is laid over the rest, by scale: smoke, quick, standard, paper, or names of your "
                "own.",
                "type": "object",
                "minProperties": 1,
                "additionalProperties": _or_null({"$ref": "#/$defs/Scale"}),
            },
        },
        "required": ["name"],
        "anyOf": [{"required": ["extends"]}, {"required": ["title", "description", "scales"]}],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _options_of(registry: Registry[Any], kind: str) -> str:
    return f"options of {registry.noun} {kind}"


def _entry_of(registry: Registry[Any]) -> str:
    return f"kind of {registry.noun}"


def _with_kinds(entry: Schema, registry: Registry[Any]) -> Schema:
    """An entry of a registered kind and its options, or of one that an installed package adds.

    Where a scale names no kind, as its suite does, the options of all kinds are offered and none is refused.
    """
    kinds = registry.kinds()
    options = {name: {"$ref": f"#/$defs/{_options_of(registry, name)}"} for name in kinds}
    kind = {"anyOf": [{"enum": kinds}, {"type": "string"}], "description": f"Kind of {registry.noun}."}
    return {
        **entry,
        "properties": {**entry["properties"], "kind": kind},
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
                "then": {"properties": {"options": options[name]}},
            }
            for name in kinds
        ],
        "if": {"not": {"required": ["kind"]}},
        "then": {"properties": {"options": {"anyOf": [*options.values(), {"type": "object"}]}}},
    }


def _point(properties: dict[str, Schema], name: str, target: str) -> None:
    """Let a property be what a definition says, with its own description."""
    properties[name] = {"$ref": f"#/$defs/{target}", "description": properties[name]["description"]}


def _merge(choices: list[Schema]) -> Schema:
    """One mapping with the keys of all choices: laid over each other, a file may hold a part of two."""
    properties: dict[str, Schema] = {}
    for choice in choices:
        for name, value in choice["properties"].items():
            before = properties.get(name)
            properties[name] = value if before is None else {"anyOf": [*before.get("anyOf", [before]), value]}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _loosen(definition: Schema) -> None:
    """Require nothing, and let null stand for every value, and for every entry of a mapping."""
    definition.pop("required", None)
    for name, value in definition.get("properties", {}).items():
        inner = value.get("additionalProperties")
        if isinstance(inner, dict) and inner:
            value["additionalProperties"] = _or_null(inner)
        definition["properties"][name] = _or_null(value)


def _or_null(value: Schema) -> Schema:
    """The same or null; what editors show stays outside."""
    shown: Schema = {key: value[key] for key in ("description", "default") if key in value}
    rest = {key: part for key, part in value.items() if key not in (*shown, "title")}
    return {"anyOf": [rest, {"type": "null"}], **shown}
