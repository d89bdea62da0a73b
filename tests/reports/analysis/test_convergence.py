"""When an arm is first as good as a baseline was at its end, on hand-made curves."""

import numpy as np
import pandas as pd
import pytest

from reports.analysis.convergence import epochs_to_reach, summarise_reach, validation_curves
from reports.records.record import records_frame


def of_arm(summary, strategy):
    (row,) = summary[summary["strategy"] == strategy].to_dict("records")
    return row


def test_epochs_to_reach(record, curve):
    # Arms pretrain for 2 epochs. Targets: 10 with seed 0, 20 with seed 1; seed 2 has no baseline.
    curves = pd.concat(
        [
            curve("scratch", 0, [40.0, 9.0, 12.0, 10.0]),  # below its own end at epoch 2 already
            curve("scratch", 1, [40.0, 30.0, 25.0, 20.0]),
            curve("masked", 0, [30.0, 11.0, 10.0, 5.0]),  # equal to the target at epoch 3
            curve("masked", 1, [50.0, 40.0, 30.0, 20.1]),  # never
            curve("masked", 2, [1.0, 1.0, 1.0, 1.0]),
            curve("masked", 0, [1.0, 1.0, 1.0, 1.0], metric="energy_rmse_mev"),
        ]
    )
    cells = [("scratch", 0), ("scratch", 1), ("masked", 0), ("masked", 1), ("masked", 2)]
    records = records_frame([record(*cell) for cell in cells])
    reached = epochs_to_reach(records, curves, "scratch")
    found = {(row.strategy, row.seed): (row.target, row.epoch, row.total_epoch) for row in reached.itertuples()}
    assert found == {
        ("scratch", 0): (10.0, 2, 2),
        ("scratch", 1): (20.0, 4, 4),
        ("masked", 0): (10.0, 3, 5),
        ("masked", 1): (20.0, pd.NA, pd.NA),
    }
    summary = summarise_reach(reached)
    masked = of_arm(summary, "masked")
    assert (masked["seeds"], masked["reached"], masked["target_mean"]) == (2, 1, 15.0)
    assert (masked["epoch_mean"], masked["total_epoch_min"], masked["total_epoch_max"]) == (3, 5, 5)
    scratch = of_arm(summary, "scratch")
    assert (scratch["epoch_mean"], scratch["epoch_min"], scratch["epoch_max"]) == (3.0, 2, 4)
    # 120 steps and 4.5 s an epoch of finetuning; pretraining took 240 steps and 6.5 s.
    assert (masked["step_mean"], masked["total_step_mean"]) == (360, 600)
    assert (masked["seconds_mean"], masked["total_seconds_mean"]) == (13.5, 20.0)
    # Scratch was there at epoch 2 first, masked at epoch 3 of finetuning, 5 in all.
    assert masked["speedup_epoch_mean"] == pytest.approx(2 / 3)
    assert masked["speedup_total_epoch_mean"] == pytest.approx(2 / 5)
    assert masked["speedup_total_seconds_min"] == pytest.approx(9 / 20)
    assert scratch["speedup_epoch_mean"] == pytest.approx(1.0)


def test_speedups_are_averaged_as_factors_and_none_is_none(record, curve):
    curves = pd.concat(
        [
            curve("scratch", 0, [4.0, 3.0, 2.0, 1.0]),
            curve("scratch", 1, [4.0, 3.0, 2.0, 1.0]),
            curve("scratch-extended", 0, [1.0, 1.0, 1.0, 1.0]),  # four times as fast
            curve("scratch-extended", 1, [9.0, 9.0, 9.0, 1.0]),  # as fast
            curve("masked", 0, [9.0, 9.0, 9.0, 9.0]),
        ]
    )
    cells = [("scratch", 0), ("scratch", 1), ("scratch-extended", 0), ("scratch-extended", 1), ("masked", 0)]
    reached = epochs_to_reach(records_frame([record(*cell) for cell in cells]), curves, "scratch")
    summary = summarise_reach(reached)
    extended = of_arm(summary, "scratch-extended")
    assert extended["speedup_epoch_mean"] == pytest.approx(2.0)  # geometric mean of 4 and 1
    assert (extended["speedup_epoch_min"], extended["speedup_epoch_max"]) == (pytest.approx(1), pytest.approx(4))
    masked = of_arm(summary, "masked")
    assert (masked["seeds"], masked["reached"]) == (1, 0)
    assert np.isnan(masked["speedup_epoch_mean"])


def test_epochs_to_reach_uses_cells_that_ended_ok_only(record, lost, curve):
    curves = pd.concat([curve("scratch", 0, [2.0, 1.0]), curve("masked", 0, [1.0, 1.0])])
    records = records_frame([record("scratch", 0), lost("masked", 0, "diverged", "loss is nan")])
    assert set(epochs_to_reach(records, curves, "scratch")["strategy"]) == {"scratch"}


@pytest.mark.parametrize(("split_hash", "n"), [("hash-of-seed-1", 2), (None, 2), ("another", 1)])
def test_cells_of_different_splits_are_not_compared(record, curve, split_hash, n):
    """A hash that is not known tells no difference."""
    cells = [("scratch", 0), ("scratch", 1), ("masked", 0)]
    records = records_frame([*(record(*cell) for cell in cells), record("masked", 1, split_hash=split_hash)])
    curves = pd.concat([curve(strategy, seed, [2.0, 1.0]) for strategy in ("scratch", "masked") for seed in (0, 1)])
    reached = epochs_to_reach(records, curves, "scratch")
    assert reached["strategy"].value_counts().to_dict() == {"scratch": 2, "masked": n}


def test_what_came_before_is_added_as_far_as_it_is_known(record, curve):
    """Pretraining, and the making of its labels; a file that does not say what it has cost makes a total unknown."""
    cells = {
        0: {},
        1: {"label_seconds": 100.0},
        2: {"pretrained_file": "0" * 12, "pretrain_seconds": None},
        3: {"pretrained_file": "0" * 12, "pretrain_seconds": 50.0},
        4: {"pretrain_seconds": None},  # of an older run
    }
    records = [record("masked", seed, **changes) for seed, changes in cells.items()]
    records.append(record("scratch", 5, pretrain_seconds=None))
    curves = [curve("masked", seed, [2.0, 1.0]) for seed in cells]
    curves.append(curve("scratch", 5, [2.0, 1.0]))
    found = validation_curves(records_frame(records), pd.concat(curves), "force_rmse_mev_per_A")
    last = found[found["epoch"] == 2].set_index("seed")
    assert last["seconds"].tolist() == [9.0] * 6
    nan = float("nan")
    # Two epochs of pretraining took 6.5 s and 240 steps, two of finetuning 9 s and as many.
    totals = last[["total_seconds", "total_epoch", "total_step"]].astype(float)
    assert totals["total_seconds"].tolist() == pytest.approx([15.5, 115.5, nan, 59.0, nan, 9.0], nan_ok=True)
    assert totals["total_epoch"].tolist() == pytest.approx([4, 4, nan, 4, 4, 2], nan_ok=True)
    assert totals["total_step"].tolist() == pytest.approx([480, 480, nan, 480, 480, 240], nan_ok=True)
    assert not {"pretrain_steps", "pretrain_seconds", "label_seconds", "pretrained_file"} & set(found.columns)


def test_curves_are_of_validation_in_finetuning_alone(record, curve):
    own = curve("masked", 0, [2.0, 1.0])
    others = [own.assign(phase="pretrain"), own.assign(split="train"), own.assign(metric="loss")]
    found = validation_curves(records_frame([record()]), pd.concat([*others, own]), "force_rmse_mev_per_A")
    assert found["value"].tolist() == [2.0, 1.0]
    assert found["epoch"].tolist() == [1, 2]
