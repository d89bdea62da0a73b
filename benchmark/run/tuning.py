"""What the trials of a tuning run came to, and the setting that each arm is best with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmark.planning.config import Suite
from benchmark.planning.tuning import Setting, rates, trial_name
from reports.records.atomic import replacing
from reports.records.record import JUDGED
from reports.records.run import read_run

TRIALS = "trials"


def trials_table(
    run: Path, suite: Suite, datasets: Sequence[str], model: str, strategies: Sequence[str], settings: Sequence[Setting]
) -> pd.DataFrame:
    """A row for each arm and setting, judged on validation frames alone: no error of a test frame is read.

    Columns: ``strategy``, ``trial``, ``pretrain_lr`` (none without pretraining), ``finetune_lr``, ``cells`` and
    ``finished`` (over datasets and seeds), ``validation_loss`` (geometric mean of the lowest of each cell; none if one
    did not finish), ``validation_force_error_mev_per_A`` (likewise, of the best checkpoint, RMSE or MAE as the dataset
    is judged), ``chosen``.
    """
    found = read_run(run)
    losses = found.curves[
        (found.curves["phase"] == "finetune") & (found.curves["split"] == "val") & (found.curves["metric"] == "loss")
    ]
    lowest = losses.groupby("cell_key")["value"].min()
    best = found.records[(found.records["split"] == "val") & (found.records["checkpoint"] == "best")]
    metric = JUDGED[found.plan.datasets[datasets[0]].judged_by][0]
    errors = best.set_index("cell_key")[metric].astype(float)
    rows = []
    for name in strategies:
        for number, setting in enumerate(settings):
            cells = [cell.key for cell in found.plan.cells if cell.strategy == trial_name(name, number)]
            finished = [key for key in cells if key in errors.index]
            lr = rates(suite, datasets[0], model, name, setting)
            whole = bool(cells) and len(finished) == len(cells)
            rows.append(
                {
                    "strategy": name,
                    "trial": number,
                    "pretrain_lr": lr.get("pretrain", {}).get("lr"),
                    "finetune_lr": lr["finetune"]["lr"],
                    "cells": len(cells),
                    "finished": len(finished),
                    "validation_loss": _geometric_mean(lowest[finished]) if whole else None,
                    "validation_force_error_mev_per_A": _geometric_mean(errors[finished]) if whole else None,
                }
            )
    table = pd.DataFrame(rows)
    lowest_losses = table["validation_loss"].astype(float).dropna().groupby(table["strategy"])
    # Of equally good ones the first: the suite's own, if it is among them.
    table["chosen"] = table.index.isin(lowest_losses.idxmin())
    return table


def chosen_training(
    table: pd.DataFrame, suite: Suite, dataset: str, model: str, settings: Sequence[Setting]
) -> dict[str, dict[str, Any]]:
    """``training`` of each arm under its best setting; arms that finished none have no entry."""
    best = table[table["chosen"]]
    return {
        str(name): rates(suite, dataset, model, str(name), settings[int(number)])
        for name, number in zip(best["strategy"], best["trial"], strict=True)
    }


def write_trials(table: pd.DataFrame, folder: Path) -> list[Path]:
    """The table as CSV and Parquet in a folder."""
    paths = [folder / f"{TRIALS}.csv", folder / f"{TRIALS}.parquet"]
    with replacing(paths[0]) as temporary:
        table.to_csv(temporary, index=False)
    with replacing(paths[1]) as temporary:
        table.to_parquet(temporary, index=False)
    return paths


def write_suite(content: Mapping[str, Any], comment: Sequence[str], path: Path) -> None:
    """A suite file that begins with a comment."""
    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=120)
    with replacing(path) as temporary:
        temporary.write_text("".join(f"# {line}\n" for line in comment) + text, encoding="utf-8")


def _geometric_mean(values: pd.Series) -> float:
    return float(np.exp(np.log(values.astype(float)).mean()))
