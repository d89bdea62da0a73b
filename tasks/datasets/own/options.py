"""Options of the user's own structures."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator, model_validator

from tasks.datasets.base import DatasetConfig
from tasks.datasets.structures.units import energy_unit_eV, force_unit_eV_per_A, length_unit_A

SLICE = re.compile(r"\s*-?\d+\s*|\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(:\s*(-?\d+)?\s*)?")


class ExtXYZConfig(DatasetConfig):
    """Which file and frames to read, and the names and units in it."""

    path: str = Field(
        min_length=1,
        description="A file that ASE can read; absolute, or relative to the data folder or the working directory.",
    )
    index: str = Field(":", description="Frames to read, as a Python slice: ':', '::10', '-100:'.")
    format: str | None = Field(None, description="ASE's name of the format. Default: by the file name.")
    energy_key: str | None = Field(
        None, description="Name of the energy in the file, e.g. REF_energy. Default: the energy that ASE reads."
    )
    forces_key: str | None = Field(None, description="Name of the forces in the file, likewise.")
    energy_unit: str = Field(
        "eV",
        description="Unit of the energies as ASE returns them: eV, meV, hartree, Ry, kcal/mol, kJ/mol. ASE converts "
        "the outputs of programs to eV; set this if a file contains another unit.",
    )
    length_unit: str = Field("Å", description="Unit of positions and box as ASE returns them: Å, nm, bohr.")
    force_unit: str | None = Field(
        None, description="Unit of the forces, e.g. kcal/mol/Å. Default: energy_unit / length_unit."
    )
    val_path: str | None = Field(
        None,
        min_length=1,
        description="File of the validation frames, where you have split your data yourself: then `path` holds the "
        "training frames, and the dataset has `split: {own: true}`.",
        exclude_if=lambda path: path is None,
    )
    test_path: str | None = Field(
        None, min_length=1, description="File of the test frames, likewise.", exclude_if=lambda path: path is None
    )
    set_key: str | None = Field(
        None,
        description="Instead of several files: key in the comment line that says to which set a frame belongs, train, "
        "val (or validation, valid) or test; the dataset has `split: {own: true}`.",
        exclude_if=lambda key: key is None,
    )
    group_key: str | None = Field(
        None, description="Key in the comment line (ASE's `info`) that names the trajectory of a frame."
    )
    blocks: int | None = Field(
        None,
        gt=1,
        description="The file is one trajectory in time order: cut it into this many contiguous blocks, which splits "
        "keep whole. Without blocks and group_key every frame counts as a trajectory of its own.",
    )

    @field_validator("index")
    @classmethod
    def _is_slice(cls, index: str) -> str:
        if not SLICE.fullmatch(index):
            raise ValueError("is not a slice; write e.g. ':', '::10' or '-100:'")
        return index

    @field_validator("energy_unit")
    @classmethod
    def _is_energy(cls, name: str) -> str:
        energy_unit_eV(name)
        return name

    @field_validator("length_unit")
    @classmethod
    def _is_length(cls, name: str) -> str:
        length_unit_A(name)
        return name

    @field_validator("force_unit")
    @classmethod
    def _is_force(cls, name: str | None) -> str | None:
        if name is not None:
            force_unit_eV_per_A(name)
        return name

    @model_validator(mode="after")
    def _one_grouping(self) -> ExtXYZConfig:
        if self.group_key is not None and self.blocks is not None:
            raise ValueError("group_key and blocks exclude each other: a file is many trajectories or one")
        return self

    @model_validator(mode="after")
    def _one_way_to_name_sets(self) -> ExtXYZConfig:
        if self.val_path is not None and self.test_path is None:
            raise ValueError("val_path is set and test_path is not; name the file of the test frames too")
        if self.set_key is not None and self.test_path is not None:
            raise ValueError("set_key and test_path exclude each other: sets are files, or named in one file")
        if self.names_sets and self.blocks is not None:
            raise ValueError("blocks is for files that are still to be split; here the sets are named. Leave it out")
        return self

    @property
    def names_sets(self) -> bool:
        """Whether the files say which frames train, validate and test."""
        return self.test_path is not None or self.set_key is not None

    @property
    def paths(self) -> dict[str, str]:
        """The files by the set that they hold; the first one holds all where sets are not files."""
        named = {"train": self.path, "val": self.val_path, "test": self.test_path}
        return {name: path for name, path in named.items() if path is not None}

    @property
    def units(self) -> dict[str, str]:
        """Units of the numbers in the file."""
        force = self.force_unit or f"{self.energy_unit}/{self.length_unit}"
        return {"energy": self.energy_unit, "length": self.length_unit, "force": force}


class TrajectoryConfig(DatasetConfig):
    """Which files, frames and atoms to read."""

    topology: str = Field(
        min_length=1,
        description="File with the names of the atoms, e.g. PDB, PSF, PRMTOP, TPR, GRO; absolute, or relative to the "
        "data folder or the working directory.",
    )
    trajectory: tuple[str, ...] = Field(
        min_length=1, description="File with the frames, e.g. DCD, XTC, TRR, XYZ, or a list of such files."
    )
    start: int = Field(0, ge=0, description="First frame to read of each file.")
    stop: int | None = Field(None, gt=0, description="Frame of each file to stop before. Default: the end.")
    every: int = Field(1, gt=0, description="Keep every n-th frame.")
    selection: str = Field(
        "all",
        min_length=1,
        description="Atoms to keep, in MDAnalysis' selection language; whole molecules, the same in all frames.",
    )
    guess_bonds: bool | None = Field(
        None,
        description="true: bonds from the geometry of the first frame. false: bonds of the topology. Default: those of "
        "the topology if every hydrogen has one there, else from the geometry.",
    )
    blocks: int = Field(
        10, gt=0, description="Cut the frames of each file into this many contiguous blocks, which splits keep whole."
    )

    @field_validator("trajectory", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_many(cls, names: Any) -> Any:
        return (names,) if isinstance(names, str) else names
