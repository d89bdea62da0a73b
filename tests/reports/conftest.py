"""A factory of run folders with chosen numbers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports.page.write import build_report
from reports.records.record import Record, write_curves, write_records
from reports.records.references import write_references

EPOCHS = {"scratch": (0, 4), "scratch-extended": (0, 6), "masked": (2, 4), "denoised": (2, 4)}
"""(pretraining, finetuning) epochs of the arms; `PRETRAINED` of any other."""
PRETRAINED = (2, 4)

DATASETS: dict[str, dict[str, Any]] = {
    "tip3p": {"label": "TIP3P water, flexible", "kind": "tip3p", "options": {"molecules": 258}}
}
MODELS: dict[str, dict[str, Any]] = {"egnn": {"label": "EGNN", "kind": "egnn"}}
STRATEGIES: dict[str, dict[str, Any]] = {
    "scratch": {"label": "what scratch is"},
    "scratch-extended": {"label": "what scratch-extended is", "extended": True},
    "masked": {"label": "what masked is", "pretext": "masking", "options": {"ratio": 0.9}},
    "denoised": {"label": "what denoised is", "pretext": "denoising"},
}
"""What plans say of these names; of others only the name."""


def _key_of(strategy: str, seed: int, dataset: str = "tip3p", model: str = "egnn") -> str:
    """Key of a made-up cell."""
    return hashlib.sha256(f"{dataset} {model} {strategy} {seed}".encode()).hexdigest()[:12]


def _record(strategy: str = "masked", seed: int = 0, **changes: Any) -> Record:
    """A record; by default of the best checkpoint on the test split, all errors 1."""
    pretraining, finetuning = EPOCHS.get(strategy, PRETRAINED)
    place = {name: changes[name] for name in ("dataset", "model") if name in changes}
    fields: dict[str, Any] = {
        "cell_key": _key_of(strategy, seed, **place),
        "suite": "water",
        "scale": "quick",
        "dataset": "tip3p",
        "model": "egnn",
        "strategy": strategy,
        "seed": seed,
        "split": "test",
        "checkpoint": "best",
        "force_rmse_mev_per_A": 1.0,
        "force_mae_mev_per_A": 1.0,
        "energy_rmse_mev": 1.0,
        "energy_mae_mev": 1.0,
        "energy_rmse_mev_per_atom": 1.0,
        "energy_mae_mev_per_atom": 1.0,
        "n_frames": 100,
        "n_atoms": 4800,
        "n_parameters": 12345,
        "split_hash": f"hash-of-seed-{seed}",
        "pretrain_epochs": pretraining,
        "finetune_epochs": finetuning,
        "pretrain_steps": 120 * pretraining,
        "finetune_steps": 120 * finetuning,
        "pretrain_seconds": 3.25 * pretraining,
        "finetune_seconds": 4.5 * finetuning,
        "best_epoch": finetuning,
        "peak_memory_mb": 512.0,
        "status": "ok",
    }
    return Record(**(fields | changes))


def _lost(strategy: str, seed: int, status: str, reason: str, **place: str) -> Record:
    """The one row of a cell that diverged or failed."""
    nothing = dict.fromkeys(name for name in Record.model_fields if name.endswith(("_mev", "_per_A", "_per_atom")))
    return _record(strategy, seed, split=None, checkpoint=None, status=status, reason=reason, **nothing, **place)


def _curve(
    strategy: str, seed: int, values: list[float], metric: str = "force_rmse_mev_per_A", **place: str
) -> pd.DataFrame:
    """A validation curve of finetuning: one value an epoch."""
    epochs = range(1, len(values) + 1)
    return pd.DataFrame(
        {
            "cell_key": _key_of(strategy, seed, **place),
            "phase": "finetune",
            "epoch": epochs,
            "step": [120 * epoch for epoch in epochs],
            "seconds": [4.5 * epoch for epoch in epochs],
            "split": "val",
            "metric": metric,
            "value": values,
        }
    )


def _errors(force: float, energy: float) -> dict[str, float]:
    """Errors of a record with these RMSE; the others follow by fixed factors."""
    return {
        "force_rmse_mev_per_A": force,
        "force_mae_mev_per_A": 0.75 * force,
        "energy_rmse_mev": energy,
        "energy_mae_mev": 0.8 * energy,
        "energy_rmse_mev_per_atom": energy / 48,
        "energy_mae_mev_per_atom": 0.8 * energy / 48,
    }


def _decay(start: float, end: float, epochs: int) -> list[float]:
    """A geometric series from `start` to `end`."""
    return [start * (end / start) ** (i / (epochs - 1)) for i in range(epochs)]


Outcome = tuple[float, float] | tuple[str, str] | None
"""(force RMSE, energy RMSE) of a finished cell, (status, reason) of a lost one, None if never started."""
Outcomes = Mapping[str | tuple[str, str, str], Mapping[int, Outcome]]
"""By strategy, or by dataset, model and strategy; then by seed."""


class Page(HTMLParser):
    """The text, the tags and the heading levels of a page; fails on tags that do not nest."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attributes: list[Any]) -> None:
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[Any]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def plain(self) -> str:
        """The text with ordinary spaces."""
        return " ".join(self.text.replace("\N{NO-BREAK SPACE}", " ").split())

    @property
    def headings(self) -> list[int]:
        return [int(tag[1]) for tag, _ in self.tags if re.fullmatch("h[1-6]", tag)]


def _both(folder: Path) -> tuple[Page, str]:
    paths = build_report(folder)
    return Page(paths.html.read_text(encoding="utf-8")), paths.markdown.read_text(encoding="utf-8")


@pytest.fixture
def parse() -> Callable[[str], Page]:
    """The text, tags and headings of a page."""
    return Page


@pytest.fixture
def both() -> Callable[[Path], tuple[Page, str]]:
    """Makes the report of a run folder: the parsed page and the Markdown."""
    return _both


@pytest.fixture(scope="module")
def full(
    request: pytest.FixtureRequest,
    run_factory: Callable[[Path], Callable[..., Path]],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Page, str]:
    """Folder, parsed page and Markdown of a run with the outcomes `FULL` of the test's module."""
    folder = run_factory(tmp_path_factory.mktemp("full"))(request.module.FULL)
    return folder, *_both(folder)


@pytest.fixture(scope="session")
def key_of() -> Callable[..., str]:
    return _key_of


@pytest.fixture
def record() -> Callable[..., Record]:
    return _record


@pytest.fixture
def lost() -> Callable[..., Record]:
    return _lost


@pytest.fixture
def curve() -> Callable[..., pd.DataFrame]:
    return _curve


@pytest.fixture(scope="session")
def run_factory() -> Callable[[Path], Callable[..., Path]]:
    """For a folder, a function that writes run folders into it (see `make_run`)."""
    return _run_factory


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """`make_run({"masked": {0: (66.0, 108.0), 1: ("failed", "why"), 2: None}, ...})` -> the run folder.

    A key may also be (dataset, model, strategy). `train_frames`: training frames by dataset, else 100. `datasets`,
    `models` and `strategies` describe names, beside or in place of `DATASETS` and so on. `references`: (force RMSE,
    energy RMSE) by name of the reference, the same for all data, seeds and splits. `columns`: further columns of the
    records of finished cells. Further arguments replace entries of the plan.
    """
    return _run_factory(tmp_path)


Described = Mapping[str, Mapping[str, Any]]


def _described(names: Iterable[str], known: Described, given: Described | None) -> dict[str, dict[str, Any]]:
    """What a plan says of these names, in the order in which they are given."""
    known = {name: known.get(name, {}) for name in [*known, *names, *(given or {})]}
    return {name: {"label": name, **entry, **(given or {}).get(name, {})} for name, entry in known.items()}


def _run_factory(parent: Path) -> Callable[..., Path]:
    def make(
        outcomes: Outcomes,
        name: str = "run",
        train_frames: Mapping[str, int] | None = None,
        datasets: Described | None = None,
        models: Described | None = None,
        strategies: Described | None = None,
        references: Mapping[str, tuple[float, float]] | None = None,
        columns: Mapping[str, Any] | None = None,
        **plan: Any,
    ) -> Path:
        folder = parent / name
        cells = []
        for arm, seeds in outcomes.items():
            dataset, model, strategy = arm if isinstance(arm, tuple) else ("tip3p", "egnn", arm)
            for seed, outcome in seeds.items():
                key = _key_of(strategy, seed, dataset, model)
                pretraining, finetuning = EPOCHS.get(strategy, PRETRAINED)
                cells.append(
                    {
                        "key": key,
                        "dataset": dataset,
                        "model": model,
                        "strategy": strategy,
                        "seed": seed,
                        "pretraining_key": "0123456789ab" if pretraining else None,
                        "pretrain_epochs": pretraining,
                        "finetune_epochs": finetuning,
                    }
                )
                if outcome is not None:
                    frames = (train_frames or {}).get(dataset, 100)
                    place = {"dataset": dataset, "model": model}
                    _write_cell(folder / "cells" / key, strategy, seed, outcome, frames, columns or {}, **place)
        content = {
            "schema": 3,
            "suite": "water",
            "title": "Pretraining on water",
            "description": "Does it help?",
            "scale": "quick",
            "command": "python -m benchmark run --suite water",
            "baselines": ["scratch", "scratch-extended"],
            "datasets": _described((cell["dataset"] for cell in cells), DATASETS, datasets),
            "models": _described((cell["model"] for cell in cells), MODELS, models),
            "strategies": _described((cell["strategy"] for cell in cells), STRATEGIES, strategies),
            "config": {"optimizer": {"lr": 0.003}},
            "cells": cells,
        }
        folder.mkdir(exist_ok=True)
        (folder / "plan.json").write_text(json.dumps(content | plan))
        if references:
            sets = dict.fromkeys((cell["dataset"], cell["seed"]) for cell in cells)
            write_references(_references(references, sets), folder / "references.parquet")
        return folder

    return make


def _references(errors: Mapping[str, tuple[float, float]], sets: Iterable[tuple[str, int]]) -> pd.DataFrame:
    """The same errors of references on all splits of these datasets and seeds."""
    rows = [
        {"dataset": dataset, "seed": seed, "split": split, "reference": name, "metric": metric, "value": value}
        for dataset, seed in sets
        for split in ("train", "val", "test")
        for name, pair in errors.items()
        for metric, value in _errors(*pair).items()
    ]
    return pd.DataFrame(rows)


def _write_cell(
    here: Path,
    strategy: str,
    seed: int,
    outcome: tuple[float, float] | tuple[str, str],
    train_frames: int,
    columns: Mapping[str, Any],
    **place: str,
) -> None:
    here.mkdir(parents=True)
    first, second = outcome
    if isinstance(first, str):
        (here / "status.json").write_text(json.dumps({"state": first, "reason": second}))
        write_records([_lost(strategy, seed, first, str(second), **place)], here / "record.parquet")
        return
    force, energy = float(first), float(second)
    rows = [
        _record(
            strategy,
            seed,
            split=split,
            checkpoint=checkpoint,
            n_frames=train_frames if split == "train" else 100,
            **_errors(factor * force, factor * energy),
            **columns,
            **place,
        )
        for checkpoint, later in (("best", 1.0), ("last", 1.05))
        for split, factor in (("train", 0.8 * later), ("val", 0.9 * later), ("test", later))
    ]
    write_records(rows, here / "record.parquet")
    epochs = EPOCHS.get(strategy, PRETRAINED)[1]
    curves = [
        _curve(strategy, seed, _decay(800.0, 0.9 * force, epochs), **place),
        _curve(strategy, seed, _decay(3000.0, 0.9 * energy, epochs), "energy_rmse_mev", **place),
    ]
    write_curves(pd.concat(curves), here / "curves.parquet")
    (here / "provenance.json").write_text(
        json.dumps(
            {
                "schema": 1,
                "name": f"{strategy}/seed {seed}",
                "versions": {"torch": "2.13.0", "python": "3.12.1"},
                "hardware": {"cpu": "A made-up CPU", "cores": 2},
                "git_commit": "0" * 40,
                "split_hash": f"hash-of-seed-{seed}",
                "started_at": f"2025-01-0{seed + 1}T10:00:00Z",
                "finished_at": f"2025-01-0{seed + 1}T10:01:00Z",
                "config": {"seed": seed},
            }
        )
    )
    (here / "status.json").write_text(json.dumps({"state": "ok", "reason": None}))
