"""The table of an ablation over datasets or models."""

from statistics import mean, stdev

import pytest

from reports.analysis.results import Results
from reports.records.run import read_run
from reports.tables.sweep import sweep_table
from reports.text.formatting import plus_minus, signed
from tests.reports.ablations import FRAMES, LABEL_EFFICIENCY, LABELLED, MASKED, RATIO, values_of


def test_datasets_have_a_table_with_labelled_frames(make_run):
    folder = make_run(LABEL_EFFICIENCY, sweep=FRAMES, train_frames=LABELLED)
    table = sweep_table(Results(read_run(folder)))
    assert [column.full for column in table.columns[:6]] == [
        "share of frames labelled",
        "labelled frames",
        "worth independent frames: by energies",
        "worth independent frames: by structures",
        "seeds",
        "force, meV/Å: RMSE",
    ]
    assert [heading for heading, _ in table.groups] == [
        f"{model}: {strategy}" for model in ("EGNN", "tensornet") for strategy in ("scratch", "masked")
    ]
    (row, _) = dict(table.groups)["tensornet: masked"]
    few = [values_of(LABEL_EFFICIENCY["few", "tensornet", "masked"], i) for i in (0, 1)]
    base = [values_of(LABEL_EFFICIENCY["few", "tensornet", "scratch"], i) for i in (0, 1)]
    assert row[:5] == ["0.01", "50", "–", "–", "2 of 2"]
    for i, column in ((0, 5), (1, 8)):
        assert row[column] == plus_minus(mean(few[i]), stdev(few[i]))
        # Every seed of `masked` has 1.5 / 2 of the error of `scratch`.
        assert row[column + 1].startswith(signed(100 * (mean(few[i]) / mean(base[i]) - 1)))
        assert row[column + 1].value == pytest.approx(-25)


def test_labelled_frames_are_no_column_beside_themselves(make_run):
    sweep = FRAMES | {"values": {"few": 50, "many": 500}, "label": "labelled frames"}
    folder = make_run(LABEL_EFFICIENCY, sweep=sweep, train_frames=LABELLED)
    table = sweep_table(Results(read_run(folder)))
    assert [column.title for column in table.columns].count("labelled frames") == 1
    assert [row[0] for row in table.groups[0][1]] == ["50", "500"]


def test_models_have_a_table_too_and_strategies_have_none(make_run):
    sweep = {"over": "model", "label": "layers", "values": {"tensornet": 2, "egnn": 5}}
    table = sweep_table(Results(read_run(make_run(LABEL_EFFICIENCY, sweep=sweep))))
    assert [column.title for column in table.columns[:2]] == ["layers", "seeds"]
    assert sweep_table(Results(read_run(make_run(MASKED, name="strategies", sweep=RATIO)))) is None
