"""What pretrainings and cells have in common: a folder, a status, provenance, and an end that is always recorded."""

from __future__ import annotations

import json
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch_geometric.data import Data

from benchmark.cell.provenance import describe_environment
from benchmark.executors.nodes import Meeting
from benchmark.executors.together import run_together
from benchmark.planning.cells import Work
from benchmark.planning.reading import build
from benchmark.processor import processor
from benchmark.streams import stream_seed
from benchmark.training.callbacks import CurveRecorder
from benchmark.training.data import SplitDataModule
from benchmark.training.loop import Fit, fit
from benchmark.training.modules.divergence import Diverged
from benchmark.training.modules.potential import PotentialModule
from benchmark.training.steps.checked import Way
from benchmark.training.steps.compiled import read_measured
from benchmark.training.steps.functions import function_of
from benchmark.training.steps.prepare import fastest_way
from reports.records.atomic import RecordError, write_json
from reports.records.folder import JobFolder, RunFolder
from reports.records.record import write_curves
from reports.records.status import FINISHED, Unfinished
from tasks.datasets.splits import Split
from tasks.leakage.audit import LeakError
from tasks.models.base import Potential
from tasks.registry import MODELS


@dataclass(frozen=True)
class Settings:
    """Where and how jobs run; not part of a cell's key.

    On the CPU eager steps with the same number of threads give the same numbers, bit for bit. On a GPU, with another
    number of threads, or compiled, sums are taken in another order, and training amplifies the last bit.

    Attributes:
        folder: the run folder.
        data_dir: folder of the datasets.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads of a process.
        compiled: keys of the pretrainings and cells whose steps are compiled or captured; see ``benchmark.run.ways``.
        devices: on how many of a node a job runs at a time, with a process for each; see
            ``benchmark.training.steps.parts``.
        nodes: on how many nodes it does.
        meeting: where these find node 0; None on one node, and before there is one.
    """

    folder: Path
    data_dir: Path
    device: str
    threads: int
    compiled: frozenset[str] = frozenset()
    devices: int = 1
    nodes: int = 1
    meeting: Meeting | None = None

    @property
    def processes(self) -> int:
        """On how many devices a job runs in all."""
        return self.nodes * self.devices

    @property
    def run(self) -> RunFolder:
        """The run folder."""
        return RunFolder(self.folder)

    def way(self, key: str, network: str) -> Way:
        """How the steps of a pretraining or cell of a network of this kind are to be computed."""
        return fastest_way(MODELS.get(network), self.device) if key in self.compiled else "eager"


@dataclass
class Attempt:
    """What a job has come to know so far; all of it enters the record, also of one that does not succeed."""

    curves: CurveRecorder = field(default_factory=CurveRecorder)
    facts: dict[str, Any] = field(default_factory=dict)


class Job:
    """A pretraining or a cell; can be pickled and sent to a worker.

    Args:
        work: what to run.
        settings: where and how.
    """

    phase: ClassVar[str]
    """What its fit is called in curves and status."""
    cells: ClassVar[int]
    """How many cells are finished with it."""

    def __init__(self, work: Work, settings: Settings) -> None:
        self.work = work
        self.settings = settings
        self.key = work.key
        self.seed = work.seed
        self.epochs = work.phase.epochs

    @property
    def name(self) -> str:
        """For people."""
        raise NotImplementedError

    @property
    def needs(self) -> str | None:
        """Key of the pretraining that must be there first, if any."""
        return None

    @property
    def to_compile(self) -> str | None:
        """Name of the function that it would be the first here to compile, which takes a while; None if none."""
        if self.key not in self.settings.compiled:
            return None
        function = function_of(self.work)
        return function if read_measured(function) is None else None

    @property
    def pace_group(self) -> tuple[str, ...]:
        """What takes as long an epoch, the most telling first: network, phase, batch size, and data of one sort."""
        parts = [part.seedless for part in self.work.trains_on]
        return (self.work.model.model_dump_json(), self.phase, str(self.work.batch_size), json.dumps(parts))

    @property
    def folder(self) -> JobFolder:
        """Where the job leaves what it made."""
        raise NotImplementedError

    @property
    def finished(self) -> bool:
        """Whether an earlier or this run brought it to an end that is not tried again."""
        return self.folder.status().state in FINISHED

    def run(self) -> None:
        """Do the work, in processes of its own if that takes several; errors end up in the job's status and record."""
        if self.settings.processes > 1:
            run_together(self)
        else:
            self.run_here()

    def run_here(self) -> None:
        """Do the work, or this process's part of it, in this process."""
        folder, attempt = self.folder, Attempt()
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.set_status("running")
        try:
            with processor(self.settings.threads):
                self._begin_provenance()
                self._work(attempt)
                self.add_provenance(finished_at=_now())
            folder.set_status("ok")
        except Diverged as error:
            traceback.print_exc()
            self._stop("diverged", str(error), attempt, steps=error.steps)
        except Exception as error:
            traceback.print_exc()
            if isinstance(error, LeakError):
                attempt.facts["audit_duplicates"] = error.found
            self._stop("failed", f"{type(error).__name__}: {error}", attempt, steps=attempt.curves.steps)

    def unreadable(self, folder: JobFolder) -> dict[Path, RecordError]:
        """Of a job that ended and left a folder, the files which its readers refuse, with the reason."""
        raise NotImplementedError

    def give_up(self, reason: str, state: Unfinished = "failed", facts: dict[str, Any] | None = None) -> None:
        """Note that the job cannot be done, or that its worker died; facts are what is known for its record."""
        self.folder.set_status(state, reason)

    def relabel(self, folder: Path) -> None:
        """Give the files of a job that was copied into a folder the names of this one."""

    def _work(self, attempt: Attempt) -> None:
        """Everything between status `running` and `ok`."""
        raise NotImplementedError

    def _write_curves(self, curves: CurveRecorder) -> None:
        """Leave the curves of a fit, finished or not."""
        write_curves(curves.frame(self.key, self.phase), self.folder.curves)

    def _stop(self, state: Unfinished, reason: str, attempt: Attempt, steps: int) -> None:
        attempt.facts["finetune_steps"] = steps
        self._write_curves(attempt.curves)
        self.give_up(reason, state, attempt.facts)

    def _fit(
        self, module: PotentialModule, samples: Sequence[Data], split: Split, epoch_frames: int, attempt: Attempt
    ) -> Fit:
        """Train to the end, or from the last checkpoint to the end; an epoch has so many frames."""
        folder, work = self.folder, self.work

        def report(progress: dict[str, Any]) -> None:
            folder.set_status("running", phase=self.phase, **progress)

        report({"epoch": 0, "epochs": self.epochs})
        order = stream_seed(self.seed, "order")
        data = SplitDataModule(
            samples, split, folder.path, work.batch_size, work.eval_batch_size, order, epoch_frames, module.search
        )
        known = self.folder.read_provenance() or {}
        content = json.dumps([known.get(name) for name in ("contents", "split_hash", "split_hashes")])
        module.compiles = function_of(work) if self.key in self.settings.compiled else None
        try:
            done = fit(
                module, data, work.phase, folder.path, self.settings.device, report, attempt.curves, self.key, content
            )
        finally:
            devices = self.settings.processes
            attempt.facts["computed"] = module.computed.way + (f", {devices} devices" if devices > 1 else "")
            self.add_provenance(computed=asdict(module.computed))
        if module.computed.why:
            print(f"steps were computed eagerly: {module.computed.why}", flush=True)
        self._write_curves(attempt.curves)
        return done

    def _fresh_potential(self) -> Potential:
        """A potential with the initial weights of this seed, whatever was drawn before."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(self.seed, "weights"))
            potential: Potential = build(MODELS, self.work.model)
        return potential

    def _begin_provenance(self) -> None:
        """What this sitting runs with; what earlier sittings of an interrupted job ran with is kept."""
        settings = self.settings
        environment = describe_environment(settings.device, settings.threads, settings.processes)
        now = {"started_at": _now(), **environment}
        before = self.folder.read_provenance()
        content = {"schema": 1, "name": self.name, "config": self.work.model_dump(mode="json"), **now}
        if before is not None:
            earlier = {key: before[key] for key in now if key in before}
            content["earlier_sittings"] = [*before.get("earlier_sittings", []), earlier]
        write_json(self.folder.provenance, content)
        print(f"{now['started_at']} begins", flush=True)

    def add_provenance(self, **more: Any) -> None:
        """Note further things that the numbers depend on."""
        write_json(self.folder.provenance, {**(self.folder.read_provenance() or {}), **more})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
