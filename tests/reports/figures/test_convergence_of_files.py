"""An arm that starts from a file is drawn from where its pretraining ended, if the file says where that is."""

from __future__ import annotations

from dataclasses import replace

from reports.analysis.results import Results
from reports.figures.convergence import convergence
from reports.records.run import read_run


def test_an_arm_whose_file_does_not_tell_its_cost_is_not_drawn(make_run):
    run = read_run(make_run({"scratch": {0: (100.0, 50.0)}, "masked": {0: (80.0, 40.0)}}))
    masked = run.records["strategy"] == "masked"
    costs = {name: run.records[name].mask(masked, 0) for name in ("pretrain_epochs", "pretrain_steps")}
    untold = run.records.assign(
        **costs,
        pretrain_seconds=run.records["pretrain_seconds"].mask(masked),
        pretrained_file=run.records["strategy"].map({"masked": "0" * 12}),
    )
    (drawing,) = convergence(Results(replace(run, records=untold)))
    assert "without masked, whose epochs of pretraining are not known" in drawing.panels[0].alt
    alone = Results(
        replace(run, records=untold[masked], curves=run.curves[run.curves["cell_key"].isin(untold[masked]["cell_key"])])
    )
    assert convergence(alone) == []
