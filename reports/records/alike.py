"""Whether one name stands for the same in the plans of several runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reports.records.atomic import RecordError
from reports.records.plan import Plan

HOW_CALLED = frozenset({"label", "title", "description"})
"""What a thing is called, which may differ."""
NOT_TRAINED_WITH = frozenset({"eval_batch_size"})
"""Settings of training that no result depends on."""

_MISSING = object()


def check_alike(plans: Sequence[Plan], names: Sequence[str]) -> None:
    """That means over these runs are means of like things.

    Cells of one name and seed must have one key. A seed that is in one run alone has no other key to differ from, so
    that what names stand for is compared too, by what plans say of them: datasets and their content, networks and
    finetuning on each dataset, and arms with their pretraining. Datasets that are averaged over (`pool`) count as one
    where networks and finetuning are compared.

    Args:
        plans: of the runs.
        names: what the runs are called in the message, in the same order.

    Raises:
        RecordError: if one name stands for unlike things in two of them.
    """
    known: dict[str, tuple[Any, str]] = {}
    for plan, name in zip(plans, names, strict=True):
        for what, meaning in _meanings(plan):
            before, where = known.setdefault(what, (meaning, name))
            difference = _difference(before, meaning)
            if difference:
                path, one, other = difference
                raise RecordError(
                    f"{what} stands for other settings in {where} than in {name} ({path}: {one}, {other}): their "
                    "results cannot be averaged. Report each run on its own, or put two of them side by side with "
                    "--compare"
                )


def _meanings(plan: Plan) -> Iterator[tuple[str, Any]]:
    """What each name stands for in a plan, once or more often; what older plans do not say is left out."""
    datasets, models = plan.config.get("datasets", {}), plan.config.get("models", {})
    training, structures = plan.config.get("training", {}), plan.config.get("structures", {})
    finetuning = {name: value for name, value in training.items() if name not in {"pretrain", *NOT_TRAINED_WITH}}
    for cell in {cell.arm: cell for cell in plan.cells}.values():
        if cell.dataset in datasets:
            yield f"dataset {cell.dataset}", datasets[cell.dataset]
        if cell.model in models:
            where = plan.datasets[cell.dataset].pool or cell.dataset
            yield f"model {cell.model} on {where}", {**models[cell.model], **finetuning}
        arm = plan.config.get("strategies", {}).get(cell.strategy)
        if arm is not None:
            meaning = {**arm, "epochs": [cell.pretrain_epochs, cell.finetune_epochs]}
            if arm.get("pretext"):
                meaning["pretrain"] = training.get("pretrain")
            seen = arm.get("pretrain_on")
            if seen == "pooled":
                meaning["pooled"] = sorted({other.dataset for other in plan.cells if other.strategy == cell.strategy})
            elif isinstance(seen, list):
                meaning["structures"] = {name: structures.get(name) for name in seen}
            yield f"strategy {cell.strategy} on {cell.dataset}, {cell.model}", meaning
    for name, content in plan.data.items():
        yield f"the content of {name}", content
    for cell in plan.cells:
        yield f"{' / '.join(cell.arm)} / seed {cell.seed}", cell.key


def _difference(one: Any, other: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """The first place where two entries differ, and what they say there."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in dict.fromkeys([*one, *other]):
            if name not in HOW_CALLED:
                place = f"{path}.{name}" if path else name
                found = _difference(one.get(name, _MISSING), other.get(name, _MISSING), place)
                if found:
                    return found
        return None
    if one == other:
        return None
    said = ["nothing" if value is _MISSING else value for value in (one, other)]
    return path or "hash", said[0], said[1]
