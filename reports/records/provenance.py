"""`provenance.json`: the entries that programs read; whatever else it says is shown as it stands."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Provenance(BaseModel):
    """The shape that readers rely on; each entry may be missing, as in a job that has just begun."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    name: str | None = None
    """What the job is called."""
    config: dict[str, Any] = {}
    """All that its key is the hash of."""
    versions: dict[str, str] | None = None
    """Of the packages."""
    git_commit: str | None = None
    """Of the source tree; None for an installed package."""
    code: str | None = None
    """Hash of the code that made the numbers; the first version did not say."""
    hardware: dict[str, Any] | None = None
    """Of the machine."""
    contents: list[str] = []
    """Content hashes of the data."""
    dataset: dict[str, Any] | None = None
    """What the finetuning data say of themselves."""
    datasets: list[dict[str, Any]] | None = None
    """What the pretraining data say of themselves."""
    earlier_sittings: list[dict[str, Any]] = []
    """Environments of the sittings before the last one."""
