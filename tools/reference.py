"""Writes docs/reference: every option from the typed configuration, the command line, the files of a run, the API.

``python -m tools.reference`` from the project's root; ``make docs`` does. Nothing there is written by hand.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from benchmark.planning import config, strategies
from benchmark.planning.simulation import SimulationSettings
from reports.records.record import CURVE_METRICS, CURVE_SCHEMA, CURVE_SPLITS, PHASES, Record
from reports.records.references import REFERENCE_SCHEMA, REFERENCES
from reports.records.references import SPLITS as REFERENCE_SPLITS
from reports.records.samples import ELEMENT_SCHEMA, MOST_PREDICTIONS, PREDICTION_SCHEMA, QUANTITY_UNITS
from reports.records.simulations import END_SCHEMA, MEASURE_SCHEMA, QUANTITIES, SERIES_SCHEMA, TESTS
from tasks.datasets import splits
from tasks.registry import DATASETS, LABELLERS, MODELS, PRETEXTS, Registry
from tools.suite_schema import suite_schema

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"

UNITS = {
    "_A": "Å",
    "_K": "K",
    "_ps": "ps",
    "_per_ps": "1/ps",
    "_fs": "fs",
    "_g_per_cm3": "g/cm³",
    "_mev": "meV",
    "_mev_per_A": "meV/Å",
    "_mev_per_atom": "meV/atom",
    "_seconds": "s",
    "_mb": "MB",
}
"""What the end of a name says of its unit; the longest that fits counts."""

TABLES = {
    "curves": (
        CURVE_SCHEMA,
        {
            "cell_key": "Hash of all that determines the cell.",
            "phase": f"One of {', '.join(PHASES)}.",
            "epoch": "Epoch, counted from 1 within the phase.",
            "step": "Optimizer steps so far within the phase.",
            "seconds": "Training time so far within the phase, s.",
            "split": f"One of {', '.join(CURVE_SPLITS)}.",
            "metric": f"One of {', '.join(CURVE_METRICS)}.",
            "value": "The value, in the unit that the metric's name gives (`loss` is that of what is trained, of a "
            "pretext in its own unit); null is NaN, the last value of a diverged cell.",
        },
    ),
    "elements": (
        ELEMENT_SCHEMA,
        {
            "cell_key": "Hash of all that determines the cell.",
            "split": "Frames on which the errors were measured, as in the record.",
            "checkpoint": "`best` or `last`, as in the record.",
            "extra": "Name of the further dataset, where `split` is `extra`.",
            "element": "Atomic number.",
            "n_atoms": "Atoms of the element, summed over the frames of the split.",
            "force_rmse_mev_per_A": "Root mean square error over the force components of these atoms.",
            "force_mae_mev_per_A": "Mean absolute error over the force components of these atoms.",
        },
    ),
    "predictions": (
        PREDICTION_SCHEMA,
        {
            "cell_key": "Hash of all that determines the cell.",
            "quantity": "; ".join(
                f"`{name}` in {unit}, at most {MOST_PREDICTIONS[name]} a cell" for name, unit in QUANTITY_UNITS.items()
            )
            + ".",
            "frame": "Index of the frame in the dataset.",
            "file": "The user's file that the frame is from; null for data that is made or published.",
            "file_frame": "Index of the frame in that file, from 0, whatever frames were selected.",
            "atom": "Index of the atom in the frame, from 0; null for energies, and in schema 1.",
            "axis": "`x`, `y` or `z` of a force; null likewise. Where box vectors were turned (the first along x, the "
            "second in the xy plane), of the turned frame.",
            "element": "Atomic number of the atom; null for energies.",
            "reference": "The label; of energies without the training set's reference energies of the elements.",
            "predicted": "What the best checkpoint predicts for it.",
        },
    ),
    "references": (
        REFERENCE_SCHEMA,
        {
            "dataset": "Name of the dataset within the suite.",
            "seed": "Seed of the cells whose frames these are.",
            "split": f"One of {', '.join(REFERENCE_SPLITS)}.",
            "reference": f"One of {', '.join(REFERENCES)}: no force and the reference energies of the elements; each "
            "molecule as if it were alone. Both are fitted to the frames that finetuning trains on.",
            "metric": "The error: a column of the record.",
            "value": "Its value, in the unit that the metric's name gives.",
        },
    ),
}
"""Tables beside the records: their columns and what they mean."""

SUBJECT = {
    "subject": "Key of a cell, or the name of a rival and its dataset.",
    "kind": "`cell`; `own model` or `data`, the reference; or a reference without network, `null` or `one molecule`.",
    "dataset": "Name of the dataset within the suite.",
    "model": "Name of the model; null for rivals.",
    "strategy": "Name of the arm; null for rivals.",
    "seed": "Seed whose split the structures are of.",
    "test": f"One of {', '.join(TESTS)}.",
}
SIMULATIONS = {
    "ends": (
        END_SCHEMA,
        {
            **SUBJECT,
            "replica": "Number of the simulation.",
            "planned_ps": "Length that was planned.",
            "simulated_ps": "Length that was reached.",
            "cause": "Why it ended early, `bond`, `temperature` or `not finite`; null if it did not.",
        },
    ),
    "measures": (
        MEASURE_SCHEMA,
        {
            **SUBJECT,
            "quantity": "What was measured; see below. Its unit is at the end of its name.",
            "place": "Of what or where: `O-O`, `350 K`; may be empty.",
            "value": "Mean over replicas; null where it could not be measured.",
        },
    ),
    "series": (
        SERIES_SCHEMA,
        {
            **SUBJECT,
            "quantity": "`rdf` and `distances` over Å, `bond` (Å), `angle` (degrees), `spectrum` (1/cm), `scan` (meV).",
            "place": "As in measures.",
            "x": "Place on the axis.",
            "y": "Value there.",
        },
    ),
}
"""Tables that simulations leave: their columns and what they mean."""

API = {
    "tasks": "Datasets, models and pretexts: what a package of your own derives from and may use.",
    "reports": "From the records of a run to numbers, tables and figures.",
    "benchmark": "The engine. Its modules may change between releases; the command line is what it promises.",
}


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in files().items():
        (FOLDER / name).write_text(content, encoding="utf-8")


def files() -> dict[str, str]:
    """The pages and the schema: contents by file name."""
    return {
        "suite.md": suite_page(),
        "datasets.md": kinds_page("Datasets", DATASETS, "datasets.NAME.options"),
        "models.md": kinds_page("Models", MODELS, "models.NAME.options"),
        "pretexts.md": kinds_page("Pretexts", PRETEXTS, "strategies.NAME.pretext.options"),
        "labellers.md": kinds_page("Labellers", LABELLERS, "strategies.NAME.labels_from.options"),
        "records.md": records_page(),
        "simulations.md": simulations_page(),
        "command-line.md": command_line_page(),
        **{f"api-{package}.md": api_page(package, text) for package, text in API.items()},
        "suite.schema.json": json.dumps(suite_schema(), ensure_ascii=False, indent=1) + "\n",
    }


def suite_page() -> str:
    """The keys of a suite file."""
    parts: list[tuple[str, str, type[BaseModel]]] = [
        ("Primary comparisons", "primary", config.Primary),
        ("Datasets", "datasets.NAME", config.DatasetEntry),
        ("Split by trajectory", "datasets.NAME.split", splits.TrajectorySplit),
        ("Published split", "datasets.NAME.split", splits.OfficialSplit),
        ("Split by frame", "datasets.NAME.split", splits.FrameSplit),
        ("Split of your own", "datasets.NAME.split", splits.OwnSplit),
        ("Structures", "structures.NAME", config.StructuresEntry),
        ("Models", "models.NAME", config.ModelEntry),
        ("Arms", "strategies.NAME", strategies.Strategy),
        ("An auxiliary pretext", "strategies.NAME.auxiliary", strategies.Auxiliary),
        ("Training", "training", config.Training),
        ("Pretraining", "training.pretrain", config.Phase),
        ("Finetuning", "training.finetune", config.Finetune),
        ("Sweep", "sweep", config.Sweep),
        ("Simulation", "simulation", SimulationSettings),
    ]
    lines = [
        "# Suite files",
        "A suite is a table of cells: datasets × models × arms × seeds. Beside these keys the file has `scales`, which "
        "holds what differs between scales, and may have `extends`, a shipped suite to start from: see "
        "[Suites](../guide/suites.md). The same for editors: [suite.schema.json](suite.schema.json).",
        _options(config.Suite, without=("scale",)),
    ]
    for title, place, model in parts:
        lines += [f"## {title}", f"`{place}`. {_docstring(model)}", _options(model)]
    return _page(lines)


def kinds_page(title: str, registry: Registry[Any], place: str) -> str:
    """Every kind of a registry, with its options."""
    lines = [f"# {title}", f"The kinds of {registry.noun} and their options, `{place}` in a suite file."]
    for kind in registry.kinds():
        cls = registry.get(kind)
        lines += [f"## {kind}", _docstring(cls), _options(cls.Config)]
    return _page(lines)


def records_page() -> str:
    """The tables that a run leaves."""
    lines = [
        "# Records",
        "What a report is made from. Each cell leaves `record.parquet`, `curves.parquet` and, where it ended well, "
        "`elements.parquet` and `predictions.parquet` in its folder. `references.parquet` is one for the whole run.",
        "## record",
        _docstring(Record),
    ]
    properties = Record.model_json_schema()["properties"]
    rows = []
    for name, value in properties.items():
        null = " or null" if {"type": "null"} in value.get("anyOf", []) else ""
        rows.append((f"`{name}`", _type(value) + null, _unit(name), _one_line(value["description"])))
    lines.append(_table(("column", "type", "unit", "meaning"), rows))
    for name, (schema, meanings) in TABLES.items():
        lines += [f"## {name}", _columns(schema, meanings)]
    return _page(lines)


def simulations_page() -> str:
    """The settings of simulations, and the tables that they leave."""
    lines = [
        "# Simulations",
        "What `simulate` takes with `--set NAME=VALUE`, and what it leaves in `RUN/simulations/`: a folder for each "
        "subject and test with three tables. What the numbers are: [Potentials in use](../design/in-use.md).",
        "## Settings",
        _options(SimulationSettings),
    ]
    for name, (schema, meanings) in SIMULATIONS.items():
        lines += [f"## {name}", _columns(schema, meanings)]
    lines += ["## Quantities", _table(("quantity", "meaning"), [(f"`{n}`", text) for n, text in QUANTITIES.items()])]
    return _page(lines)


def command_line_page() -> str:
    """The verbs and options, as typer documents them."""
    command = [sys.executable, "-m", "typer", "benchmark.cli.main", "utils", "docs", "--name", "nnp-bench"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    text = done.stdout.replace("# `nnp-bench`", "# Command line", 1)
    return text.replace("**Usage**", "`python -m benchmark` is the same.\n\n**Usage**", 1)


def api_page(package: str, text: str) -> str:
    """The public docstrings of a package, for mkdocstrings to fill in."""
    return _page([f"# API: {package}", text, f"::: {package}"])


def _page(lines: list[str]) -> str:
    return "\n\n".join(lines) + "\n"


def _docstring(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def _options(model: type[BaseModel], without: tuple[str, ...] = ()) -> str:
    """A table of the fields of a configuration."""
    schema = model.model_json_schema()
    rows = [
        (f"`{name}`", _type(value), _default(model, name), _unit(name), _one_line(value["description"]))
        for name, value in schema.get("properties", {}).items()
        if name not in without
    ]
    return _table(("option", "type", "default", "unit", "meaning"), rows) if rows else "No options."


def _default(model: type[BaseModel], name: str) -> str:
    """The default as a suite file would have it."""
    field = model.model_fields[name]
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _unit(name: str) -> str:
    endings = [ending for ending in UNITS if name.endswith(ending)]
    return UNITS[max(endings, key=len)] if endings else ""


def _type(value: dict[str, Any]) -> str:
    """What a JSON schema allows, in words."""
    choices = value.get("anyOf", value.get("oneOf"))
    if choices:
        words = [_type(choice) for choice in choices if choice.get("type") != "null"]
        return " or ".join(dict.fromkeys(words))
    if "$ref" in value:
        return "mapping"
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if value["type"] == "array":
        return f"list of {_type(value['items'])}"
    names = {"string": "text", "boolean": "true or false", "object": "mapping"}
    return names.get(value["type"], value["type"]) + _bounds(value)


def _bounds(value: dict[str, Any]) -> str:
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    bounds = [f"{sign} {value[key]:g}" for key, sign in signs.items() if key in value]
    return f" {', '.join(bounds)}" if bounds else ""


def _columns(schema: pa.Schema, meanings: dict[str, str]) -> str:
    rows = [
        (f"`{field.name}`", f"{field.type}{' or null' if field.nullable else ''}", _unit(field.name), meaning)
        for field, meaning in zip(schema, [meanings[field.name] for field in schema], strict=True)
    ]
    return _table(("column", "type", "unit", "meaning"), rows)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; columns that are empty throughout are left out."""
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line[i].replace("|", "\\|") for i in kept) + " |" for line in lines)


if __name__ == "__main__":
    main()
