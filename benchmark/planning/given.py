"""Bodies that were pretrained before and come in files: found, and made sure to be of the network that starts there."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from benchmark.errors import BenchmarkError
from benchmark.planning.cells import PretrainedFile
from benchmark.planning.config import Suite
from benchmark.planning.reading import build
from reports.records.plan import Arm
from tasks.registry import MODELS, PRETEXTS
from tasks.simulation.card import Network, PotentialError


def find_given(suite: Suite, arm: Arm, seed: int) -> PretrainedFile:
    """The body that the cell of an arm and a seed starts from.

    Raises:
        BenchmarkError: if there is no file, none that can be used, or one of another network.
    """
    pretext = suite.strategies[arm.strategy].pretext
    assert pretext is not None
    task = build(PRETEXTS, pretext)
    place = task.place(arm.dataset, arm.model, seed)
    try:
        body = task.body(place)
    except PotentialError as error:
        raise BenchmarkError(f"strategy {arm.strategy!r}: {error}") from error
    differing = _differing(body.card.network, suite, arm.model)
    if differing:
        raise BenchmarkError(
            f"strategy {arm.strategy!r}: the body in {place} is of another network than model {arm.model!r}: "
            f"{'; '.join(differing)}. A cell can only start from a body of its own network: give the model these "
            f"options, take another file, or leave this model out with --select"
        )
    return PretrainedFile(content_hash=body.content_hash, path=place, spent=body.spent)


def _differing(network: Network, suite: Suite, model: str) -> list[str]:
    """In what the network of a body differs from a model, in words; options that are left out have their defaults."""
    own = suite.models[model]
    if network.kind != own.kind:
        return [f"kind is {network.kind!r} in the file, {own.kind!r} here"]
    config = MODELS.options(own.kind)
    try:
        theirs: dict[str, Any] = config(**network.options).model_dump(mode="json")
    except ValidationError as error:
        return [f"its options {network.options} are not known here ({error.errors()[0]['msg']})"]
    ours: dict[str, Any] = config(**own.options).model_dump(mode="json")
    defaults = {name: field.default for name, field in config.model_fields.items()}
    return [
        f"{name} is {theirs.get(name, default)} in the file, {ours.get(name, default)} here"
        for name, default in defaults.items()
        if theirs.get(name, default) != ours.get(name, default)
    ]
