"""How fast arms get where the baseline ended, and what they cost."""

from dataclasses import replace

import pandas as pd

from reports.analysis.convergence import validation_curves
from reports.analysis.results import Results
from reports.records.record import write_curves
from reports.records.run import read_run
from reports.tables.speed import cost_table, speedup_table
from reports.text.formatting import NONE, number
from tests.reports.made_up import KNOWN, results_of


def test_speedups_and_seeds_that_never_got_there(make_run, curve, key_of):
    folder = make_run({"scratch": {0: (1.0, 1.0), 1: (1.0, 1.0)}, "masked": {0: (1.0, 1.0), 1: (1.0, 1.0)}})
    for strategy, seed, values in (
        ("scratch", 0, [40.0, 30.0, 20.0, 10.0]),
        ("scratch", 1, [40.0, 30.0, 20.0, 10.0]),
        ("masked", 0, [9.0, 9.0, 9.0, 9.0]),
        ("masked", 1, [11.0, 11.0, 11.0, 11.0]),
    ):
        write_curves(curve(strategy, seed, values), folder / "cells" / key_of(strategy, seed) / "curves.parquet")
    results = Results(read_run(folder))
    ((_, (scratch, masked)),) = speedup_table(results).groups
    assert scratch[2:4] == ["2 of 2", "1.00× (1.00)"]
    # At epoch 1 of finetuning after 2 of pretraining, where scratch took 4; seed 1 never.
    assert masked[2:5] == ["1 of 2", "4.00×† (4.00)", "1.33×† (1.33)"]
    for seed in (0, 1):
        write_curves(curve("masked", seed, [99.0] * 4), folder / "cells" / key_of("masked", seed) / "curves.parquet")
    ((_, (_, masked)),) = speedup_table(Results(read_run(folder))).groups
    assert masked[2:] == ["0 of 2", *["not reached"] * 6]


def test_costs_have_throughput_and_share(make_run):
    table = cost_table(results_of(make_run, KNOWN))
    assert "each bears an equal part of its cost" in table.notes[0]
    ((_, rows),) = table.groups
    masked = next(row for row in rows if row[0] == "masked")
    # 2 epochs of 3.25 s before 4 of 4.5 s over 100 frames.
    assert masked[2:7] == ["6.5", "18.0", "24.5", "27", "22.2"]
    half = results_of(make_run, KNOWN, name="half", datasets={"tip3p": {"labelled": 0.5}})
    ((_, rows),) = cost_table(half).groups
    # Half labelled: an epoch goes over as many frames as the whole has, 200.
    assert rows[0][6] == number(200 * 4 / 18, 1)


def test_a_cost_that_a_file_does_not_tell_is_not_nothing(make_run):
    run = read_run(make_run(KNOWN))
    masked = run.records["strategy"] == "masked"
    untold = {name: run.records[name].mask(masked, 0) for name in ("pretrain_epochs", "pretrain_steps")}
    records = run.records.assign(
        **untold,
        pretrain_seconds=run.records["pretrain_seconds"].mask(masked),
        pretrained_file=pd.Series("0" * 12, run.records.index).where(masked),
    )
    results = Results(replace(run, records=records))
    ((_, rows),) = cost_table(results).groups
    row = next(row for row in rows if row[0] == "masked")
    assert row[2:6] == [NONE, "18.0", NONE, NONE]
    curves = validation_curves(records, run.curves, "force_rmse_mev_per_A")
    of_file = curves[curves["strategy"] == "masked"]
    assert of_file[["total_epoch", "total_step", "total_seconds"]].isna().all(axis=None)
    assert curves[curves["strategy"] == "denoised"]["total_epoch"].min() == 3
