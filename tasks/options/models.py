"""Options of the potentials. Torch is not imported."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Head = Literal["force", "coordinate"]


class PotentialConfig(BaseModel):
    """Options shared by all potentials of the suite."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cutoff_A: float = Field(3.4, gt=0, description="Atoms closer than this are neighbours, Å.")
    hidden: int = Field(128, gt=0, le=4096, description="Width of the node and edge embeddings.")
    layers: int = Field(5, gt=0, le=100, description="Message-passing layers.")
    max_neighbors: int = Field(
        64,
        gt=0,
        description="Room for neighbours per atom, averaged over a batch; more is an error, none is ever dropped.",
    )
    max_z: int = Field(100, gt=1, le=1000, description="Elements with atomic numbers below this can be embedded.")


class EGNNConfig(PotentialConfig):
    """Options of EGNN; the defaults are the paper's shape."""

    radial: Literal["squared", "expnorm", "expnorm-bare"] = Field(
        "squared",
        description="How distances enter: as r² (the paper) or through TorchMD-Net's exponential-normal basis, whose "
        "functions carry a cosine that falls to zero at the cutoff. expnorm-bare: that basis without the cosine.",
    )
    # What came after the first runs is left out of keys and plans while it is off: their cells stay the same work.
    radial_scale: float = Field(
        1.0,
        gt=0,
        exclude_if=lambda factor: factor == 1,
        description="Factor on r², with radial squared; 1 is the paper's. First weights are for inputs of size one: a "
        "larger factor lets training begin sooner.",
    )
    num_rbf: int = Field(
        32, gt=1, le=4096, description="Number of basis functions, with radial expnorm or expnorm-bare."
    )
    envelope: bool = Field(
        False,
        description="Weight messages by a cosine envelope, so that energy and forces are smooth at the cutoff.",
    )
    readout_norm: bool = Field(
        False,
        exclude_if=lambda on: not on,
        description="A LayerNorm on the node embeddings before the readout, as in the code of the benchmark's paper.",
    )
    readout_zero: bool = Field(
        False,
        exclude_if=lambda on: not on,
        description="Start the last layer of the readout at zero: the first energies are the reference energies, the "
        "first forces zero. Not for masking, whose loss has no direction to begin with where forces are zero.",
    )

    @model_validator(mode="after")
    def _scales_what_is_there(self) -> EGNNConfig:
        if self.radial != "squared" and self.radial_scale != 1:
            raise ValueError(
                f"radial_scale {self.radial_scale:g} is a factor on r²; with radial {self.radial} leave it out"
            )
        return self


class GNSConfig(PotentialConfig):
    """Options of GNS; the defaults are the paper's shape."""

    layers: int = Field(10, gt=0, le=100, description="Message-passing steps.")
    radial: Literal["distance", "expnorm"] = Field(
        "distance",
        description="How distances enter: as they are (the paper) or through TorchMD-Net's exponential-normal basis.",
    )
    num_rbf: int = Field(32, gt=1, le=4096, description="Number of basis functions, with radial expnorm.")
    absolute_positions: bool = Field(
        False,
        description="Add wrapped absolute positions to the node features, as the benchmark paper's code does: the "
        "network is then not translation invariant.",
    )


class ForceNetConfig(PotentialConfig):
    """Options of ForceNet; the defaults are the shape that the benchmark's paper uses."""

    frequencies: int = Field(
        50, gt=0, le=200, description="Sines per length and element property: sin(1.1^k x) for k = 0, 1, ..."
    )
    degrees: int = Field(
        3, gt=0, description="Number of degrees of spherical harmonics: 0, 1, 2, ... (`max_n` of the original code)."
    )
    species: Literal["correct", "all-oxygen"] = Field(
        "correct",
        description="all-oxygen treats every atom as an oxygen, as the benchmark paper's code does: an ablation.",
    )


class TorchMDNetConfig(PotentialConfig):
    """Options of TorchMD-Net's architectures; all else is as its own examples have it."""

    layers: int = Field(2, gt=0, le=100, description="Interaction layers.")
    num_rbf: int = Field(32, gt=1, le=4096, description="Number of radial basis functions (exponential-normal).")


class ChargeConfig(TorchMDNetConfig):
    """Options of TensorNet2."""

    charge_channels: int = Field(16, gt=0, le=4096, description="Partial charges per atom, in each layer.")


class AttentionConfig(TorchMDNetConfig):
    """Options of the equivariant transformer."""

    layers: int = Field(4, gt=0, le=100, description="Attention layers.")
    num_heads: int = Field(
        8, gt=0, description="Attention heads; they share the width, which must be divisible by their number."
    )

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> AttentionConfig:
        if self.hidden % self.num_heads:
            raise ValueError(f"hidden {self.hidden} cannot be shared by num_heads {self.num_heads}: no whole number")
        return self
