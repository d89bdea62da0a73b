"""Options of the pretexts, and the error of one that cannot be applied. Torch is not imported."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from ase.data import atomic_numbers
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tasks.options.models import Head

LARGEST_RADIUS_A = 6.0
"""Within which pretexts may ask about pairs of atoms: the densest solids then have some hundred of them an atom."""


class PretextError(ValueError):
    """A pretext that cannot be applied to the data it was given."""


class PretrainingConfig(BaseModel):
    """Options shared by all that pretraining may learn; alone, those of a pretext with a head of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    needs_labels: ClassVar[bool] = False
    """Whether the structures keep their energies and forces: a pretext proper never sees them."""
    from_file: ClassVar[bool] = False
    """Whether the weights come in a file, which says what made them; nothing is trained before finetuning."""

    @property
    def variant(self) -> bool:
        """Whether these options make it another pretext than its kind is known for: a control, say, or another loss."""
        return False


class PretextConfig(PretrainingConfig):
    """Options shared by all pretexts that train vectors which the network has anyhow."""

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
    loss: Literal["mean", "pooled", "vector"] = Field(
        "mean",
        description="mean: 1 − cosine similarity, averaged over atoms. pooled: 1 − cosine similarity of all "
        "predictions of a batch as one vector and all targets as one, the paper's equation 4 taken literally. vector: "
        "squared distance of the predicted vector from the unit vector, averaged over atoms; the cosine leaves the "
        "length of predictions open, which may then grow without bound, and this does not.",
    )
    # What came after the first runs is left out of keys and plans while it is off: their cells stay the same work.
    directions: Literal["removed", "random"] = Field(
        "removed",
        exclude_if=lambda directions: directions == "removed",
        description="removed: atoms point to the removed one. random: to a direction drawn anew for each of them, "
        "uniform on the sphere: a placebo, with the same removal, labels, steps and loss, and nothing to learn.",
    )

    @property
    def variant(self) -> bool:
        """See `PretrainingConfig.variant`."""
        return self.directions == "random" or self.loss == "vector"

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


class NoiseRange(BaseModel):
    """Standard deviations between two, equally likely on a logarithmic scale."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    low: float = Field(gt=0, description="Smallest standard deviation, Å.")
    high: float = Field(gt=0, description="Largest standard deviation, Å.")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}; write one value as sd_A: {self.low:g}")
        return self


Noise = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class DenoisingConfig(PretextConfig):
    """Options of denoising."""

    sd_A: Noise | Annotated[tuple[Noise, ...], Field(min_length=2)] | NoiseRange = Field(
        0.5,
        description="Standard deviation of the noise in each coordinate, Å. Several scales in one pretraining, one "
        "drawn for each structure of a batch: a list of values, equally likely, or {low, high}, uniform in the "
        "logarithm.",
    )
    target: Literal["noise", "restoring"] = Field(
        "noise",
        description="noise: the network predicts the noise (the paper). restoring: it predicts minus the noise, the "
        "direction of the force on a displaced atom.",
    )


class DistanceDenoisingConfig(PretrainingConfig):
    """Options of distance denoising."""

    sd_A: Noise = Field(
        0.1,
        description="Standard deviation of the noise in each coordinate, Å. The structures are those of denoising with "
        "the same value.",
    )
    radius_A: float = Field(
        3.0,
        gt=0,
        le=LARGEST_RADIUS_A,
        description="Pairs of atoms that are closer than this in the noisy structure are asked for their distance, Å; "
        "boxes have to be twice as wide.",
    )


class LabelsConfig(PretextConfig):
    """Options of training on labels."""

    needs_labels: ClassVar[bool] = True

    loss: Literal["mse_loss", "l1_loss", "huber_loss"] = Field(
        "mse_loss", description="Loss of energies and forces, by TorchMD-Net's name."
    )
    force_weight: float = Field(1.0, gt=0, description="Weight of the mean loss over force components.")
    energy_weight: float = Field(
        0.0, ge=0, description="Weight of the mean loss over the frames' energies; 0 is forces alone."
    )

    @model_validator(mode="after")
    def _trains_forces(self) -> Self:
        if self.head != "force":
            raise ValueError(f"head {self.head!r}: labels train the forces; leave head out")
        return self


class FileConfig(PretextConfig):
    """Options of a body that was pretrained before."""

    from_file: ClassVar[bool] = True

    path: str = Field(
        min_length=1,
        description="A file that `export --pretraining` wrote; absolute, or relative to the suite file. `{dataset}`, "
        "`{model}` and `{seed}` in it stand for the names of the cell.",
    )

    @model_validator(mode="after")
    def _trains_nothing(self) -> Self:
        if self.head != "force":
            raise ValueError(f"head {self.head!r}: what is in a file is not trained; leave head out")
        return self
