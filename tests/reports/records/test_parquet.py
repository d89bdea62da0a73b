"""Parquet files of a run folder: whole or not at all, and each tells the version of its schema."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports.records.atomic import RecordError
from reports.records.parquet import VERSION
from reports.records.record import CURVE_SCHEMA, RECORD_SCHEMA, write_curves
from reports.records.run import read_run
from reports.records.samples import ELEMENT_SCHEMA, PREDICTION_SCHEMA


def test_a_failed_write_leaves_the_older_file(curve, tmp_path, monkeypatch):
    path = tmp_path / "curves.parquet"
    write_curves(curve("masked", 0, [3.0]), path)
    before = path.read_bytes()

    def torn(table, where, **options):
        where.write_bytes(b"half a file")
        raise OSError("No space left on device")

    monkeypatch.setattr("reports.records.parquet.pq.write_table", torn)
    with pytest.raises(OSError, match="No space"):
        write_curves(curve("masked", 0, [2.0]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_flipped_bit_in_the_numbers_is_noticed(make_run, key_of):
    folder = make_run({"scratch": {0: (1.0, 1.0)}})
    path = folder / "cells" / key_of("scratch", 0) / "record.parquet"
    content = path.read_bytes()
    data = pq.ParquetFile(path).metadata.row_group(0).column(10)
    place = data.data_page_offset + data.total_compressed_size - 3
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(RecordError, match=r"record\.parquet cannot be read"):
        read_run(folder)


def relabelled(path, version):
    """The file with another schema version; without one for None."""
    table = pq.ParquetFile(path).read()
    pq.write_table(table.replace_schema_metadata(None if version is None else {VERSION: version}), path)


def test_files_tell_their_version(make_run, key_of):
    folder = make_run({"scratch": {0: (1.0, 1.0)}})
    for name, schema in (("record.parquet", RECORD_SCHEMA), ("curves.parquet", CURVE_SCHEMA)):
        written = pq.read_schema(folder / "cells" / key_of("scratch", 0) / name)
        assert written.metadata == schema.metadata == {VERSION: b"1"}
    assert ELEMENT_SCHEMA.metadata == {VERSION: b"1"}
    assert PREDICTION_SCHEMA.metadata == {VERSION: b"2"}


def test_a_file_without_a_version_has_the_first(make_run, key_of):
    folder = make_run({"scratch": {0: (1.0, 1.0), 1: (2.0, 2.0)}})
    for name in ("record.parquet", "curves.parquet"):
        relabelled(folder / "cells" / key_of("scratch", 0) / name, None)
    assert read_run(folder).count("ok") == 2


@pytest.mark.parametrize("name", ["record.parquet", "curves.parquet"])
def test_a_later_version_is_refused_in_words_before_its_columns_are(make_run, key_of, name):
    folder = make_run({"scratch": {0: (1.0, 1.0)}})
    path = folder / "cells" / key_of("scratch", 0) / name
    table = pq.ParquetFile(path).read()
    pq.write_table(table.append_column("later", pa.array([0] * len(table))), path)
    relabelled(path, b"2")
    with pytest.raises(RecordError, match=r"has schema 2, and this version .* reads schemas up to 1: use the version"):
        read_run(folder)
    relabelled(path, b"two")
    with pytest.raises(RecordError, match=r"has the schema 'two'; a whole number"):
        read_run(folder)
