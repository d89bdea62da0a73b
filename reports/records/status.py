"""`status.json`: how far a pretraining or cell is, or how it ended."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["pending", "running", "ok", "diverged", "failed"]
Unfinished = Literal["diverged", "failed"]

STATES: tuple[State, ...] = ("pending", "running", "ok", "diverged", "failed")
FINISHED: tuple[State, ...] = ("ok", "diverged")
"""States that a later run does not repeat; a failure may have been the machine's and is tried again."""


class Status(BaseModel):
    """State of a job, and of a running fit how far it is."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    version: Literal[1] = Field(1, alias="schema")
    state: State = "pending"
    reason: str | None = None
    """Why it diverged or failed."""
    updated: float = 0.0
    """When this was written, seconds since 1970."""
    phase: str | None = None
    """`pretrain` or `finetune`."""
    epoch: int | None = None
    epochs: int | None = None
    fraction: float = 0.0
    """Of the fit's steps that are done, 0 to 1."""
    loss: float | None = None
    """Training loss of the latest batch."""
    force_rmse_mev_per_A: float | None = None
    """Of the latest validation, meV/Å."""
    seconds_left: float | None = None
    """Until the fit ends, at its pace so far."""
