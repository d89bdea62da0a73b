"""Runs one job: a pretraining (data -> pretext -> weights) or a cell (data -> finetune -> evaluate -> record)."""

from __future__ import annotations

import itertools
import os
import resource
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from benchmark.cell.checks import audit_cell, contents, describe
from benchmark.cell.library import Library, pool_structures
from benchmark.cell.provenance import describe_environment
from benchmark.cell.store import JobFolder, RunFolder, Unfinished
from benchmark.files import read_json, write_json
from benchmark.planning.config import Entry, Phase, build
from benchmark.planning.plan import Cell, PlannedCell, Pretraining
from benchmark.streams import stream_seed
from benchmark.training.callbacks import CurveRecorder, Report
from benchmark.training.data import SplitDataModule
from benchmark.training.loop import Fit, evaluate, fit
from benchmark.training.modules import Diverged, FinetuneModule, PotentialModule, PretrainModule
from reports.records.atomic import replacing
from reports.records.record import Record, write_curves, write_records
from reports.records.samples import write_elements, write_predictions
from tasks.audit import Auditor, LeakError
from tasks.datasets.splits import Split
from tasks.models.base import Potential
from tasks.normalisation import Normalisation
from tasks.registry import MODELS, PRETEXTS

MEGABYTE = 1e6

NO_COST: dict[str, Any] = {"pretrain_steps": 0, "pretrain_seconds": 0.0, "finetune_steps": 0}
"""What a record says of training before there was any."""


@dataclass(frozen=True)
class Settings:
    """Where and how jobs run; not part of a cell's key.

    On the CPU the same number of threads gives the same numbers, bit for bit. On a GPU, or with another number of
    threads, sums are taken in another order, and training amplifies the last bit.

    Attributes:
        run: the run folder.
        data_dir: folder of the datasets.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads of a worker.
        suite: name of the suite, for the record.
        scale: its scale, likewise.
    """

    run: Path
    data_dir: Path
    device: str
    threads: int
    suite: str
    scale: str


@dataclass
class Attempt:
    """What a job has come to know so far; all of it enters the record, also of one that does not succeed.

    Attributes:
        folder: where the job leaves what it made.
        report: tells how far it is.
        curves: filled by the fit.
        facts: fields of the record that are known so far.
    """

    folder: JobFolder
    report: Report
    curves: CurveRecorder = field(default_factory=CurveRecorder)
    facts: dict[str, Any] = field(default_factory=lambda: dict(NO_COST))


def run_pretraining(pretraining: Pretraining, settings: Settings) -> None:
    """Train a potential on a pretext over the training structures; leaves its weights, curves and cost."""
    folder = RunFolder(settings.run).pretraining(pretraining.key)

    def give_up(state: Unfinished, reason: str, attempt: Attempt) -> None:
        write_curves(attempt.curves.frame(pretraining.key, "pretrain"), folder.curves)
        folder.set_status(state, reason)

    with _job(folder, settings, pretraining.model_dump(mode="json"), give_up) as attempt:
        library = Library(settings.data_dir)
        pretext = build(PRETEXTS, pretraining.pretext)
        pool = pool_structures(pretraining.parts, pretext, pretraining.seed, library)
        potential = _fresh_potential(pretraining.model, pretraining.seed)
        data = _data_module(pool.samples, pool.split, pretraining, folder, len(pool.split.train))
        _add_provenance(
            folder,
            split_hashes=pool.split_hashes,
            datasets=[describe(library.load(part)) for part in pretraining.parts],
            contents=contents(pretraining, library),
            frames={"train": len(pool.split.train), "val": len(pool.split.val), "left_out": pool.left_out},
        )
        module = PretrainModule(potential, pretraining.phase, pretext, pretraining.seed)
        done = _fit(module, data, pretraining.phase, attempt, settings, "pretrain")
        write_curves(attempt.curves.frame(pretraining.key, "pretrain"), folder.curves)
        with replacing(folder.potential) as temporary:
            torch.save(potential.cpu().state_dict(), temporary)
        write_json(folder.result, {"pretrain_steps": done.steps, "pretrain_seconds": done.seconds})


def run_cell(planned: PlannedCell, settings: Settings) -> None:
    """Finetune and test; leaves the record, whatever happens."""
    cell = planned.cell
    run = RunFolder(settings.run)
    folder = run.cell(cell.key)

    def give_up(state: Unfinished, reason: str, attempt: Attempt) -> None:
        write_curves(_all_curves(planned, run, attempt.curves), folder.curves)
        record_unfinished(planned, settings, state, reason, attempt.facts)

    with _job(folder, settings, planned.model_dump(mode="json"), give_up) as attempt:
        library = Library(settings.data_dir)
        attempt.facts.update(_audit(planned, library))
        dataset, whole = library.load_split(cell.dataset, cell.seed)
        split = whole.labelled(cell.dataset.labelled, stream_seed(cell.seed, "labelled"))
        attempt.facts["split_hash"] = split.hash()
        potential = _fresh_potential(cell.model, cell.seed)
        attempt.facts["n_parameters"] = sum(p.numel() for p in potential.parameters())
        if cell.pretraining is not None:
            pretrained = run.pretraining(cell.pretraining.key)
            attempt.facts.update(_part_of_cost(read_json(pretrained.result) or {}, cell.pretraining.sharers))
            potential.load_state_dict(torch.load(pretrained.potential, weights_only=True))
        normalisation = Normalisation.fit([dataset.samples[i] for i in split.train])
        samples = [normalisation.normalise(sample) for sample in dataset.samples]
        data = _data_module(samples, split, cell, folder, len(whole.train))
        _add_provenance(
            folder,
            split_hash=split.hash(),
            normalisation={"reference_eV": normalisation.reference_eV, "scale_eV": normalisation.scale_eV},
            dataset=describe(dataset),
            contents=contents(cell, library),
            pretraining_frames=_pretraining_frames(run, cell),
        )
        module = FinetuneModule(potential, cell.phase, normalisation.scale_eV)
        done = _fit(module, data, cell.phase, attempt, settings, "finetune")
        attempt.facts.update(
            finetune_steps=done.steps,
            finetune_seconds=done.seconds,
            best_epoch=done.best_epoch,
            peak_memory_mb=_peak_memory_mb(settings.device),
        )
        write_curves(_all_curves(planned, run, attempt.curves), folder.curves)
        tested = {name: [samples[i] for i in frames] for name, frames in split.as_dict().items()}
        extra = {
            name: [normalisation.normalise(sample) for sample in library.load(entry).samples]
            for name, entry in cell.dataset.extra_tests.items()
        }
        _measure(planned, settings, module, tested, extra, split.test, attempt)


def _audit(planned: PlannedCell, library: Library) -> dict[str, Any]:
    """What a record says of the audit.

    Raises:
        LeakError: if it finds anything.
    """
    audit = audit_cell(planned.cell, library, Auditor(), planned.dataset)
    return {"audit_duplicates": 0, **{f"audit_{name}": value for name, value in asdict(audit).items()}}


def _part_of_cost(result: dict[str, Any], sharers: int) -> dict[str, Any]:
    """Steps and seconds of a pretraining that one of so many datasets bears."""
    part = {"pretrain_seconds": result["pretrain_seconds"] / sharers}
    return {**part, "pretrain_steps": round(result["pretrain_steps"] / sharers)}


def _measure(
    planned: PlannedCell,
    settings: Settings,
    module: FinetuneModule,
    tested: Mapping[str, Sequence[Data]],
    extra: Mapping[str, Sequence[Data]],
    test_frames: NDArray[np.int64],
    attempt: Attempt,
) -> None:
    """Errors of each checkpoint and set of frames as rows of the record: the first time that test frames are met.

    Errors by element and a sample of the predictions are left beside it.
    """
    cell, folder = planned.cell, attempt.folder
    sets: list[tuple[str, str | None, Sequence[Data]]] = [(name, None, samples) for name, samples in tested.items()]
    sets += [("extra", name, samples) for name, samples in extra.items()]
    rows, elements = [], []
    for checkpoint, (split, name, samples) in itertools.product(("best", "last"), sets):
        file = folder.path / f"{checkpoint}.ckpt"
        errors, details = evaluate(module, samples, cell.eval_batch_size, file, settings.device)
        place = {"split": split, "extra": name, "checkpoint": checkpoint}
        counts = {"n_frames": len(samples), "n_atoms": sum(sample.num_nodes for sample in samples)}
        rows.append(Record(**identity(planned, settings), **attempt.facts, **errors, **place, **counts, status="ok"))
        elements.append(details.elements().assign(cell_key=cell.key, **place))
        if (split, checkpoint) == ("test", "best"):
            shown = details.predictions(test_frames, stream_seed(cell.seed, "predictions"))
            write_predictions(shown.assign(cell_key=cell.key), folder.predictions)
    write_elements(pd.concat(elements, ignore_index=True), folder.elements)
    write_records(rows, folder.record)


def _pretraining_frames(run: RunFolder, cell: Cell) -> dict[str, int] | None:
    """Frames that the pretraining had, and those that its pretext could not be applied to; None without one."""
    if cell.pretraining is None:
        return None
    provenance = read_json(run.pretraining(cell.pretraining.key).provenance) or {}
    frames: dict[str, int] | None = provenance.get("frames")
    return frames


def identity(planned: PlannedCell, settings: Settings) -> dict[str, Any]:
    """The columns of a record that say which cell it is, and of which run."""
    row = planned.summary()
    return {"cell_key": row.pop("key"), "suite": settings.suite, "scale": settings.scale, **row}


def record_unfinished(
    planned: PlannedCell, settings: Settings, state: Unfinished, reason: str, facts: dict[str, Any] | None = None
) -> None:
    """The one row of a cell that diverged or failed: never a gap.

    Args:
        planned: the cell.
        settings: the run it belongs to.
        state: how it ended.
        reason: why.
        facts: further fields of the record; without them nothing was trained in this cell.
    """
    folder = RunFolder(settings.run).cell(planned.cell.key)
    folder.path.mkdir(parents=True, exist_ok=True)
    row = Record(
        **identity(planned, settings),
        **(facts or NO_COST),
        status=state,
        reason=reason,
        split=None,
        checkpoint=None,
    )
    write_records([row], folder.record)
    folder.set_status(state, reason)


def _all_curves(planned: PlannedCell, run: RunFolder, finetuning: CurveRecorder) -> pd.DataFrame:
    """Curves of a cell: those of the pretraining that it started from, then its own."""
    key = planned.cell.key
    curves = finetuning.frame(key, "finetune")
    if planned.cell.pretraining is None:
        return curves
    pretraining = pd.read_parquet(run.pretraining(planned.cell.pretraining.key).curves).assign(cell_key=key)
    return pd.concat([pretraining, curves], ignore_index=True) if len(curves) else pretraining


@contextmanager
def _job(
    folder: JobFolder,
    settings: Settings,
    config: dict[str, Any],
    give_up: Callable[[Unfinished, str, Attempt], None],
) -> Iterator[Attempt]:
    """Status and provenance around a job; an error becomes a state with a reason, noted by ``give_up``."""
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.set_status("running", fraction=0.0)
    attempt = Attempt(folder, lambda state: folder.set_status("running", **state))
    try:
        torch.set_num_threads(settings.threads)
        _begin_provenance(folder, settings, config)
        yield attempt
        _add_provenance(folder, finished_at=_now())
        folder.set_status("ok")
    except Diverged as error:
        traceback.print_exc()
        attempt.facts["finetune_steps"] = error.steps
        give_up("diverged", str(error), attempt)
    except Exception as error:
        traceback.print_exc()
        if isinstance(error, LeakError):
            attempt.facts["audit_duplicates"] = error.found
        if attempt.curves.rows:
            attempt.facts["finetune_steps"] = attempt.curves.rows[-1][1]
        give_up("failed", f"{type(error).__name__}: {error}", attempt)


def _begin_provenance(folder: JobFolder, settings: Settings, config: dict[str, Any]) -> None:
    """What this sitting runs with; what earlier sittings of an interrupted job ran with is kept."""
    now = {"started_at": _now(), **describe_environment(settings.device, settings.threads)}
    before = read_json(folder.provenance)
    content = {"config": config, **now}
    if before is not None:
        earlier = {key: before[key] for key in now if key in before}
        content["earlier_sittings"] = [*before.get("earlier_sittings", []), earlier]
    write_json(folder.provenance, content)
    print(f"{now['started_at']} begins", flush=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _add_provenance(folder: JobFolder, **more: Any) -> None:
    write_json(folder.provenance, {**(read_json(folder.provenance) or {}), **more})


def _data_module(
    samples: Sequence[Data], split: Split, work: Cell | Pretraining, folder: JobFolder, epoch_frames: int
) -> SplitDataModule:
    order = stream_seed(work.seed, "order")
    return SplitDataModule(samples, split, folder.path, work.batch_size, work.eval_batch_size, order, epoch_frames)


def _fit(
    module: PotentialModule, data: SplitDataModule, phase: Phase, attempt: Attempt, settings: Settings, name: str
) -> Fit:
    def report(state: dict[str, Any]) -> None:
        attempt.report({"phase": name, **state})

    report({"epoch": 0, "epochs": phase.epochs, "fraction": 0.0})
    return fit(module, data, phase, attempt.folder.path, settings.device, report, attempt.curves)


def _fresh_potential(entry: Entry, seed: int) -> Potential:
    """A potential with the initial weights of this seed, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "weights"))
        potential: Potential = build(MODELS, entry)
    return potential


def _peak_memory_mb(device: str) -> float:
    if device == "cuda":
        return float(torch.cuda.max_memory_allocated() / MEGABYTE)
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE
