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

    @property
    def seedless(self) -> tuple[str, dict[str, Any]]:
        """Kind and options but for the seed: data that differ in it alone are of the same size."""
        return self.kind, {name: value for name, value in self.options.items() if name != "seed"}
