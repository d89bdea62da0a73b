"""Options of datasets in RuNNer's format."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tasks.datasets.base import DatasetConfig


class RunnerConfig(DatasetConfig):
    """Options of every dataset in this format."""

    structures: int | None = Field(
        None,
        gt=0,
        description="Use at most this many structures: whole trajectories, at least one, spread evenly over the files. "
        "Default: all.",
    )


class N2P2Config(RunnerConfig):
    """Options of the user's own n2p2 or RuNNer files."""

    path: Path = Field(
        description="An input.data file, a folder or an archive (.tar, .tar.gz, .tar.bz2, .tar.xz, .zip) with files "
        "named *.data*; absolute, or relative to the data folder or the working directory."
    )
    title: str | None = Field(None, min_length=1, description="Name of the data in reports. Default: by the file name.")


class RPBEConfig(RunnerConfig):
    """Options of the RPBE-D3 water set."""
