"""Which files of a finished cell cannot be read: what a report would stumble over, found before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reports.records.atomic import LaterSchemaError, RecordError
from reports.records.folder import JobFolder
from reports.records.parquet import CellFile, read_tables
from reports.records.plan import PlannedCell
from reports.records.record import CURVE_SCHEMA, check_curves, read_records
from reports.records.samples import (
    ELEMENT_SCHEMA,
    PREDICTION_SCHEMA,
    check_elements,
    check_predictions,
    upgrade_predictions,
)


def unreadable_files(cell: PlannedCell, place: JobFolder) -> dict[Path, RecordError]:
    """The files of a cell that ended which are missing, damaged or of another cell, with the reason.

    Raises:
        LaterSchemaError: for a file of a later version, which is not damaged.
    """
    ok = place.status().state == "ok"

    def file(path: Path, required: bool = False) -> CellFile:
        return CellFile(cell, path, place.remedy, required)

    return failing(
        {
            place.record: lambda: read_records([file(place.record, required=True)]),
            place.curves: lambda: read_tables([file(place.curves, required=ok)], CURVE_SCHEMA, check_curves),
            place.elements: lambda: read_tables([file(place.elements)], ELEMENT_SCHEMA, check_elements),
            place.predictions: lambda: read_tables(
                [file(place.predictions)], PREDICTION_SCHEMA, check_predictions, upgrade_predictions
            ),
        }
    )


def failing(readers: dict[Path, Callable[[], object]]) -> dict[Path, RecordError]:
    """The files that their readers refuse, with the reason.

    Raises:
        LaterSchemaError: for a file of a later version, which is not damaged.
    """
    found = {}
    for path, read in readers.items():
        try:
            read()
        except LaterSchemaError:
            raise
        except RecordError as error:
            found[path] = error
    return found
