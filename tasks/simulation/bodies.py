"""The file of a pretrained body: weights to start from, what they have cost, and traces of the structures they saw."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from tasks.leakage.traces import Traces
from tasks.simulation.card import Card, PotentialError, Spent
from tasks.simulation.file import ANEW, build_network, read_content, write_potential

SETS = ("train", "val")
PRETRAINING = "pretraining"
"""Entry of a card's provenance that says what it was; `spent` is in it."""


@dataclass(frozen=True, eq=False)
class Body:
    """A pretrained body as it came in a file.

    Attributes:
        card: what it is; it has no energies yet.
        weights: the network's state.
        spent: what its pretraining has cost; None if the file does not say.
        traces: of the structures that trained and validated it, by set, each of one dataset; None if the file does not
            say which these were.
    """

    card: Card
    weights: dict[str, Tensor]
    spent: Spent | None
    traces: Mapping[str, Sequence[Traces]] | None

    @cached_property
    def content_hash(self) -> str:
        """First 12 hex digits of the SHA-256 of all of it: equal for equal content, however it was stored."""
        digest = hashlib.sha256(json.dumps(self.card.model_dump(mode="json"), sort_keys=True).encode())
        tables = dict(sorted(self.weights.items()))
        for name, parts in (self.traces or {}).items():
            for number, part in enumerate(parts):
                tables |= {f"{name} {number} {key}": torch.as_tensor(value) for key, value in part.content().items()}
        for name, table in tables.items():
            digest.update(f"{name} {table.dtype} {tuple(table.shape)}".encode())
            digest.update(table.reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:12]

    @property
    def origin(self) -> dict[str, Any]:
        """What the file says of its pretraining: key, seed, pretext."""
        found = self.card.provenance.get(PRETRAINING)
        return {k: v for k, v in found.items() if k != "spent"} if isinstance(found, dict) else {}

    @property
    def pretext(self) -> str:
        """What it was pretrained by, in words."""
        told = self.origin.get("pretext")
        kind = told.get("kind") if isinstance(told, dict) else None
        return kind if isinstance(kind, str) else "a task that is not told"


def write_body(path: Path, card: Card, weights: dict[str, Tensor], traces: Mapping[str, Sequence[Traces]]) -> None:
    """Write the file of a body; see `Body`. What it cost is in the card's provenance."""
    write_potential(path, card, weights, structures={name: [part.content() for part in traces[name]] for name in SETS})


def read_body(path: Path) -> Body:
    """The body in a file that `export --pretraining` wrote; nothing in the file is executed.

    Raises:
        PotentialError: if it cannot be used, or is no body: a finetuned potential has seen labels.
    """
    card, weights, content = read_content(path)
    if card.finetuned:
        raise PotentialError(
            f"{path} holds a finetuned potential, not a pretrained body. Write one with `export --pretraining`"
        )
    build_network(card, weights, str(path))  # refuses weights that do not fit, or are not finite
    told = card.provenance.get(PRETRAINING)
    spent = told.get("spent") if isinstance(told, dict) else None
    stored = content.get("structures")
    try:
        cost = None if spent is None else Spent.model_validate(spent)
        traces = None
        if stored is not None:
            if not isinstance(stored, dict) or stored.keys() != {*SETS}:
                raise ValueError(f"structures: traces of {' and '.join(SETS)} were expected")
            traces = {name: [Traces.of(part) for part in stored[name]] for name in SETS}
    except (ValueError, TypeError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise PotentialError(f"{path} is damaged ({why}). {ANEW}") from error
    return Body(card, weights, cost, traces)
