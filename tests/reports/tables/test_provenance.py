"""What was run: with what, and the audit, or that it is missing."""

import json

from reports.analysis.results import Results
from reports.records.record import write_records
from reports.records.run import read_run
from reports.tables.provenance import audit_table, provenance_table
from tests.reports.made_up import KNOWN


def test_the_audit_is_shown_or_said_to_be_missing(make_run, record, key_of):
    folder = make_run(KNOWN)
    ((_, (row,)),) = audit_table(Results(read_run(folder))).groups
    assert row[1:] == ["0 of 9", *["not recorded"] * 4]
    audit = {"audit_seen_frames": 200, "audit_checked_frames": 50, "audit_duplicates": 0, "audit_nearest_frames": 7}
    for seed in range(3):
        path = folder / "cells" / key_of("masked", seed) / "record.parquet"
        write_records([record("masked", seed, **audit)], path)
    ((_, (row,)),) = audit_table(Results(read_run(folder))).groups
    assert row[1:] == ["3 of 9", "200", "50", "0", "7"]
    write_records(
        [record("masked", 0, **audit, audit_unknown=1)], folder / "cells" / key_of("masked", 0) / "record.parquet"
    )
    ((_, (row,)),) = audit_table(Results(read_run(folder))).groups
    assert row[-2:] == ["7", "1"]


def test_software_shows_what_all_cells_share_and_when_they_ran(make_run):
    ((_, rows),) = provenance_table(Results(read_run(make_run(KNOWN)))).groups
    assert rows == [
        ["git_commit", "0" * 40],
        ["hardware.cores", "2"],
        ["hardware.cpu", "A made-up CPU"],
        ["versions.python", "3.12.1"],
        ["versions.torch", "2.13.0"],
        ["started_at", "2025-01-01T10:00:00Z"],
        ["finished_at", "2025-01-03T10:01:00Z"],
    ]


def test_of_what_was_measured_in_every_cell_software_shows_the_range(make_run, key_of):
    folder = make_run(KNOWN)
    measured = {("scratch", 0): 0.25, ("scratch", 1): 1.5, ("masked", 0): 0.12345, ("masked", 1): 3.0}
    for (strategy, seed), seconds in measured.items():
        path = folder / "cells" / key_of(strategy, seed) / "provenance.json"
        content = json.loads(path.read_text()) | {"computed": {"seconds": seconds, "way": f"way {seed}"}, "box_A": 7.5}
        path.write_text(json.dumps(content))
    ((_, rows),) = provenance_table(Results(read_run(folder))).groups
    shown = dict(map(tuple, rows))
    assert shown["computed.seconds"] == "0.123 to 3.00"
    assert sorted(shown["computed.way"].split("; ")) == ["way 0", "way 1"]
    assert shown["box_A"] == "7.5"
