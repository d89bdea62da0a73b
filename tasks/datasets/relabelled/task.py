"""The structures of another dataset, labelled once by a cheap level of theory and kept."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch_geometric.data import Data

from tasks.datasets.base import RELABELLED, Dataset, DatasetConfig, DatasetError, DatasetTask, Outline, Progress
from tasks.datasets.relabelled.options import RelabelledConfig
from tasks.datasets.storage import cache
from tasks.datasets.structures.samples import make_sample
from tasks.datasets.tip3p.workers import Report, run_jobs
from tasks.labellers.base import Labeller
from tasks.registry import DATASETS, LABELLERS

FORMAT_VERSION = 1
LABELS = "labels.npz"
FRAMES_PER_JOB = 50


@dataclass(frozen=True)
class LabelJob:
    """Structures for one worker, the first of them number ``first`` of the dataset."""

    labeller: Labeller
    first: int
    samples: list[Data]


@dataclass(frozen=True)
class Labelled:
    """Energies (F,) in eV, forces of one frame after the other (N, 3) in eV/Å, and their processor time, s."""

    energies: np.ndarray
    forces: np.ndarray
    seconds: float


class Relabelled(DatasetTask):
    """Any dataset's structures, trajectories and published splits, with the energies and forces of a labeller.

    Frames, and so the splits of a seed, are those of the source: what trains there trains here, and what tests there
    tests here. Labels are kept by the content of the structures: they are made once, whatever dataset has them.
    """

    kind: ClassVar[str] = RELABELLED
    Config: ClassVar[type[DatasetConfig]] = RelabelledConfig

    def __init__(self, config: RelabelledConfig) -> None:
        self.config = config
        self._source: DatasetTask = _build(DATASETS, config.source)
        self._labeller: Labeller = _build(LABELLERS, config.labeller)

    @property
    def title(self) -> str:
        """See `DatasetTask.title`."""
        return f"{self._source.title}, labelled by {self._labeller.title}"

    def prepare(self, data_dir: Path, progress: Progress | None = None, workers: int = 1) -> None:
        """Prepares the source, then labels its structures unless that was done; see `DatasetTask.prepare`."""
        versions = self._labeller.versions()
        self._source.prepare(data_dir, progress, workers)
        samples = self._source.load(data_dir).samples

        def build(folder: Path) -> dict[str, Any]:
            return self._label(samples, folder, versions, progress, workers)

        cache.ensure(data_dir, self.kind, self._parameters(samples), FORMAT_VERSION, build, progress)
        if progress:
            progress(f"{self.title}: ready", 1.0)

    def _parameters(self, samples: Sequence[Data]) -> dict[str, Any]:
        return {"labeller": self.config.labeller.model_dump(mode="json"), "structures": _hash(samples)}

    def _label(
        self,
        samples: list[Data],
        folder: Path,
        versions: dict[str, str],
        progress: Progress | None,
        workers: int,
    ) -> dict[str, Any]:
        """Labels all structures into `folder` and returns the provenance."""

        def show(done: Sequence[float]) -> None:
            if progress:
                progress(f"{len(samples)} structures, labelled by {self._labeller.title}", sum(done) / len(done))

        jobs = [
            LabelJob(self._labeller, first, [_bare(sample) for sample in samples[first : first + FRAMES_PER_JOB]])
            for first in range(0, len(samples), FRAMES_PER_JOB)
        ]
        found = run_jobs(label, jobs, workers, show)
        seconds = sum(part.seconds for part in found)
        np.savez(
            folder / LABELS,
            energy_eV=np.concatenate([part.energies for part in found]),
            forces_eV_per_A=np.concatenate([part.forces for part in found]).astype(np.float32),
        )
        return {
            "labelled_by": self._labeller.title,
            "labeller": self.config.labeller.model_dump(mode="json"),
            "labeller_versions": versions,
            "labelling_s": round(seconds, 3),
            "seconds_per_label": seconds / len(samples),
            "labelled_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def load(self, data_dir: Path) -> Dataset:
        """The source's frames with the labels that were made; see `DatasetTask.load`."""
        source = self._source.load(data_dir)
        parameters = self._parameters(source.samples)
        folder, provenance = cache.open_dataset(data_dir, self.kind, parameters, FORMAT_VERSION)
        with np.load(folder / LABELS) as labels:
            energies, forces = labels["energy_eV"], labels["forces_eV_per_A"]
        ends = np.cumsum([sample.num_nodes for sample in source.samples])
        samples = [
            make_sample(
                sample.z,
                sample.pos.numpy(),
                sample.molecule,
                sample.site,
                sample.box[0] if "box" in sample else None,
                energy,
                own,
            )
            for sample, energy, own in zip(source.samples, energies, np.split(forces, ends[:-1]), strict=True)
        ]
        return Dataset(
            samples=samples,
            outline=source.outline,
            licence=source.licence,
            provenance={**provenance, "source": source.describe()},
            trajectory_frames=source.trajectory_frames,
            title=None if source.title is None else f"{source.title}, labelled by {self._labeller.title}",
            warnings=source.warnings,
            seconds_per_label=provenance["seconds_per_label"],
            origins=source.origins,
            precision_A=source.precision_A,
        )

    def outline(self, data_dir: Path) -> Outline | None:
        """See `DatasetTask.outline`; that of the source."""
        return self._source.outline(data_dir)

    def example(self, data_dir: Path, seed: int = 0) -> Data:
        """See `DatasetTask.example`; that of the source."""
        return self._source.example(data_dir, seed)

    def check(self, cutoff: float) -> None:
        """See `DatasetTask.check`; that of the source."""
        self._source.check(cutoff)


def label(job: LabelJob, report: Report) -> Labelled:
    """Labels one structure after the other.

    Raises:
        DatasetError: naming the first frame that cannot be labelled.
    """
    began = time.process_time()
    calculate = job.labeller.begin()
    energies, forces = [], []
    for number, sample in enumerate(job.samples):
        try:
            found = calculate(sample)
        except DatasetError as error:
            raise DatasetError(f"frame {job.first + number}: {error}") from error
        if not (np.isfinite(found.energy_eV) and np.isfinite(found.forces_eV_per_A).all()):
            raise DatasetError(f"frame {job.first + number}: {job.labeller.title} gives labels that are not finite")
        energies.append(found.energy_eV)
        forces.append(found.forces_eV_per_A)
        report((number + 1) / len(job.samples))
    return Labelled(np.array(energies), np.concatenate(forces), time.process_time() - began)


def _build(registry: Any, chosen: Any) -> Any:
    return registry.get(chosen.kind)(registry.options(chosen.kind)(**chosen.options))


def _bare(sample: Data) -> Data:
    """The structure without the labels that it came with."""
    return Data(**{name: value for name, value in sample.to_dict().items() if name not in ("y", "neg_dy")})


def _hash(samples: Sequence[Data]) -> str:
    """First 12 hex digits of the SHA-256 of all structures, in order, without labels."""
    digest = hashlib.sha256()
    for sample in samples:
        for name in ("z", "pos", "box", "molecule"):
            if name in sample:
                digest.update(name.encode() + sample[name].numpy().tobytes())
    return digest.hexdigest()[:12]
