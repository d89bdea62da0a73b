"""What a finetuning step costs against atoms, edges, width, layers and frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from performance import ours
from performance.rows import Finding, Row, Settings
from performance.steps import edges_of
from performance.timing import medians

BASE: dict[str, Any] = {"molecules": 32, "frames": 2, "cutoff_A": 3.4, "hidden": 64, "layers": 3}
AXES: dict[str, tuple[tuple[str, tuple[Any, ...]], ...]] = {
    "atoms": (("molecules", (16, 32, 64, 128)),),
    "edges": (("cutoff_A", (2.5, 3.4, 4.2, 4.9)),),
    "width": (("hidden", (32, 64, 128, 256)),),
    "layers": (("layers", (1, 2, 4, 8)),),
    "frames": (("frames", (1, 2, 4, 8)),),
}
"""What varies, by the name of the axis; all else is as in BASE. With the cutoff the edges vary and the atoms do not."""


def measure(settings: Settings) -> list[Finding]:
    """Seconds of a step at each point, and the exponent of the power law between the last two."""
    return [finding for axis, varied in AXES.items() for finding in _axis(axis, dict(varied), settings)]


def _axis(axis: str, varied: dict[str, tuple[Any, ...]], settings: Settings) -> list[Finding]:
    points = [{**BASE, name: value} for name, values in varied.items() for value in values]
    steps, sizes = [], []
    for point in points:
        options = {name: point[name] for name in ("cutoff_A", "hidden", "layers")}
        potential = ours.network("egnn", settings.device, **options)
        batches = ours.loader(potential, ours.water(point["molecules"], point["frames"]), settings.device)
        batch = batches()
        steps.append(ours.finetuning_step(potential, batches))
        edges = edges_of(batch, point["cutoff_A"])
        sizes.append({"atoms": batch.num_nodes, "edges": edges, "width": point["hidden"]} | _rest(point))
    times = medians(steps, settings.budget(20))
    found = []
    for size, time in zip(sizes, times, strict=True):
        details = {**size, "us_per_edge_and_layer": 1e6 * time / size["edges"] / size["layers"]}
        what = f"step against {axis}: {size['atoms']} atoms in {size['frames']} frames, {size['edges']} edges, "
        what += f"egnn {size['layers']} × {size['width']}"
        found.append(Finding(f"scaling-{axis}", what, "–", time, "s", details=details))
    exponent = float(np.log(times[-1] / times[-2]) / np.log(sizes[-1][axis] / sizes[-2][axis]))
    return [*found, Finding(f"scaling-{axis}", f"exponent of {axis}, from the last two", "–", exponent, "")]


def _rest(point: dict[str, Any]) -> dict[str, int]:
    return {"layers": point["layers"], "frames": point["frames"]}


ROWS = (Row("scaling", "cost of a step against atoms, edges, width, layers, frames", measure),)
