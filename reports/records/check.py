"""Which files of a finished cell cannot be read: what a report would stumble over, found before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

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
from reports.records.status import STATES, State

T = TypeVar("T")


def unreadable_files(cell: PlannedCell, place: JobFolder) -> dict[Path, RecordError]:
    """The files of a cell that ended which are missing, damaged or of another cell, with the reason.

    Raises:
        LaterSchemaError: for a file of a later version, which is not damaged.
    """
    names = ("record", "curves", "elements", "predictions")
    readers = zip(names, _readers([(cell, place)]), strict=True)
    return failing({getattr(place, name): read for name, read in readers})


def all_readable(cells: Sequence[tuple[PlannedCell, JobFolder]]) -> bool:
    """Whether all files of cells that ended can be read: looked at together, which takes a fraction of the time.

    Raises:
        LaterSchemaError: for a file of a later version, which is not damaged.
    """
    return not failing(dict(enumerate(_readers(cells))))


def _readers(cells: Sequence[tuple[PlannedCell, JobFolder]]) -> list[Callable[[], object]]:
    """What reads the records, curves, elements and predictions of cells that ended."""

    def files(name: str, of: tuple[State, ...] = ()) -> list[CellFile]:
        """Those of a name; cells that ended in one of these states must have it."""
        return [
            CellFile(cell, getattr(place, name), place.remedy, required=place.status().state in of)
            for cell, place in cells
        ]

    return [
        lambda: read_records(files("record", STATES)),
        lambda: read_tables(files("curves", ("ok",)), CURVE_SCHEMA, check_curves),
        lambda: read_tables(files("elements"), ELEMENT_SCHEMA, check_elements),
        lambda: read_tables(files("predictions"), PREDICTION_SCHEMA, check_predictions, upgrade_predictions),
    ]


def failing(readers: Mapping[T, Callable[[], object]]) -> dict[T, RecordError]:
    """The files (or whatever stands for them) that their readers refuse, with the reason.

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
