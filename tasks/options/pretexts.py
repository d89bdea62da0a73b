"""Options of the pretexts, and the error of one that cannot be applied. Torch is not imported."""

from __future__ import annotations

from typing import Literal

from ase.data import atomic_numbers
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tasks.options.models import Head


class PretextError(ValueError):
    """A pretext that cannot be applied to the data it was given."""


class PretextConfig(BaseModel):
    """Options shared by all pretexts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    head: Head = Field(
        "force",
        description="Which per-atom vectors the pretext trains: the forces, or the network's displacement of the "
        "atoms.",
    )


class MaskingConfig(PretextConfig):
    """Options of masking."""

    target: Literal["molecule", "bonded", "farthest"] = Field(
        "molecule",
        description="molecule: some molecules lose one atom, and their other atoms point to it (the paper, for water). "
        "bonded: some heavy atoms lose one of their hydrogens and point to it. farthest: each atom of the masked "
        "species is removed with probability `ratio`, and the atoms left in a molecule point to the farthest one that "
        "it lost (the authors' code for rMD17, with the opposite sign).",
    )
    ratio: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of each structure's molecules that lose an atom, at least one. With target bonded, share of "
        "its heavy atoms with hydrogens; with farthest, the probability for each atom of the masked species.",
    )
    species: tuple[str, ...] = Field(
        ("H",),
        min_length=1,
        description="Chemical symbols of the elements to mask; all their atoms are equally likely. With target bonded, "
        "H only.",
    )
    loss: Literal["mean", "pooled"] = Field(
        "mean",
        description="mean: 1 − cosine similarity, averaged over atoms. pooled: 1 − cosine similarity of all "
        "predictions of a batch as one vector and all targets as one, the paper's equation 4 taken literally.",
    )

    @field_validator("species")
    @classmethod
    def _elements(cls, species: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [symbol for symbol in species if not atomic_numbers.get(symbol)]
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no chemical symbols of elements; write H, O, ...")
        return tuple(sorted(set(species), key=lambda symbol: atomic_numbers[symbol]))

    @model_validator(mode="after")
    def _bonded_is_for_hydrogen(self) -> MaskingConfig:
        if self.target == "bonded" and self.species != ("H",):
            raise ValueError(
                f"target 'bonded' removes hydrogens of heavy atoms; species [{', '.join(self.species)}] is not "
                f"possible with it: leave species out, or take target 'molecule' or 'farthest'"
            )
        return self


class DenoisingConfig(PretextConfig):
    """Options of denoising."""

    sd_A: float = Field(0.5, gt=0, description="Standard deviation of the noise in each coordinate, Å.")
    target: Literal["noise", "restoring"] = Field(
        "noise",
        description="noise: the network predicts the noise (the paper). restoring: it predicts minus the noise, the "
        "direction of the force on a displaced atom.",
    )
