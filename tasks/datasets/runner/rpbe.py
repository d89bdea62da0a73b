"""RPBE-D3 water, the published training set of a high-dimensional neural network potential."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from tasks.datasets.base import DatasetConfig, Progress
from tasks.datasets.runner.task import RunnerConfig, RunnerFiles
from tasks.datasets.storage.sources import find, get_source, obtain
from tasks.datasets.tip3p.simulation import TIP3PConfig
from tasks.datasets.tip3p.task import TIP3P

SOURCE = "rpbe"
ARCHIVE = "training-data_H2O.tar.gz"
FOLDER = ARCHIVE.removesuffix(".tar.gz")
TITLE = "RPBE-D3 water"
SURROGATE = "surrogate"
"""Structures with this word in their comment were not labelled by DFT."""


class RPBEConfig(RunnerConfig):
    """Options of the RPBE-D3 water set."""


class RPBE(RunnerFiles):
    """Periodic water, liquid and ice, of several sizes (Morawietz et al., PNAS 113, 8368 (2016)).

    The archive `training-data_H2O.tar.gz`, or a folder `training-data_H2O` with its files, is read from the data folder
    or downloaded (`sources.find`). Structures whose comment says `surrogate` are a stand-in, labelled by the published
    potential and not by DFT: title, licence and warnings then say so.
    """

    kind: ClassVar[str] = "rpbe"
    Config: ClassVar[type[DatasetConfig]] = RPBEConfig

    def __init__(self, config: RPBEConfig) -> None:
        self.config: RPBEConfig = config

    @property
    def title(self) -> str:
        return TITLE

    def example(self, data_dir: Path, seed: int = 0) -> Data:
        """32 randomly placed molecules in a cubic box at 0.997 g/cm³; see `DatasetTask.example`."""
        return TIP3P(TIP3PConfig(molecules=32, density_g_per_cm3=0.997, cutoff_A=4.0)).example(data_dir, seed)

    def find_files(self, data_dir: Path) -> Path | None:
        """See `RunnerFiles.find_files`."""
        # The user's own folder comes first: an archive may be an earlier download.
        folders = [data_dir / FOLDER, data_dir / SOURCE / FOLDER]
        return next((folder for folder in folders if folder.is_dir()), None) or find(SOURCE, ARCHIVE, data_dir)

    def obtain_files(self, data_dir: Path, progress: Progress | None) -> Path:
        """See `RunnerFiles.obtain_files`."""
        return self.find_files(data_dir) or obtain(SOURCE, ARCHIVE, data_dir, progress)

    def is_water(self, numbers: NDArray[np.uint8]) -> bool:
        """See `RunnerFiles.is_water`; the set holds nothing else."""
        return True

    def origin(self, comments: Sequence[str]) -> dict[str, Any]:
        """See `RunnerFiles.origin`."""
        published = get_source(SOURCE)
        origin = {
            "source": published.title,
            "page": published.page,
            "citation": published.citation.model_dump(),
            "licence": published.licence,
            "level_of_theory": published.level_of_theory,
            "title": TITLE,
            "warnings": [],
        }
        stand_ins = sum(SURROGATE in comment.lower() for comment in comments)
        if not stand_ins:
            return origin
        level = "a published HDNNP that was trained on the RPBE-D3 set"
        which = "all structures"
        if stand_ins < len(comments):
            which = f"{stand_ins} of {len(comments)} structures"
            level = f"{which}: {level}; the others: {published.level_of_theory}"
        return origin | {
            "source": f"stand-in for: {published.title}",
            "licence": "not the published set: the terms are those of whoever supplied the file",
            "level_of_theory": level,
            "title": f"{TITLE} (HDNNP surrogate)",
            "stand_in": True,
            "surrogate_structures": stand_ins,
            "warnings": [
                f"the labels of {which} come from a published HDNNP that was trained on the RPBE-D3 set, not from DFT"
            ],
        }
