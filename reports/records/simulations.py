"""What simulations with the cells' potentials leave: `RUN/simulations/`, written by `simulate` and read by reports.

::

    RUN/simulations/settings.json          how they were made; the same for all
                    SUBJECT-TEST/status.json
                                 ends.parquet measures.parquet series.parquet
                                 log.txt

A subject is a cell, or a rival of its potential on the same data: the data's own model, or a reference without network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from reports.records.atomic import RecordError, read_json
from reports.records.folder import JobFolder, RunFolder
from reports.records.parquet import read_exactly, versioned, write_frame

TESTS = ("nvt", "nve", "elsewhere", "scans")
CELL = "cell"
"""Kind of a subject that is a cell; any other is the name of a rival."""

SUBJECT = [
    pa.field("subject", pa.string(), nullable=False),  # a cell's key, or the name of a rival and its dataset
    pa.field("kind", pa.string(), nullable=False),  # `cell`, `own model`, `data`, or a reference's name
    pa.field("dataset", pa.string(), nullable=False),
    pa.field("model", pa.string(), nullable=True),  # null for rivals, like the strategy
    pa.field("strategy", pa.string(), nullable=True),
    pa.field("seed", pa.int64(), nullable=False),  # whose split the structures are of
    pa.field("test", pa.string(), nullable=False),  # one of TESTS
]
END_SCHEMA = versioned(
    1,
    [
        *SUBJECT,
        pa.field("replica", pa.int64(), nullable=False),
        pa.field("planned_ps", pa.float64(), nullable=False),
        pa.field("simulated_ps", pa.float64(), nullable=False),
        pa.field("cause", pa.string(), nullable=True),  # why it ended early; null if it did not
    ],
)
"""How long each replica was simulated, and why it ended."""
MEASURE_SCHEMA = versioned(
    1,
    [
        *SUBJECT,
        pa.field("quantity", pa.string(), nullable=False),  # its unit is at the end of its name; see QUANTITIES
        pa.field("place", pa.string(), nullable=False),  # of what, or where: `O-O`, `350 K`; may be empty
        pa.field("value", pa.float64(), nullable=True),  # null where it could not be measured
    ],
)
"""One number a subject, test, quantity and place; over replicas, means."""
SERIES_SCHEMA = versioned(
    1,
    [
        *SUBJECT,
        pa.field("quantity", pa.string(), nullable=False),  # `rdf`, `distances`, `spectrum`, `scan`
        pa.field("place", pa.string(), nullable=False),
        pa.field("x", pa.float64(), nullable=False),
        pa.field("y", pa.float64(), nullable=False),
    ],
)
"""Curves: g(r) over Å, h(r) over Å, density over 1/cm, energy in meV over Å or degrees."""
SCHEMAS: Mapping[str, pa.Schema] = {"ends": END_SCHEMA, "measures": MEASURE_SCHEMA, "series": SERIES_SCHEMA}

QUANTITIES = {
    "stable_ps": "mean time until a simulation ended, at most the planned one",
    "temperature_K": "mean kinetic temperature after equilibration",
    "rdf_error": "∫|g − g_ref| dr / ∫|g_ref − 1| dr up to half the box; `mean` is that over pairs of elements",
    "rdf_peak_A": "place of the first peak of g(r)",
    "rdf_peak_height": "height of the first peak of g(r)",
    "distances_error": "∫|h − h_ref| dr of all distances within an isolated molecule, from 0 to 2",
    "bond_error_A": "Wasserstein distance of bond lengths from those of the reference",
    "angle_error_deg": "Wasserstein distance of bond angles from those of the reference",
    "drift_mev_per_atom_per_ps": "absolute slope of the total energy without thermostat",
    "fluctuation_mev_per_atom": "what the total energy scatters about that slope, rms",
    "spectrum_error_per_cm": "Wasserstein distance of vibrational spectra",
    "stretch_peak_per_cm": "highest peak above 2500/cm: stretches of bonds to hydrogen",
    "force_rmse_mev_per_A": "force error on structures of the data's own model under other conditions",
    "energy_rmse_mev_per_atom": "energy error per atom on them",
    "scan_rmse_mev": "error of the energy along a scan, relative to its start",
    "scan_jump_mev": "largest change of the energy between neighbouring points that the forces do not explain",
}
"""What each quantity is; its unit is at the end of its name."""


@dataclass(frozen=True)
class Simulations:
    """All that was left, with the columns of `SCHEMAS`, and the settings that it was made with."""

    settings: Mapping[str, Any]
    ends: pd.DataFrame
    measures: pd.DataFrame
    series: pd.DataFrame
    failed: tuple[str, ...] = ()
    """Subject, test and reason of what failed."""


def simulations_folder(run: RunFolder) -> Path:
    """Where a run's simulations lie."""
    return run.path / "simulations"


def write_simulation(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write `ends`, `measures` and `series` of one subject and test into its folder, each whole or not at all.

    Raises `RecordError` for columns that do not fit, unknown tests or quantities, or two values for one place.
    """
    for name, frame in tables.items():
        check_simulation(name, frame)
    for name, frame in tables.items():
        write_frame(frame, folder / f"{name}.parquet", SCHEMAS[name])


def check_simulation(name: str, frame: pd.DataFrame) -> None:
    """Raise `RecordError` unless a table of this name holds what it should."""
    schema = SCHEMAS[name]
    if sorted(frame.columns) != sorted(schema.names):
        raise RecordError(f"{name} have the columns {sorted(frame.columns)}; exactly {schema.names} are expected")
    empty = [field.name for field in schema if not field.nullable and frame[field.name].isna().any()]
    if empty:
        raise RecordError(f"{name}: {empty[0]} is empty in some row; give it a value in each")
    unknown = set(frame["test"]) - set(TESTS)
    if unknown:
        raise RecordError(f"{name}: test {sorted(unknown)[0]!r} is not known; allowed are {', '.join(TESTS)}")
    if ((frame["kind"] == CELL) != frame["strategy"].notna()).any():
        raise RecordError(f"{name}: a cell has a strategy, a rival has none")
    if name == "measures":
        unknown = set(frame["quantity"]) - set(QUANTITIES)
        if unknown:
            raise RecordError(f"{name}: quantity {sorted(unknown)[0]!r} is not known")
        place = ["subject", "test", "quantity", "place"]
        if frame.duplicated(place).any():
            raise RecordError(f"{name}: two values for {dict(frame.loc[frame.duplicated(place), place].iloc[0])}")
    if name == "ends" and (frame["simulated_ps"] > frame["planned_ps"] + 1e-9).any():
        raise RecordError(f"{name}: a replica was simulated for longer than planned")


def read_simulations(run: RunFolder, cells: Iterable[str]) -> Simulations | None:
    """What simulations of these cells and of their rivals have left so far; None where there were none.

    Raises:
        RecordError: naming the file if one cannot be read, or does not fit.
    """
    folder = simulations_folder(run)
    remedy = f"remove the folder {folder} and call `simulate` again"
    settings = read_json(folder / "settings.json", remedy)
    if settings is None:
        return None
    wanted, parts, failed = set(cells), {name: [] for name in SCHEMAS}, []  # type: ignore[var-annotated]
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        status = JobFolder(place).status()
        if status.state == "failed":
            failed.append(f"{place.name}: {status.reason}")
        if status.state != "ok":
            continue
        found = {name: read_simulation(place, name) for name in SCHEMAS}
        keys = found["measures"].loc[found["measures"]["kind"] == CELL, "subject"]
        if set(keys) <= wanted:
            for name, frame in found.items():
                parts[name].append(frame)
    tables = {
        name: pd.concat(frames, ignore_index=True) if frames else SCHEMAS[name].empty_table().to_pandas()
        for name, frames in parts.items()
    }
    return Simulations(settings, **tables, failed=tuple(failed))


def read_simulation(folder: Path, name: str) -> pd.DataFrame:
    """One table of a subject and test.

    Raises:
        RecordError: naming the file if it cannot be read, has a later version or other columns.
    """
    path, remedy = folder / f"{name}.parquet", f"remove the folder {folder} and call `simulate` again"
    frame: pd.DataFrame = read_exactly(path, remedy, SCHEMAS[name]).to_pandas()
    check_simulation(name, frame)
    return frame
