"""Runs one job: a pretraining (data -> pretext -> weights) or a cell (data -> finetune -> evaluate -> record)."""

from __future__ import annotations

import os
import resource
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmark.config import DatasetEntry, Entry, Phase, build
from benchmark.files import read_json, write_json
from benchmark.plan import PlannedCell, Pretraining
from benchmark.provenance import describe_environment
from benchmark.store import JobFolder, RunFolder, Unfinished
from benchmark.streams import stream_seed
from benchmark.training.callbacks import Report
from benchmark.training.data import SplitDataModule
from benchmark.training.loop import BEST, LAST, Fit, evaluate, fit
from benchmark.training.modules import Diverged, FinetuneModule, PretrainModule
from reports import Record, write_curves, write_records
from tasks.datasets.base import Dataset
from tasks.datasets.splits import Split, split_by_group
from tasks.models.base import Potential
from tasks.normalisation import Normalisation
from tasks.registry import DATASETS, MODELS, PRETEXTS

MEGABYTE = 1e6


@dataclass(frozen=True)
class Settings:
    """Where and how jobs run; nothing here changes a result.

    Attributes:
        run: the run folder.
        data_dir: folder of the datasets.
        device: ``cpu``, ``cuda`` or ``mps``.
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


def run_pretraining(pretraining: Pretraining, settings: Settings) -> None:
    """Train a potential on a pretext over the training structures; leaves its weights, curves and cost."""
    folder = RunFolder(settings.run).pretraining(pretraining.key)
    with _job(folder, settings, pretraining.model_dump(mode="json"), f"pretraining {pretraining.key}") as report:
        dataset, split = _load(pretraining.dataset, pretraining.seed, settings)
        pretext = build(PRETEXTS, pretraining.pretext)
        pretext.check(dataset)
        potential = _fresh_potential(pretraining.model, pretraining.seed)
        data = SplitDataModule(
            [_unlabelled(sample) for sample in dataset.samples],
            split,
            folder.path,
            pretraining.batch_size,
            pretraining.eval_batch_size,
            stream_seed(pretraining.seed, "order"),
        )
        module = PretrainModule(potential, pretraining.phase, pretext, pretraining.seed)
        done = _fit(module, data, pretraining.phase, folder, settings, report, "pretrain")
        write_curves(done.curves.frame(pretraining.key, "pretrain"), folder.curves)
        torch.save(potential.cpu().state_dict(), folder.potential)
        write_json(folder.result, {"steps": done.steps, "seconds": done.seconds})


def run_cell(planned: PlannedCell, settings: Settings) -> None:
    """Finetune and test; leaves the record, whatever happens."""
    cell = planned.cell
    run = RunFolder(settings.run)
    folder = run.cell(cell.key)
    with _job(folder, settings, planned.model_dump(mode="json"), planned.name, planned) as report:
        dataset, split = _load(cell.dataset, cell.seed, settings)
        potential = _fresh_potential(cell.model, cell.seed)
        pretrained: JobFolder | None = None
        if cell.pretraining is not None:
            pretrained = run.pretraining(cell.pretraining.key)
            potential.load_state_dict(torch.load(pretrained.potential, weights_only=True))
        normalisation = Normalisation.fit([dataset.samples[i] for i in split.train])
        data = SplitDataModule(
            [normalisation.normalise(sample) for sample in dataset.samples],
            split,
            folder.path,
            cell.batch_size,
            cell.eval_batch_size,
            stream_seed(cell.seed, "order"),
        )
        module = FinetuneModule(potential, cell.phase, normalisation.scale_eV)
        done = _fit(module, data, cell.phase, folder, settings, report, "finetune")
        _add_provenance(
            folder,
            split_hash=split.hash(),
            normalisation={"reference_eV": normalisation.reference_eV, "scale_eV": normalisation.scale_eV},
            dataset=dataset.provenance,
        )
        curves = [done.curves.frame(cell.key, "finetune")]
        cost: dict[str, Any] = {"pretrain_steps": 0, "pretrain_seconds": 0.0}
        if pretrained is not None:
            curves.insert(0, pd.read_parquet(pretrained.curves).assign(cell_key=cell.key))
            result = read_json(pretrained.result)
            cost = {"pretrain_steps": result["steps"], "pretrain_seconds": result["seconds"]}
        write_curves(pd.concat(curves, ignore_index=True), folder.curves)
        rows = _measure(planned, settings, module, data, dataset, split, done, cost, folder)
        write_records(rows, folder.record)


def _measure(
    planned: PlannedCell,
    settings: Settings,
    module: FinetuneModule,
    data: SplitDataModule,
    dataset: Dataset,
    split: Split,
    done: Fit,
    cost: dict[str, Any],
    folder: JobFolder,
) -> list[Record]:
    """One row for each checkpoint and split: the first time that test frames are looked at."""
    rows = []
    for checkpoint, file in (("best", BEST), ("last", LAST)):
        for name, frames in split.as_dict().items():
            errors = evaluate(module, data, name, folder.path / file, settings.device)
            rows.append(
                Record(
                    **_identity(planned, settings),
                    **errors,
                    **cost,
                    status="ok",
                    split=name,
                    checkpoint=checkpoint,
                    split_hash=split.hash(),
                    n_frames=len(frames),
                    n_atoms=sum(dataset.samples[i].num_nodes for i in frames),
                    n_parameters=sum(p.numel() for p in module.model.parameters()),
                    finetune_steps=done.steps,
                    finetune_seconds=done.seconds,
                    best_epoch=done.best_epoch,
                    peak_memory_mb=_peak_memory_mb(settings.device),
                )
            )
    return rows


def _identity(planned: PlannedCell, settings: Settings) -> dict[str, Any]:
    row = planned.summary()
    return {"cell_key": row.pop("key"), "suite": settings.suite, "scale": settings.scale, **row}


def record_unfinished(planned: PlannedCell, settings: Settings, state: Unfinished, reason: str) -> None:
    """The one row of a cell that diverged or failed: never a gap."""
    folder = RunFolder(settings.run).cell(planned.cell.key)
    folder.path.mkdir(parents=True, exist_ok=True)
    row = Record(
        **_identity(planned, settings),
        status=state,
        reason=reason,
        split=None,
        checkpoint=None,
        pretrain_steps=0,
        finetune_steps=0,
    )
    write_records([row], folder.record)
    folder.set_status(state, reason)


@contextmanager
def _job(
    folder: JobFolder,
    settings: Settings,
    config: dict[str, Any],
    name: str,
    planned: PlannedCell | None = None,
) -> Iterator[Report]:
    """Status and provenance around a job; its errors become a state with a reason."""
    folder.path.mkdir(parents=True, exist_ok=True)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    folder.set_status("running", fraction=0.0)
    try:
        print(f"{started} {name} begins", flush=True)
        torch.set_num_threads(settings.threads)
        write_json(
            folder.provenance,
            {
                "config": config,
                "started_at": started,
                **describe_environment(settings.device, settings.threads),
            },
        )
        yield lambda state: folder.set_status("running", **state)
        _add_provenance(folder, finished_at=datetime.now(UTC).isoformat(timespec="seconds"))
        folder.set_status("ok")
    except Exception as error:
        traceback.print_exc()
        state: Unfinished = "diverged" if isinstance(error, Diverged) else "failed"
        reason = f"{error}" if state == "diverged" else f"{type(error).__name__}: {error}"
        if planned is not None:
            record_unfinished(planned, settings, state, reason)
        else:
            folder.set_status(state, reason)


def _add_provenance(folder: JobFolder, **more: Any) -> None:
    write_json(folder.provenance, {**read_json(folder.provenance), **more})


def _fit(
    module: PretrainModule | FinetuneModule,
    data: SplitDataModule,
    phase: Phase,
    folder: JobFolder,
    settings: Settings,
    report: Report,
    name: str,
) -> Fit:
    report({"phase": name, "epoch": 0, "epochs": phase.epochs, "fraction": 0.0})
    return fit(module, data, phase, folder.path, settings.device, lambda s: report({"phase": name, **s}))


def _load(entry: DatasetEntry, seed: int, settings: Settings) -> tuple[Dataset, Split]:
    dataset: Dataset = build(DATASETS, entry).load(settings.data_dir)
    rng = np.random.default_rng(stream_seed(seed, "split"))
    return dataset, split_by_group(dataset.groups, entry.split, rng)


def _fresh_potential(entry: Entry, seed: int) -> Potential:
    """A potential with the initial weights of this seed, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "weights"))
        potential: Potential = build(MODELS, entry)
    return potential


def _unlabelled(sample: Any) -> Any:
    """The structure alone: a pretext never sees energies or forces."""
    bare = sample.clone()
    del bare.y, bare.neg_dy
    return bare


def _peak_memory_mb(device: str) -> float:
    if device == "cuda":
        return float(torch.cuda.max_memory_allocated() / MEGABYTE)
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE
