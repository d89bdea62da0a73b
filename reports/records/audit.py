"""`audit.json`: what the leakage audit found clean before training, so that cells need not look again."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CleanAudit(BaseModel):
    """One audit that found nothing."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    contents: list[str]
    """Content hashes of the data that was compared: it holds for these frames and no others."""
    seen_frames: int
    """Frames that training and pretraining see."""
    checked_frames: int
    """Validation and test frames that were looked for among them."""
    nearest_frames: int | None
    """Smallest distance in time between a test and a seen frame of one trajectory; None if not known."""
    tolerance_A: float | None = None
    """Root mean square difference of distances up to which frames counted as the same, Å; None in older audits."""
    unknown: int = 0
    """Sources of pretraining that could not be looked through: files that do not say which structures they saw."""


class Audits(BaseModel):
    """The file: audits by what was compared."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = Field(1, alias="schema")
    clean: dict[str, CleanAudit] = {}
