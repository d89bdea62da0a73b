"""What simulations leave is read as it was written, and what does not fit is refused by name."""

from __future__ import annotations

import struct

import pandas as pd
import pytest

from reports.records.atomic import RecordError
from reports.records.folder import RunFolder
from reports.records.simulations import SCHEMAS, read_simulations, write_simulation
from tests.reports.simulated import leave, subject_of

KEY = "0123456789ab"
NAMES = subject_of(KEY, "masked", 0, "nvt")


def test_nothing_was_simulated(tmp_path):
    assert read_simulations(RunFolder(tmp_path), [KEY]) is None


def test_what_was_written_is_read(tmp_path):
    leave(
        tmp_path,
        NAMES,
        {("rdf_error", "O-O"): 0.2, ("stable_ps", ""): None},
        [(4.0, "bond")],
        {("rdf", "O-O"): [(1, 2)]},
    )
    leave(tmp_path, {**NAMES, "test": "nve"}, state="failed", reason="out of memory")
    leave(tmp_path, {**NAMES, "test": "scans"}, state="running")
    leave(tmp_path, subject_of("f" * 12, "masked", 1, "nvt"), {("stable_ps", ""): 1.0})
    found = read_simulations(RunFolder(tmp_path), [KEY])
    assert found.settings["nvt_ps"] == 10
    assert found.measures["value"].dropna().tolist() == [0.2]
    assert set(found.measures["subject"]) == {KEY}  # the other is no cell of the plan
    assert found.ends[["simulated_ps", "cause"]].to_numpy().tolist() == [[4.0, "bond"]]
    assert found.series[["x", "y"]].to_numpy().tolist() == [[1.0, 2.0]]
    assert found.failed == (f"{KEY}-nve: out of memory",)


def frame(name, **values):
    row = {**NAMES, **dict.fromkeys(set(SCHEMAS[name].names) - set(NAMES)), **values}
    return pd.DataFrame([row], columns=SCHEMAS[name].names)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("measures", {"quantity": "rdf_eror", "place": ""}, "quantity 'rdf_eror' is not known"),
        ("measures", {"quantity": "rdf_error", "place": "", "test": "npt"}, "test 'npt' is not known"),
        ("measures", {"quantity": "rdf_error", "place": "", "kind": "null"}, "a rival has none"),
        ("ends", {"replica": 0, "planned_ps": 1.0, "simulated_ps": 2.0}, "for longer than planned"),
        ("measures", {"quantity": "rdf_error", "place": None}, "place is empty in some row"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, name, values, message):
    with pytest.raises(RecordError, match=message):
        write_simulation(tmp_path, {name: frame(name, **values)})


def test_two_values_for_one_place_are_refused(tmp_path):
    one = frame("measures", quantity="rdf_error", place="O-O", value=1.0)
    with pytest.raises(RecordError, match="two values for"):
        write_simulation(tmp_path, {"measures": pd.concat([one, one])})


@pytest.mark.parametrize("damage", ["torn", "flipped", "missing"])
def test_a_damaged_file_is_named(tmp_path, damage):
    """Also where one bit of a number is another, which Parquet notices by the checksums of its pages alone."""
    leave(tmp_path, NAMES, {("stable_ps", ""): 1.0})
    path = tmp_path / "simulations" / f"{KEY}-nvt" / "measures.parquet"
    if damage == "flipped":
        content = path.read_bytes()
        one, other = struct.pack("<d", 1.0), struct.pack("<d", 1.5)
        assert content.count(one) >= 1
        path.write_bytes(content.replace(one, other, 1))
    elif damage == "torn":
        path.write_bytes(b"torn")
    else:
        path.unlink()
    with pytest.raises(RecordError, match=r"measures\.parquet (cannot be read|is missing).*call `simulate` again"):
        read_simulations(RunFolder(tmp_path), [KEY])
