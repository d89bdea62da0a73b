"""Several run folders as one: the union of their cells, and every difference shown."""

import json

import pandas as pd
import pytest

from reports.analysis.results import Results
from reports.records.atomic import RecordError
from reports.records.merge import read_runs
from reports.records.record import write_records
from reports.records.run import read_run
from reports.tables.every import report_tables
from reports.text.cautions import cautions
from reports.text.citing import how_to_cite

A = {"scratch": {0: (120.0, 510.0), 1: (131.0, 540.0)}, "masked": {0: (64.0, 101.0), 1: None}}


def provenance(folder, **changes):
    """Other software or data for all cells of a folder."""
    for path in (folder / "cells").glob("*/provenance.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_one_folder_is_that_run(make_run):
    folder = make_run(A)
    one, same = read_run(folder), read_runs([folder, folder / "../run"])
    pd.testing.assert_frame_equal(one.records, same.records)
    assert one.plan == same.plan
    assert len(same.sources) == 1
    tables = report_tables(Results(same))
    assert not {"sources", "conflicts"} & set(tables)


def test_cells_of_several_machines_are_put_together(make_run, key_of):
    first = make_run(A, name="one")
    second = make_run(
        {"masked": {1: (66.0, 103.0)}, "denoised": {0: (90.0, 300.0)}},
        name="two",
        command="python -m benchmark run two",
    )
    provenance(second, git_commit="1" * 40, versions={"torch": "2.14.0", "python": "3.12.1"})
    run = read_runs([first, second])
    assert [run.count(state) for state in ("ok", "pending")] == [5, 0]
    assert len(run.plan.cells) == 5
    assert len(run.records) == 5 * 6
    assert set(run.curves["cell_key"]) == {cell.key for cell in run.plan.cells}
    assert run.plan.command == "python -m benchmark run --suite water\npython -m benchmark run two"
    assert run.conflicts.empty
    results = Results(run)
    assert results.change(run.plan.arms[1], "scratch", "force_rmse_mev_per_A").n == 2
    tables = report_tables(results)
    rows = tables["sources"].groups[0][1]
    assert [row[:2] for row in rows] == [["one", "3"], ["two", "2"]]
    assert [row[3] for row in rows] == ["0" * 40, "1" * 40]
    assert [row[4] for row in rows] == ["torch 2.13.0", "torch 2.14.0"]
    assert tables["conflicts"].empty
    assert any("made at 2 commits" in caution for caution in cautions(results))
    assert "1" * 40 in how_to_cite(results)[0].text


def test_a_cell_of_both_counts_once_and_a_difference_is_shown(make_run, key_of):
    first = make_run(A, name="one")
    second = make_run({"scratch": {0: (120.0, 510.0), 1: (131.5, 540.0)}}, name="two")
    run = read_runs([first, second])
    pd.testing.assert_frame_equal(run.records, read_run(first).records)
    ((_, (row,)),) = report_tables(Results(run))["conflicts"].groups
    cell = "tip3p / egnn / scratch / seed 1"
    what = "force_rmse_mev_per_A (train best)"
    assert row[:3] == [cell, key_of("scratch", 1), what]
    assert [text.split()[-1] for text in row[3:]] == ["one", "two"]
    assert [float(text.split()[0]) for text in row[3:]] == pytest.approx([0.8 * 131.0, 0.8 * 131.5])
    assert any("1 cell has different results" in caution for caution in cautions(Results(run)))


def test_times_and_memory_may_differ(make_run, record, key_of):
    folders = [make_run({"scratch": {0: (1.0, 1.0)}}, name=name) for name in "ab"]
    for folder, seconds in zip(folders, (10.0, 99.0), strict=True):
        path = folder / "cells" / key_of("scratch", 0) / "record.parquet"
        write_records([record("scratch", 0, finetune_seconds=seconds, peak_memory_mb=seconds)], path)
    run = read_runs(folders)
    assert run.conflicts.empty
    assert run.records["finetune_seconds"].tolist() == [10.0]


def test_a_cell_that_one_folder_lost_and_the_other_finished_is_finished(make_run):
    first = make_run({"scratch": {0: ("failed", "out of memory"), 1: None}}, name="one")
    second = make_run({"scratch": {0: (1.0, 1.0), 1: (2.0, 2.0)}}, name="two")
    run = read_runs([first, second])
    assert run.count("ok") == 2
    (conflict,) = run.conflicts.to_dict("records")
    assert (conflict["what"], conflict["kept"], conflict["other"]) == ("status", "ok", "failed")
    assert (conflict["kept_in"], conflict["other_in"]) == ("two", "one")


def test_other_settings_under_the_same_name_are_refused(make_run):
    first = make_run(A, name="one")
    second = make_run(A, name="two")
    plan = json.loads((second / "plan.json").read_text())
    plan["cells"][0]["key"] = "f" * 12
    (second / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(RecordError, match=r"tip3p / egnn / scratch / seed 0 stands for other settings.*--compare"):
        read_runs([first, second])
    with pytest.raises(RecordError, match="no run folder"):
        read_runs([])


def test_two_rules_for_intervals_in_one_report_are_refused(make_run):
    first, second = (make_run(A, name=rule, spread=rule) for rule in ("pooled", "own"))
    assert read_runs([second]).plan.spread == "own"
    with pytest.raises(RecordError, match=r"pooled declares `spread: pooled` and own `spread: own`.*--compare"):
        read_runs([first, second])


CONFIG = {
    "datasets": {"tip3p": {"kind": "tip3p", "label": "water", "options": {"molecules": 16}}},
    "structures": {"many": {"kind": "tip3p", "options": {"seed": 1}}},
    "models": {"egnn": {"kind": "egnn", "label": None, "options": {"hidden": 48}}},
    "strategies": {
        "scratch": {"label": "from scratch", "pretext": None},
        "masked": {"pretext": {"kind": "masking", "options": {"ratio": 0.5}}, "pretrain_on": ["many"]},
    },
    "training": {"batch_size": 2, "eval_batch_size": 8, "pretrain": {"lr": 0.001}, "finetune": {"lr": 0.003}},
}


def changed(path, value):
    """CONFIG with one entry changed."""
    config = json.loads(json.dumps(CONFIG))
    *names, last = path.split(".")
    place = config
    for name in names:
        place = place[name]
    place[last] = value
    return config


def two_of_other_seeds(make_run, path="datasets.tip3p.label", value="water", hashes=("a", "a"), until=(None, None)):
    """Two runs, whose seeds are 0 and 1, and which differ in one entry."""
    return [
        make_run(
            {"scratch": {seed: (1.0, 1.0)}, "masked": {seed: (1.0, 1.0)}}, name=name, config=config,
            data={"tip3p": content}, until_percent=percent,
        )
        for seed, (name, config, content, percent) in enumerate(
            zip(("one", "two"), (CONFIG, changed(path, value)), hashes, until, strict=True)
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("datasets.tip3p.options.molecules", 258, r"dataset tip3p .*\(options.molecules: 16, 258\).*--compare"),
        ("models.egnn.options.hidden", 128, r"model egnn on tip3p .*\(options.hidden: 48, 128\)"),
        ("training.finetune.lr", 1e-4, r"model egnn on tip3p .*in one than in two \(finetune.lr: 0.003, 0.0001\)"),
        ("training.batch_size", 8, r"batch_size: 2, 8"),
        ("training.pretrain.lr", 1e-4, r"strategy masked on tip3p, egnn .*\(pretrain.lr: 0.001, 0.0001\)"),
        ("strategies.masked.pretext.options.ratio", 0.9, r"strategy masked .*ratio: 0.5, 0.9"),
        ("structures.many.options.seed", 2, r"strategy masked .*structures.many.options.seed: 1, 2"),
        ("models.egnn.options.envelope", True, r"options.envelope: nothing, True"),
    ],
)
def test_so_are_they_where_no_seed_is_in_both(make_run, path, value, said):
    with pytest.raises(RecordError, match=said):
        read_runs(two_of_other_seeds(make_run, path, value))


def test_so_is_a_pretraining_that_pools_other_datasets(make_run):
    config = changed("strategies.masked.pretrain_on", "pooled")
    one = make_run({("ethanol", "egnn", "masked"): {0: (1.0, 1.0)}}, name="one", config=config)
    two = make_run(
        {(name, "egnn", "masked"): {1: (1.0, 1.0)} for name in ("ethanol", "uracil")}, name="two", config=config
    )
    with pytest.raises(RecordError, match=r"strategy masked on ethanol, egnn .*\(pooled: \['ethanol'\], "):
        read_runs([one, two])


def test_so_is_other_data_made_with_the_same_settings(make_run):
    with pytest.raises(RecordError, match=r"the content of tip3p .*\(hash: a, b\)"):
        read_runs(two_of_other_seeds(make_run, hashes=("a", "b")))


@pytest.mark.parametrize(
    ("path", "value"),
    [("datasets.tip3p.label", "other words"), ("training.eval_batch_size", 32), ("models.gns", {"kind": "gns"})],
)
def test_names_and_what_no_result_depends_on_may_differ(make_run, path, value):
    plan = read_runs(two_of_other_seeds(make_run, path, value, until=(None, 15.0))).plan
    assert plan.data == {"tip3p": "a"}
    assert plan.until_percent == 15.0


def test_descriptions_and_configuration_of_the_first_go_first(make_run):
    first = make_run(
        {"scratch": {0: (1.0, 1.0)}}, name="one", config={"datasets": {"a": {"kind": "tip3p"}}, "seeds": 1}
    )
    second = make_run(
        {"masked": {0: (1.0, 1.0)}}, name="two", config={"datasets": {"b": {"kind": "rpbe"}}, "seeds": 2},
        models={"egnn": {"label": "another name"}, "gns": {"label": "GNS"}},
    )  # fmt: skip
    plan = read_runs([first, second]).plan
    assert {name: model.label for name, model in plan.models.items()} == {"egnn": "EGNN", "gns": "GNS"}
    assert plan.config["datasets"] == {"a": {"kind": "tip3p"}, "b": {"kind": "rpbe"}}
    assert plan.config["seeds"] == 1
    assert plan.config["merged_from"]["two"]["seeds"] == 2


def test_folders_of_one_name_are_told_apart(make_run, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    folders = [make_run({"scratch": {seed: (1.0, 1.0)}}, name=f"{name}/run") for seed, name in enumerate("xy")]
    assert [source.name for source in read_runs(folders).sources] == ["x/run", "y/run"]


def test_different_ablations_are_left_out_with_a_caution(make_run):
    def sweep(label):
        return {"over": "strategy", "label": label, "values": {"masked": 1.0}}

    said = "different ablations; their figures are left out"
    first = make_run({"masked": {0: (1.0, 1.0)}}, name="one", sweep=sweep("ratio"))
    others = [make_run({"masked": {1: (1.0, 1.0)}}, name=name, sweep=sweep(name)) for name in ("ratio", "width")]
    for folder, kept in zip(others, (True, False), strict=True):
        run = read_runs([first, folder])
        assert (run.plan.sweep is not None) == kept
        assert any(said in caution for caution in cautions(Results(run))) != kept
