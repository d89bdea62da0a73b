"""Options of the labellers. Torch is not imported."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LabellerConfig(BaseModel):
    """Options shared by all labellers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WaterModelConfig(LabellerConfig):
    """Options of classical water."""

    model: Literal["spcfw", "tip3p"] = Field(
        "spcfw",
        description="spcfw: SPC/Fw (Wu, Tepper and Voth 2006). tip3p: TIP3P with OpenMM's harmonic bonds and angle; "
        "of flexible TIP3P water these are the true labels. Both are flexible.",
    )
    cutoff_A: float = Field(
        10.0,
        gt=0,
        description="Cutoff in Å of real-space PME and Lennard-Jones (lattice sum); in small boxes half the smallest "
        "distance between opposite faces.",
    )
    ewald_tolerance: float = Field(1e-4, gt=0, lt=0.1, description="Relative error tolerance of PME.")


class XTBConfig(LabellerConfig):
    """Options of tight binding."""

    method: Literal["GFN2-xTB", "GFN1-xTB"] = Field("GFN2-xTB", description="The parametrisation.")
    charge: int = Field(0, description="Total charge of every structure, e.")
    unpaired: int = Field(0, ge=0, description="Unpaired electrons of every structure.")
    accuracy: float = Field(
        0.1, gt=0, description="Accuracy of the self-consistent charges, as tblite has it: smaller is tighter."
    )
