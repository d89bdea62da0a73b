"""What all entries of a suite file are."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """Base of all configuration: immutable, no unknown keys, no infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Entry(Strict):
    """Something from a registry: its kind and the options of that kind."""

    kind: str = Field(description="Name of a kind, shipped or added by an installed package.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Options of the kind; those left out have their defaults."
    )
