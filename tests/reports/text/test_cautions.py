"""What weakens a run is said before its findings."""

import json

import pytest

from reports.analysis.results import Results
from reports.records.record import write_records
from reports.records.run import read_run
from reports.text.cautions import cautions, data_warnings
from tests.reports.made_up import SURE, results_of


def test_warnings_of_the_data_are_passed_on_once(make_run, key_of):
    folder = make_run(SURE)
    for strategy in SURE:
        for seed in range(3):
            path = folder / "cells" / key_of(strategy, seed) / "provenance.json"
            content = json.loads(path.read_text()) | {"dataset": {"warnings": ["a surrogate, not DFT"]}}
            path.write_text(json.dumps(content))
    results = Results(read_run(folder))
    assert data_warnings(results) == ["TIP3P water, flexible: a surrogate, not DFT"]
    assert data_warnings(results_of(make_run, SURE, name="none")) == []


def test_cautions_name_few_seeds_and_unequal_splits(make_run, record, key_of):
    folder = make_run(SURE)
    assert any("reaches 4.3 standard errors" in caution for caution in cautions(Results(read_run(folder))))
    path = folder / "cells" / key_of("masked", 0) / "record.parquet"
    write_records([record("masked", 0, split_hash="another")], path)
    assert any("leave this seed out" in caution for caution in cautions(Results(read_run(folder))))


@pytest.mark.parametrize(("gap", "near"), [(1, True), (10, True), (11, False), (None, False)])
def test_test_frames_near_to_training_frames_are_a_caution(make_run, record, key_of, gap, near):
    folder = make_run(SURE)
    for seed, frames in ((0, gap), (1, gap and gap + 5)):
        path = folder / "cells" / key_of("masked", seed) / "record.parquet"
        write_records([record("masked", seed, audit_nearest_frames=frames)], path)
    found = [caution for caution in cautions(Results(read_run(folder))) if "other trajectories" in caution]
    assert len(found) == near
    if near:
        assert f"only {gap} frame{'s' if gap > 1 else ''} of the simulation away" in found[0]


def test_cells_of_several_commits_in_one_folder_are_a_caution(make_run):
    """A run that was gone on with after a change of the code compares more than arms."""
    folder = make_run({"scratch": {0: (100.0, 50.0)}, "masked": {0: (80.0, 40.0)}})
    assert not any("commits" in caution for caution in cautions(Results(read_run(folder))))
    path = sorted(folder.glob("cells/*/provenance.json"))[0]
    path.write_text(json.dumps({**json.loads(path.read_text()), "git_commit": "1" * 40}))
    assert any("made at 2 commits" in caution for caution in cautions(Results(read_run(folder))))
