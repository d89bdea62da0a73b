"""Options of rMD17."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tasks.datasets.base import DatasetConfig


class RMD17Config(DatasetConfig):
    """Options of rMD17."""

    molecule: Literal[
        "aspirin", "azobenzene", "benzene", "ethanol", "malonaldehyde", "naphthalene", "paracetamol", "salicylic",
        "toluene", "uracil",
    ] = Field(description="One of the ten molecules; salicylic is salicylic acid.")  # fmt: skip
    frames: Literal["official", "all"] = Field(
        "official",
        description="official: the frames of the authors' splits. all: all frames (100 000), for splits by frame; the "
        "authors warn against training on more than 1000.",
    )
    splits: tuple[Annotated[int, Field(ge=1, le=5)], ...] = Field(
        (1, 2, 3, 4, 5),
        min_length=1,
        description="Which of the authors' five splits to use, each with 1000 training and 1000 test frames; only for "
        "`frames: official`.",
    )

    @field_validator("splits")
    @classmethod
    def _once_each(cls, splits: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(splits)) < len(splits):
            raise ValueError(f"{list(splits)} names a split twice; name each once")
        return splits
