"""An arm of a suite: what happens before finetuning, and how finetuning differs from that of other arms."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from benchmark.planning.entries import Entry, Strict
from tasks.registry import PRETEXTS

Transfer = Literal["all", "body", "scaled", "shuffled"]
"""What finetuning takes over from pretraining; see ``Strategy.transfer``."""


class Auxiliary(Entry):
    """A pretext that is learned during finetuning, in a second forward of each training batch.

    Denoising with weight 0.1 is what Zaidi et al. (2023, arXiv 2206.00133) do.
    """

    weight: float = Field(0.1, gt=0, description="Weight of the pretext's loss beside that of energies and forces.")


class Strategy(Strict):
    """One arm: what happens before finetuning, and how long finetuning is."""

    label: str = Field(description="What reports call the arm.")
    pretext: Entry | None = Field(
        None, description="What pretraining learns; without one, the arm trains from scratch."
    )
    pretrain_on: Literal["own", "pooled"] | Annotated[list[str], Field(min_length=1)] = Field(
        "own",
        description="Whose training structures pretraining sees: own, those of the dataset that is finetuned on; "
        "pooled, those of all chosen datasets, in one pretraining that they share; or a list of names from "
        "`structures` and `datasets`.",
    )
    extended: bool | str = Field(
        False,
        description="Train longer, by as many frames as pretraining sees (of a pooled one, this dataset's part): the "
        "compute-matched baseline. Where arms pretrain on different structures, the name of the arm to match.",
    )

    # What came after the first runs is left out of keys and plans while it is off: their cells stay the same work.
    labels_from: Entry | None = Field(
        None,
        exclude_if=lambda entry: entry is None,
        description="Who labels the structures that pretraining sees, for a pretext that learns labels. Without one: "
        "with pretrain_on own, the true labels of the cell's labelled training frames; else those that the structures "
        "came with.",
    )
    transfer: Transfer = Field(
        "all",
        exclude_if=lambda transfer: transfer == "all",
        description="What finetuning takes over from pretraining. all: all weights. body: all but the readout, which "
        "starts as it does from scratch. scaled: all, and energies and forces are multiplied by the factor that "
        "gives the predicted forces of the training frames the true forces' root mean square. shuffled: body, with the "
        "numbers of each of its weights in another order, drawn with the cell's seed; a control.",
    )
    auxiliary: Auxiliary | None = Field(
        None,
        exclude_if=lambda entry: entry is None,
        description="A pretext that finetuning goes on with beside energies and forces.",
    )
    training: dict[str, Any] = Field(
        default_factory=dict,
        exclude_if=lambda values: not values,
        description="Values that replace those of `training` for this arm alone, e.g. {finetune: {lr: 1e-3}}. They "
        "take precedence over the dataset's and the model's. For what has been tuned with equal effort for all arms: "
        "see the verb `tune`.",
    )

    @model_validator(mode="after")
    def _not_both(self) -> Strategy:
        if self.pretext is not None and self.extended:
            raise ValueError("an arm with a pretext cannot be extended: it would train longer than its baseline")
        if self.pretext is None and self.pretrain_on != "own":
            raise ValueError("pretrain_on is set, but there is no pretext to pretrain with")
        if self.pretext is None and (self.labels_from is not None or self.transfer != "all"):
            raise ValueError("labels_from and transfer are about pretraining; there is no pretext to pretrain with")
        if self.extended and self.auxiliary is not None:
            raise ValueError("an extended arm is training from scratch for longer; it has no auxiliary task")
        return self


def needs_labels(pretext: Entry) -> bool:
    """Whether a pretext learns energies and forces; torch is not imported."""
    options: Any = PRETEXTS.options(pretext.kind)
    return bool(options.needs_labels)


def from_file(pretext: Entry) -> bool:
    """Whether a pretext is a body that was pretrained before; torch is not imported."""
    options: Any = PRETEXTS.options(pretext.kind)
    return bool(options.from_file)


def pretrains(arm: Strategy) -> bool:
    """Whether an arm begins with a pretraining that the run itself makes."""
    return arm.pretext is not None and not from_file(arm.pretext)


def is_variant(arm: Strategy) -> bool:
    """Whether an arm departs from what its pretext, or training from scratch, is known for."""
    options: Any = PRETEXTS.options(arm.pretext.kind)(**arm.pretext.options) if arm.pretext else None
    return (
        bool(options and (options.variant or options.from_file)) or arm.transfer != "all" or arm.auxiliary is not None
    )
