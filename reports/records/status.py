"""`status.json` and a pretraining's `result.json`: how far a job is, or how it ended, and what it cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["pending", "running", "ok", "diverged", "failed"]
Unfinished = Literal["diverged", "failed"]

STATES: tuple[State, ...] = ("pending", "running", "ok", "diverged", "failed")
FINISHED: tuple[State, ...] = ("ok", "diverged")
"""States that a later run does not repeat; a failure may have been the machine's and is tried again."""


Count = Annotated[int, Field(ge=0, le=10**15)]
Duration = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Status(BaseModel):
    """State of a job, and of a running fit how far it is."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    version: Literal[1] = Field(1, alias="schema")
    state: State = "pending"
    reason: str | None = None
    """Why it diverged or failed."""
    updated: Duration = 0.0
    """When this was written, seconds since 1970."""
    phase: str | None = None
    """`pretrain` or `finetune`."""
    epoch: Count | None = None
    epochs: Count | None = None
    fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Of the fit's steps that are done, 0 to 1."""
    loss: float | None = None
    """Training loss of the latest batch."""
    force_rmse_mev_per_A: float | None = None
    """Of the latest validation, meV/Å."""
    seconds_left: Duration | None = None
    """Until the fit ends, at its pace so far."""


class PretrainingResult(BaseModel):
    """What a pretraining cost."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    version: Literal[1] = Field(1, alias="schema")
    key: str | None = None
    """Whose cost it is; the first version did not say."""
    pretrain_steps: Count
    """Optimizer steps."""
    pretrain_seconds: Duration
    """Wall time, s, over all sittings."""
    label_seconds: Duration | None = None
    """What making the labels that it learned cost, s; None where none were made."""
