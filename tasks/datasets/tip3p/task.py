"""TIP3P water, generated here by molecular dynamics."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import MDAnalysis
import numpy as np
import torch
from MDAnalysis.guesser.tables import SYMB2Z
from MDAnalysis.lib.mdamath import triclinic_vectors
from torch_geometric.data import Data

from tasks.datasets.base import Dataset, DatasetConfig, DatasetError, DatasetTask, Outline, Progress
from tasks.datasets.storage import cache
from tasks.datasets.structures.molecules import HYDROGEN, OXYGEN
from tasks.datasets.structures.samples import make_sample
from tasks.datasets.tip3p.simulation import (
    TOPOLOGY,
    TIP3PConfig,
    TrajectoryJob,
    find_platform,
    place_molecules,
    run_trajectory,
    trajectory_files,
    write_topology,
)
from tasks.datasets.tip3p.workers import run_jobs

FORMAT_VERSION = 1
LICENCE = "generated on the user's machine with OpenMM; contains no data of third parties"
UNITS = {"pos": "Å", "box": "Å", "y": "eV", "neg_dy": "eV/Å", "temperature": "K"}


class TIP3P(DatasetTask):
    """Periodic TIP3P water in the NVT ensemble; several independent trajectories.

    The same parameters give the same frames, bit for bit, with the same OpenMM on the same kind of machine
    and platform, whatever the number of workers. That ends with another version of OpenMM, another platform,
    or a processor with other vector instructions: the dynamics is chaotic, so a difference in the last bit
    of a force grows within picoseconds to other frames of the same ensemble.

    On disk: `topology.pdb`, and for each trajectory a DCD file (float32 Å) with an npz beside it (see
    `openmm_water.run_trajectory`); MDAnalysis reads topology and trajectories.
    """

    kind: ClassVar[str] = "tip3p"
    Config: ClassVar[type[DatasetConfig]] = TIP3PConfig

    def __init__(self, config: TIP3PConfig) -> None:
        self.config = config

    @property
    def title(self) -> str:
        form = "rigid" if self.config.rigid else "flexible"
        return f"TIP3P water, {form}, {self.config.molecules} molecules, {self.config.temperature_K:g} K"

    @property
    def _parameters(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json")

    def prepare(self, data_dir: Path, progress: Progress | None = None, workers: int = 1) -> None:
        """Generates the trajectories unless they are there; see `DatasetTask.prepare`."""
        cache.ensure(
            data_dir,
            self.kind,
            self._parameters,
            FORMAT_VERSION,
            lambda folder: self._generate(folder, progress, workers),
            progress,
        )
        if progress:
            progress(f"{self.title}: ready", 1.0)

    def _generate(self, folder: Path, progress: Progress | None, workers: int) -> dict[str, Any]:
        """Runs all trajectories into `folder` and returns the provenance."""
        config = self.config
        find_platform(config.platform)

        def show(done: Sequence[float]) -> None:
            if progress:
                finished = sum(fraction >= 1 for fraction in done)
                progress(f"{self.title}: {finished} of {len(done)} trajectories", sum(done) / len(done))

        began = time.monotonic()
        show([0.0] * config.trajectories)
        write_topology(config, folder)
        jobs = [TrajectoryJob(config, index, folder) for index in range(config.trajectories)]
        run_jobs(run_trajectory, jobs, workers, show)
        temperatures = []
        for index in range(config.trajectories):
            with np.load(folder / trajectory_files(index)[1]) as labels:
                temperatures.append(labels["temperature_K"].mean())
        return {
            "source": "molecular dynamics with OpenMM, force field tip3p.xml",
            "parameters": self._parameters,
            "seed": config.seed,
            "box_A": config.side_A,
            "units": UNITS,
            "versions": {name: version(name) for name in ("openmm", "MDAnalysis", "numpy")},
            "mean_temperature_K": float(np.mean(temperatures)),
            "generated_utc": datetime.now(UTC).isoformat(timespec="seconds"),
            "generation_s": round(time.monotonic() - began, 1),
        }

    def load(self, data_dir: Path) -> Dataset:
        """Builds the samples from topology, trajectories and labels; see `DatasetTask.load`."""
        folder, provenance = cache.open_dataset(data_dir, self.kind, self._parameters, FORMAT_VERSION)
        samples: list[Data] = []
        for index in range(self.config.trajectories):
            samples += _read_trajectory(folder, index)
        return Dataset(samples, self.outline(data_dir), LICENCE, provenance)

    def outline(self, data_dir: Path) -> Outline:
        """See `DatasetTask.outline`; known before the data is made."""
        return Outline(np.repeat(np.arange(self.config.trajectories), self.config.frames_per_trajectory))

    def example(self, data_dir: Path, seed: int = 0) -> Data:
        """A random, unrelaxed structure; see `DatasetTask.example`."""
        molecules, side = self.config.molecules, self.config.side_A
        positions = place_molecules(molecules, side, np.random.default_rng(seed))
        z = np.tile([OXYGEN, HYDROGEN, HYDROGEN], molecules)
        molecule = np.repeat(np.arange(molecules), 3)
        return make_sample(z, positions, molecule, molecule, np.eye(3) * side)

    def check(self, cutoff: float) -> None:
        """See `DatasetTask.check`."""
        side = self.config.side_A
        if cutoff > side / 2:
            raise DatasetError(
                f"the potential's cutoff of {cutoff} Å is over half the box of {side:.3f} Å ({self.title}); "
                f"allowed is at most {self.config.half_box_text}: shorten the cutoff or take more molecules"
            )


def _read_trajectory(folder: Path, index: int) -> list[Data]:
    """The samples of one trajectory."""
    frames_name, labels_name = trajectory_files(index)
    with warnings.catch_warnings():  # of a change in MDAnalysis 3 that does not concern whole time series
        warnings.filterwarnings("ignore", "DCDReader currently makes", DeprecationWarning)
        universe = MDAnalysis.Universe(os.fspath(folder / TOPOLOGY), os.fspath(folder / frames_name))
    positions = universe.trajectory.timeseries(order="fac").astype(np.float32, copy=False)
    with np.load(folder / labels_name) as labels:
        energies, forces = labels["energy_eV"], labels["forces_eV_per_A"]
    numbers = torch.tensor([SYMB2Z[symbol] for symbol in universe.atoms.elements], dtype=torch.int64)
    molecule = torch.tensor(universe.atoms.resindices, dtype=torch.int64)
    # NVT: the box of the first frame is that of all.
    box = torch.tensor(triclinic_vectors(universe.dimensions), dtype=torch.float32)
    return [
        make_sample(numbers, pos, molecule, molecule, box, energy, force)  # one heavy atom, and so one site, a molecule
        for pos, energy, force in zip(positions, energies, forces, strict=True)
    ]
