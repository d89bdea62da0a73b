"""Finished cells and pretrainings of a run folder, read back: what they were trained as, and their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from benchmark.cell.library import Library, pool_structures
from benchmark.errors import BenchmarkError, unknown_name
from benchmark.planning.cells import Cell, Pretraining
from benchmark.planning.reading import build
from benchmark.training.weights import read_weights
from reports.records.folder import RunFolder
from reports.records.plan import Arm, Plan, PlannedCell
from tasks.leakage.traces import Traces, trace
from tasks.registry import PRETEXTS
from tasks.simulation.bodies import PRETRAINING, SETS
from tasks.simulation.card import Card, Network, Spent, spanning
from tasks.simulation.file import build_network
from tasks.simulation.potential import TrainedPotential

FIELDS = (*Arm._fields, "seed")
PREFIX = "model."
"""Before the names of the potential's weights in a checkpoint of the training module."""


def choose(plan: Plan, key: str | None = None, select: Mapping[str, list[str]] | None = None) -> list[PlannedCell]:
    """The cells of a plan with this key, or with these names by ``dataset``, ``model``, ``strategy`` or ``seed``.

    Raises:
        BenchmarkError: for a key, a field or a name that the plan does not have, or where nothing is left.
    """
    cells = list(plan.cells)
    if key is not None:
        cells = [cell for cell in cells if cell.key == key]
        if not cells:
            raise unknown_name("cell", key, [cell.key for cell in plan.cells], "`status` lists the cells of a run.")
    for field, names in (select or {}).items():
        if field not in FIELDS:
            raise unknown_name("field of --select", field, FIELDS, "Write --select strategy=masked,seed=0.")
        known = {str(getattr(cell, field)) for cell in plan.cells}
        for name in names:
            if name not in known:
                raise unknown_name(field, name, known, "These are those of the run.")
        cells = [cell for cell in cells if str(getattr(cell, field)) in names]
    if not cells:
        raise BenchmarkError("--select leaves no cell of the run; choose fewer conditions")
    return cells


def read_cell(run: RunFolder, planned: PlannedCell, plan: Plan) -> Cell:
    """What a cell that ended well was trained as, from its own provenance.

    Raises:
        BenchmarkError: if it has not ended well, or was trained by a version that meant something else by its key.
    """
    folder = run.cell(planned.key)
    status, name = folder.status(), f"cell {planned.key} ({'/'.join(planned.arm)}/seed {planned.seed})"
    if status.state != "ok":
        why = f": {status.reason}" if status.reason else ""
        raise BenchmarkError(
            f"{name} is {status.state}{why}. Only a cell that ended well has a potential to use; finish the run, or "
            f"choose another cell"
        )
    content = dict((folder.read_provenance() or {}).get("config", {}))
    if content.get("pretraining"):
        content["pretraining"] = {**content["pretraining"], "name": f"pretraining of {name}"}
    try:
        cell = Cell(**content, arm=planned.arm, suite=plan.suite, scale=plan.scale)
    except (ValidationError, TypeError) as error:
        raise BenchmarkError(f"{folder.provenance} does not say what {name} was trained as: {folder.remedy}") from error
    if cell.key != planned.key:
        raise BenchmarkError(
            f"{folder.provenance} describes cell {cell.key}, not {planned.key}, as this version understands it. Use "
            f"the version that trained it: the file names it under `versions`"
        )
    return cell


def trained_potential(
    cell: Cell, run: RunFolder, plan: Plan, library: Library, checkpoint: str = "best", **options: Any
) -> TrainedPotential:
    """The potential that a cell ended with; options are those of `TrainedPotential`.

    Raises:
        BenchmarkError: if the data is not that of the cell.
        PotentialError: if weights and architecture do not fit.
    """
    card, weights = cell_content(cell, run, plan, library, checkpoint)
    return TrainedPotential(card, build_network(card, weights, f"cell {cell.key}"), **options)


def cell_content(
    cell: Cell, run: RunFolder, plan: Plan, library: Library, checkpoint: str = "best"
) -> tuple[Card, dict[str, Tensor]]:
    """Card and weights of a finished cell.

    Raises:
        BenchmarkError: if the data is not that of the cell, or a checkpoint is missing.
        DatasetError: if the data is not there.
    """
    folder = run.cell(cell.key)
    provenance = folder.read_provenance() or {}
    dataset, split, _ = library.load_sets(cell.dataset, cell.seed)
    if split.hash() != provenance.get("split_hash") or dataset.content_hash not in provenance.get("contents", []):
        raise BenchmarkError(
            f"the data of dataset {cell.arm.dataset!r} is not what cell {cell.key} was trained on (content hash "
            f"{dataset.content_hash}). Point --data-dir to the data of then"
        )
    training = [dataset.samples[frame] for frame in split.train]
    normalisation = provenance["normalisation"]
    card = Card(
        network=Network(kind=cell.model.kind, options=cell.model.options),
        reference_eV=normalisation["reference_eV"],
        scale_eV=normalisation["scale_eV"],
        species=tuple(sorted({number for sample in training for number in sample.z.tolist()})),
        compositions=spanning(_distinct([_composition(sample.z) for sample in training])),
        periodic="box" in training[0],
        provenance={
            "cell": {"key": cell.key, **cell.arm._asdict(), "seed": cell.seed, "checkpoint": checkpoint},
            "suite": {"name": plan.suite, "scale": plan.scale, "title": plan.title, "command": plan.command},
            "strategy": plan.strategies[cell.arm.strategy].label,
            "data": provenance.get("dataset"),
            **_origin(provenance),
        },
    )
    weights = read_weights(folder.checkpoint(checkpoint), cell.key, folder.remedy)["state_dict"]
    return card, {name.removeprefix(PREFIX): tensor for name, tensor in weights.items() if name.startswith(PREFIX)}


def read_pretraining(run: RunFolder, key: str) -> Pretraining:
    """What a pretraining that ended well was trained as.

    Raises:
        BenchmarkError: if there is none with this key, or it has not ended well.
    """
    folder = run.pretraining(key)
    state = folder.status().state
    if state != "ok":
        raise BenchmarkError(f"pretraining {key} is {state}: there are no weights to take away. Finish the run first")
    content = (folder.read_provenance() or {}).get("config", {})
    try:
        return Pretraining(**content, name=f"pretraining {key}")
    except (ValidationError, TypeError) as error:
        raise BenchmarkError(f"{folder.provenance} does not say what it was trained as: {folder.remedy}") from error


def pretraining_content(
    run: RunFolder, key: str, plan: Plan, library: Library
) -> tuple[Card, dict[str, Tensor], dict[str, list[Traces]]]:
    """Card and weights of a finished pretraining, a body without energies, and traces of the structures that it saw.

    Raises:
        BenchmarkError: if it has not ended well, or its data is not that of then.
        DatasetError: if its data is not there.
    """
    pretraining, folder = read_pretraining(run, key), run.pretraining(key)
    provenance = folder.read_provenance() or {}
    contents = library.contents(pretraining.parts)
    if contents != provenance.get("contents"):
        raise BenchmarkError(
            f"the data of pretraining {key} is not what it saw (content hashes {', '.join(contents)}). Point "
            f"--data-dir to the data of then"
        )
    sets = [library.load_sets(part, pretraining.seed) for part in pretraining.parts]
    samples = [data.samples[frame] for data, split, _ in sets for frame in [*split.train, *split.val]]
    card = Card(
        network=Network(kind=pretraining.model.kind, options=pretraining.model.options),
        species=tuple(sorted({number for sample in samples for number in sample.z.tolist()})),
        periodic="box" in samples[0],
        provenance={
            PRETRAINING: {
                "key": key,
                "seed": pretraining.seed,
                "pretext": pretraining.pretext.model_dump(),
                "spent": _spent(run, pretraining, library).model_dump(),
            },
            "suite": {"name": plan.suite, "scale": plan.scale, "title": plan.title, "command": plan.command},
            "data": provenance.get("datasets"),
            "contents": contents,
            **_origin(provenance),
        },
    )
    traces = {
        name: [
            trace([data.samples[frame] for frame in split.as_dict()[name]], data.precision_A) for data, split, _ in sets
        ]
        for name in SETS
    }
    return card, read_weights(folder.potential, key, folder.remedy)["state_dict"], traces


def _spent(run: RunFolder, pretraining: Pretraining, library: Library) -> Spent:
    """What a pretraining has cost: the whole, also of one that several datasets share."""
    result = run.pretraining(pretraining.key).read_result(pretraining.key)
    pool = pool_structures(pretraining.parts, build(PRETEXTS, pretraining.pretext), pretraining.seed, library)
    return Spent(
        epochs=pretraining.phase.epochs,
        frames=pool.epoch_frames,
        steps=result.pretrain_steps,
        seconds=result.pretrain_seconds,
        label_seconds=result.label_seconds,
    )


def _origin(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {name: provenance.get(name) for name in ("config", "versions", "git_commit", "finished_at")}


def _composition(z: Tensor) -> dict[int, int]:
    numbers, counts = torch.unique(z, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def _distinct(compositions: list[dict[int, int]]) -> list[dict[int, int]]:
    return [dict(pairs) for pairs in dict.fromkeys(tuple(sorted(row.items())) for row in compositions)]
