"""Options of relabelled structures."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.datasets.base import DatasetConfig
from tasks.registry import DATASETS, LABELLERS, Registry, UnknownKindError


class Chosen(BaseModel):
    """Something from a registry: its kind and the options of that kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(description="Name of a kind, shipped or added by an installed package.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Options of the kind; those left out have their defaults."
    )


class RelabelledConfig(DatasetConfig):
    """Parameters of relabelled structures; options of source and labeller that are left out are filled in."""

    source: Chosen = Field(description="The dataset whose structures are labelled, {kind, options}.")
    labeller: Chosen = Field(description="What labels them, {kind, options}.")

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, content: Any) -> Any:
        """Every option written out: what a key says must not hang on later defaults."""
        if not isinstance(content, dict):
            return content
        known = {"source": DATASETS, "labeller": LABELLERS}
        return {
            **content,
            **{name: _resolved(registry, content[name]) for name, registry in known.items() if name in content},
        }


def _resolved(registry: Registry[Any], content: Any) -> Any:
    chosen = content if isinstance(content, Chosen) else Chosen.model_validate(content)
    try:
        options = registry.options(chosen.kind)(**chosen.options)
    except UnknownKindError as error:
        raise ValueError(str(error)) from error
    return {"kind": chosen.kind, "options": options.model_dump(mode="json")}
