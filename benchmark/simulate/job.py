"""One subject and one test: from a run folder's potential to the tables of `reports.records.simulations`."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import MDAnalysis
import numpy as np
import pandas as pd
import torch
from MDAnalysis.coordinates.memory import MemoryReader
from torch_geometric.data import Data

from benchmark.cell.job import Job, Settings
from benchmark.planning.simulation import SimulationSettings, Test
from benchmark.processor import processor
from benchmark.simulate.setting import DATA, OWN_MODEL, Setting, Subject
from benchmark.streams import stream_seed
from reports.records.folder import JobFolder
from reports.records.simulations import CELL, SCHEMAS, TESTS, read_simulation, simulations_folder, write_simulation
from tasks.simulation import trials
from tasks.simulation.card import PotentialError
from tasks.simulation.fields import ModelField
from tasks.simulation.observables import Curve
from tasks.simulation.scans import scans_of
from tasks.simulation.structures import Start, repeated, rescaled, side_by_side, start_from
from tasks.simulation.trials import Dynamics, Outcome, Place

FAST_FRICTION_PER_PS = 10.0
"""Of the thermostat on the way to other conditions, which are to be reached soon."""
REPORT_SECONDS = 2.0


class SimulationJob(Job):
    """Puts one subject through one test; leaves its tables, also of a simulation that blows up.

    Args:
        subject: what is tested.
        test: the test.
        plan: how; the same for all.
        settings: where.
    """

    phase: ClassVar[str] = "simulate"
    cells: ClassVar[int] = 1

    def __init__(self, subject: Subject, test: Test, plan: SimulationSettings, settings: Settings) -> None:
        self.subject, self.test, self.plan, self.settings = subject, test, plan, settings
        self.key = f"{subject.key}-{test}"
        self.seed = subject.cell.seed
        self.epochs = 1

    @property
    def name(self) -> str:
        """See ``Job.name``."""
        of = (
            self.subject.cell.name
            if self.subject.kind == CELL
            else f"{self.subject.kind} of {self.subject.cell.arm.dataset}"
        )
        return f"{of}: {self.test}"

    @property
    def pace_group(self) -> tuple[str, ...]:
        """See ``Job.pace_group``."""
        return (self.subject.kind, self.subject.cell.arm.model, self.test)

    @property
    def folder(self) -> JobFolder:
        """See ``Job.folder``."""
        return JobFolder(simulations_folder(self.settings.run) / self.key)

    def run(self) -> None:
        """See ``Job.run``."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        self.folder.set_status("running")
        try:
            with processor(self.settings.threads):
                write_simulation(self.folder.path, self._tables(self._find()))
            self.folder.set_status("ok")
        except Exception as error:
            traceback.print_exc()
            self.give_up(f"{type(error).__name__}: {error}")

    def _find(self) -> Outcome:
        """What the test finds."""
        setting = Setting.of(self.subject, self.settings)
        if setting.absent:
            return Outcome()
        work: dict[str, Callable[[Setting], Outcome]] = {
            "nvt": self._nvt,
            "nve": self._nve,
            "elsewhere": self._elsewhere,
            "scans": self._scans,
        }
        return work[self.test](setting)

    def _nvt(self, setting: Setting) -> Outcome:
        if self.subject.kind == DATA:
            every = setting.dataset.all_frames
            start = setting.start(len(every), every)
            return Outcome(curves=trials.distributions(start, [start.pos.numpy()]))
        start = side_by_side(setting.start(self.replicas), self.plan.boxes)
        how = self._dynamics(self.plan.nvt_ps, setting)
        with self._progress() as progress:
            outcome = trials.run_nvt(
                start,
                setting.field(start),
                how,
                self.plan.frame_fs,
                self.plan.equilibration,
                self._reference(),
                progress,
            )
        if self.subject.kind == OWN_MODEL:
            outcome.measures.update(trials.sampling_error(start, outcome.frames, self.plan.replicas))
        if self.plan.keep_trajectories:
            for number, frames_of in enumerate(outcome.frames):
                _keep(self.folder.path / f"replica-{number}.dcd", start, frames_of, self.plan.frame_fs)
        return outcome

    def _nve(self, setting: Setting) -> Outcome:
        start = side_by_side(setting.start(self.replicas), self.plan.boxes)
        how = self._dynamics(self.plan.nve_ps, setting)
        with self._progress() as progress:
            return trials.run_nve(start, setting.field(start), how, self.plan.velocity_fs, self._reference(), progress)

    def _elsewhere(self, setting: Setting) -> Outcome:
        """Of the data's own model: structures with labels, kept; of all others: their errors on these."""
        if self.subject.kind == OWN_MODEL:
            return self._make_elsewhere(setting)
        outcome = Outcome()
        place = simulations_folder(self.settings.run) / f"{Subject(OWN_MODEL, self.subject.cell).key}-elsewhere"
        for path in sorted(place.glob("*.npz")):
            with np.load(path) as content:
                name = str(content["name"])
                labelled = trials.Labelled(*(content[key] for key in ("z", "pos", "box", "energy", "forces")))
                molecule = content["molecule"]
            sample = Data(
                z=torch.from_numpy(labelled.z),
                pos=torch.from_numpy(labelled.pos[0]),
                molecule=torch.from_numpy(molecule),
                box=torch.from_numpy(labelled.box).unsqueeze(0),
            )
            try:
                found = trials.compare_labels(labelled, setting.field_of(sample), name)
            except PotentialError as error:
                print(f"{name}: {error}")
                found = Outcome(
                    measures={("force_rmse_mev_per_A", name): None, ("energy_rmse_mev_per_atom", name): None}
                )
            outcome.measures.update(found.measures)
        return outcome

    def _make_elsewhere(self, setting: Setting) -> Outcome:
        outcome = Outcome()
        start = setting.start(2)
        conditions: dict[str, tuple[float, Callable[[Data], Data]]] = {
            f"{kelvin:g} K": (kelvin, lambda sample: sample)
            for kelvin in sorted({setting.temperature(self.plan), *self.plan.temperatures_K})
        }
        for density in self.plan.densities:
            conditions[f"density × {density:g}"] = (
                setting.temperature(self.plan),
                lambda sample, density=density: rescaled(sample, density),  # type: ignore[misc]
            )
        if self.plan.copies > 1:
            conditions[f"{self.plan.copies} boxes side by side"] = (
                setting.temperature(self.plan),
                lambda sample: repeated(sample, self.plan.copies),
            )
        with self._progress() as progress:
            for number, (name, (kelvin, change)) in enumerate(conditions.items()):
                progress(number / len(conditions))
                samples = [change(sample) for sample in start.samples]
                there = start_from(samples, range(len(samples)), len(samples))
                how = Dynamics(
                    self.plan.elsewhere_ps,
                    self.plan.timestep_fs,
                    kelvin,
                    FAST_FRICTION_PER_PS,
                    self._stream("elsewhere"),
                )
                found = trials.sample_labels(there, setting.field(there), how, self.plan.elsewhere_frames)
                np.savez(
                    self.folder.path / f"condition-{number:02d}.npz",
                    name=name, z=found.z, molecule=there.molecule, pos=found.pos, box=found.box, energy=found.energy,
                    forces=found.forces,
                )  # fmt: skip
        return outcome

    def _scans(self, setting: Setting) -> Outcome:
        outcome = Outcome()
        first = setting.start(1, setting.dataset.all_frames).samples[0]
        for scan in scans_of(first):
            own = setting.task.own_model(scan.sample)
            model = None if own is None else ModelField([own])
            found = trials.run_scan(scan, setting.field_of(scan.sample), model)
            outcome.measures.update(found.measures)
            outcome.curves.update(found.curves)
        return outcome

    @property
    def replicas(self) -> int:
        """Simulations side by side."""
        return self.plan.replicas * (self.plan.reference_factor if self.subject.kind == OWN_MODEL else 1)

    def _dynamics(self, length_ps: float, setting: Setting) -> Dynamics:
        kelvin = setting.temperature(self.plan)
        return Dynamics(length_ps, self.plan.timestep_fs, kelvin, self.plan.friction_per_ps, self._stream(self.test))

    def _stream(self, test: str) -> int:
        """Noise is that of seed and test: the arms of a seed are paired in it, too."""
        return stream_seed(self.plan.seed, "simulation", self.seed, TESTS.index(test))

    def _reference(self) -> dict[Place, Curve]:
        """Curves of the data's own model, or of its frames, in the same test; none for these themselves."""
        if self.subject.kind in (OWN_MODEL, DATA):
            return {}
        for kind in (OWN_MODEL, DATA):
            place = simulations_folder(self.settings.run) / f"{Subject(kind, self.subject.cell).key}-{self.test}"
            if JobFolder(place).status().state == "ok":
                series = read_simulation(place, "series")
                groups = series.groupby(["quantity", "place"], sort=False)
                return {
                    (str(quantity), str(where)): Curve(rows["x"].to_numpy(), rows["y"].to_numpy())
                    for (quantity, where), rows in groups
                }
        return {}

    def _tables(self, outcome: Outcome) -> dict[str, pd.DataFrame]:
        names = self.subject.columns(self.test)
        ends = [
            {
                **names,
                "replica": number,
                "planned_ps": end.planned_ps,
                "simulated_ps": end.simulated_ps,
                "cause": end.cause,
            }
            for number, end in enumerate(outcome.ends)
        ]
        measures = [
            {**names, "quantity": quantity, "place": place, "value": value}
            for (quantity, place), value in outcome.measures.items()
        ]
        series = [
            {**names, "quantity": quantity, "place": place, "x": x, "y": y}
            for (quantity, place), curve in outcome.curves.items()
            for x, y in zip(curve.x.tolist(), curve.y.tolist(), strict=True)
        ]
        rows = {"ends": ends, "measures": measures, "series": series}
        return {name: pd.DataFrame(found, columns=SCHEMAS[name].names) for name, found in rows.items()}

    @contextmanager
    def _progress(self) -> Iterator[Callable[[float], None]]:
        """Tells the status how far a simulation is, not too often."""
        began = last = time.monotonic()

        def report(fraction: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= REPORT_SECONDS:
                last = now
                left = (now - began) * (1 - fraction) / max(fraction, 1e-9)
                self.folder.set_status("running", phase=self.test, fraction=min(fraction, 1.0), seconds_left=left)

        yield report


def _keep(path: Path, start: Start, frames: np.ndarray, frame_fs: float) -> None:
    """Write a trajectory as DCD, with its box."""
    if not len(frames):
        return
    universe = MDAnalysis.Universe.empty(len(start.z), trajectory=True)
    box = start.box
    dimensions = None if box is None else MDAnalysis.lib.mdamath.triclinic_box(*box)
    universe.load_new(frames.astype(np.float32), format=MemoryReader, order="fac", dimensions=dimensions)
    universe.atoms.write(os.fspath(path), frames="all", dt=frame_fs / 1000)
