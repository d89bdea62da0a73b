"""What grows how: the plan, what a run looks at before it begins, `status`, and frames in memory.

Processor time and peak memory, each of a process of its own: a busy machine changes them little.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmark.cell.job import Settings as JobSettings
from benchmark.cell.memory import forget_peak, peak_memory_mb
from benchmark.cell.provenance import describe_code
from benchmark.planning.cells import Cell
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite
from benchmark.processor import processor
from benchmark.run.folder import plan_file
from benchmark.run.folder.commits import check_code
from benchmark.run.folder.mending import mend
from benchmark.run.jobs import pending_jobs
from benchmark.run.ways import choose_compiled
from benchmark.training.batches import FrameStore, load
from performance import ours
from performance.processes import COMMAND, ROOT, run
from performance.reporting import write_cell
from performance.rows import Finding, Row, Settings
from reports.records.atomic import write_json
from reports.records.folder import JobFolder, RunFolder
from tasks.datasets.base import Dataset, Outline
from tasks.normalisation import Normalisation

ARMS = 4 * 3
"""Cells a seed of suite `water`: four arms of three networks."""
ATOMS = 48

Costs = dict[str, float]
"""Processor time, s, and sizes by name."""


def _cells(count: int) -> list[Cell]:
    """The first so many cells of `water` at `quick`, with as many seeds as that takes."""
    return make_plan(load_suite("water", "quick"), seeds=-(-count // ARMS))[:count]


def _clocked(costs: Costs, name: str, action: Callable[[], object]) -> None:
    began = time.process_time()
    action()
    costs[name] = time.process_time() - began


def measure_plan(count: int, folder: Path) -> Costs:
    """Plan so many cells, add to a folder what it lacks of their finished run, and look at it as `run` does first."""
    costs: Costs = {}
    cells: list[Cell] = []
    forget_peak("cpu")
    _clocked(costs, "plan", lambda: cells.extend(_cells(count)))
    place = RunFolder(folder)
    suite = load_suite("water", "quick")
    folder.mkdir(parents=True, exist_ok=True)
    _clocked(costs, "write plan.json", lambda: plan_file.write(place, suite, cells, "none", {}, folder))
    costs["plan.json, MB"] = place.plan.stat().st_size / 1e6
    rng = np.random.default_rng(0)
    for cell in cells:
        made = place.cell(cell.key)
        if made.path.exists():
            continue
        if cell is cells[0]:
            write_cell(place, cell.planned().model_dump(), rng)
            write_json(made.provenance, {**(made.read_provenance() or {}), **describe_code()})
        else:
            _copy_cell(place.cell(cells[0].key), made, cell.planned().model_dump(), float(rng.lognormal(0, 0.1)))
    costs["cell folder, kB"] = sum(p.stat().st_size for p in place.cell(cells[-1].key).path.iterdir()) / 1e3
    settings = JobSettings(folder, folder, "cpu", 1)
    _clocked(costs, "check and read plan.json", lambda: plan_file.check(place, suite, folder))
    _clocked(costs, "mend", lambda: mend(cells, settings))
    _clocked(costs, "check code", lambda: check_code(cells, settings))
    _clocked(costs, "choose ways", lambda: choose_compiled(cells, settings, "auto", 2))
    _clocked(costs, "find what is left", lambda: pending_jobs(cells, settings))
    costs["peak memory, MB"] = peak_memory_mb("cpu")
    return costs


def _copy_cell(first: JobFolder, made: JobFolder, names: dict[str, object], factor: float) -> None:
    """A cell that is another one by other names, its errors times a factor: written in a tenth of the time."""
    made.path.mkdir(parents=True)
    names["cell_key"] = names.pop("key")
    for path in (first.record, first.curves, first.elements, first.predictions):
        table = pq.read_table(path, use_threads=False)
        for column in table.column_names:
            values = table[column]
            if column in names:
                values = pa.array([names[column]] * len(table), table.schema.field(column).type)
            elif column.startswith(("force_", "energy_")) or column == "value":
                values = pc.multiply(values, factor)
            table = table.set_column(table.column_names.index(column), table.schema.field(column), values)
        pq.write_table(table, made.path / path.name)
    for path in (first.provenance, first.status_file):
        shutil.copyfile(path, made.path / path.name)


def measure_frames(count: int, folder: Path) -> Costs:
    """So many labelled frames of water through what a cell does with them; sizes a frame, kB."""
    few = ours.water(ATOMS // 3, 64)
    costs: Costs = {}
    forget_peak("cpu")
    start = peak_memory_mb("cpu")

    def grown(name: str) -> None:
        costs[f"{name}, kB of memory a frame"] = 1e3 * (peak_memory_mb("cpu") - start) / count

    samples = [few[i % len(few)].clone() for i in range(count)]
    grown("frames")
    dataset = Dataset(samples, Outline(np.zeros(count, dtype=np.int64)), "none", {})
    _clocked(costs, "hash", lambda: dataset.content_hash)
    normalisation: list[Normalisation] = []
    _clocked(costs, "fit normalisation", lambda: normalisation.append(Normalisation.fit(samples)))
    normalised: list[object] = []
    _clocked(costs, "normalise", lambda: normalised.extend(normalisation[0].normalise(s) for s in samples))
    grown("normalised")
    stores: list[FrameStore] = []
    _clocked(costs, "store", lambda: stores.append(FrameStore(normalised, limit=2**40)))
    grown("store")
    _clocked(costs, "one pass of batches of 16", lambda: [batch.num_graphs for batch in load(stores[0], 16)])
    return costs


MEASURED = {"plan": measure_plan, "frames": measure_frames}


def _in_a_process(what: str, count: int, folder: Path) -> Costs:
    result = folder.with_name(f"{folder.name}.json")
    done = run([sys.executable, "-m", "performance.growth", what, str(count), str(folder), str(result)], ROOT)
    if done.code:
        raise RuntimeError(f"{what} of {count} ended with {done.code}")
    costs: Costs = json.loads(result.read_text(encoding="utf-8"))
    return costs


def cells(settings: Settings) -> list[Finding]:
    """Plan, scan, `status` and `report` of ever more cells, and the exponents from the last two numbers."""
    counts = (30, 60) if settings.quick else (1250, 2500, 5000, 10000)
    found: dict[int, Costs] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        for count in counts:
            found[count] = _in_a_process("plan", count, folder)
            for verb in ("status", "report"):
                cost = run([*COMMAND, verb, str(folder)], ROOT)
                if cost.code:
                    raise RuntimeError(f"{verb} of {count} cells ended with {cost.code}")
                found[count] |= {verb: cost.cpu_s, f"{verb}, peak memory, MB": cost.peak_mb}
    return _growth("cells", "cells", found)


def frames(settings: Settings) -> list[Finding]:
    """What a frame of 48 atoms costs a cell before its first step, in memory and processor time."""
    counts = (200, 400) if settings.quick else (10_000, 20_000, 40_000)
    with tempfile.TemporaryDirectory() as name:
        found = {count: _in_a_process("frames", count, Path(name) / str(count)) for count in counts}
    return _growth("frames", f"frames of {ATOMS} atoms", found)


def _growth(row: str, things: str, found: dict[int, Costs]) -> list[Finding]:
    """The costs of the most, with those of fewer as details, and the exponent between the last two."""
    before, most = sorted(found)[-2:]
    findings = []
    for name, value in found[most].items():
        exponent = float(np.log(value / found[before][name]) / np.log(most / before)) if value > 0 else 0.0
        details = {**{str(count): costs[name] for count, costs in found.items()}, "exponent": exponent}
        unit = "" if ", " in name else "s"
        findings.append(Finding(row, f"{name}: {most} {things}", "–", value, unit, details=details))
    return findings


ROWS = (
    Row("cells", "plan, scan, status and report of 10 000 made-up cells", cells, long=True),
    Row("frames", "memory and time of frames before the first step", frames, long=True),
)

if __name__ == "__main__":
    with processor(1):
        costs = MEASURED[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
    write_json(Path(sys.argv[4]), costs)
