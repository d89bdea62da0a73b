"""Small files in the format of n2p2 and RuNNer."""

from __future__ import annotations

import tarfile
from pathlib import Path

from torch_geometric.data import Data

from tasks.datasets.base import Dataset
from tasks.datasets.runner.task import RunnerFiles

A_PER_BOHR, EV_PER_HARTREE = 0.529177210903, 27.211386245988  # CODATA 2018
SYMBOLS = {1: "H", 6: "C", 8: "O"}
NO_TRAJECTORIES = (
    "the comments do not tell for all structures which trajectory they are from (seed=...): those count as one each, "
    "and a split may part neighbours in time"
)


def text_of(sample: Data, comment: str, energy_hartree: float = -76.5) -> str:
    """A sample as it stands in input.data."""
    lines = ["begin", f"comment {comment}"]
    if "box" in sample:
        lines += ["lattice {} {} {}".format(*row) for row in (sample.box[0].double() / A_PER_BOHR).tolist()]
    forces = sample.neg_dy.double() / EV_PER_HARTREE * A_PER_BOHR
    for number, pos, force in zip(
        sample.z.tolist(), (sample.pos.double() / A_PER_BOHR).tolist(), forces.tolist(), strict=True
    ):
        lines.append("atom {} {} {} {} 0.0 0.0 {} {} {}".format(*pos, SYMBOLS[number], *force))
    return "\n".join([*lines, f"energy {energy_hartree!r}", "charge 0.0", "end", ""])


def publish(folder: Path, *texts: str) -> Path:
    """The archive under the name that it has where it is published."""
    folder.mkdir(exist_ok=True)
    inside = folder / "input.data"
    inside.write_text("".join(texts))
    path = folder / "training-data_H2O.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(inside, "training-data_H2O/input.data")
    inside.unlink()
    return path


def prepared(task: RunnerFiles, data_dir: Path) -> Dataset:
    """The dataset, after its preparation."""
    task.prepare(data_dir)
    return task.load(data_dir)
