"""What was run and what was not: plan, splits, audit, unfinished cells, software, sources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from reports.analysis.results import EFFECTIVE, Results
from reports.records.parquet import rows_of
from reports.records.plan import Arm
from reports.tables.table import Column, Number, Rows, Table, by_pair, named, value
from reports.text.formatting import NONE, number, plain, spread


def arm_table(results: Results) -> Table:
    """What was planned: the arms with their epochs, seeds and how they ended."""
    plan = results.run.plan

    def rows(arm: Arm) -> Rows:
        pretraining, finetuning = plan.epochs(arm)
        seeds = ", ".join(str(cell.seed) for cell in plan.cells_of(arm))
        role = " (baseline)" if arm.strategy in plan.baselines else ""
        label = plan.strategies[arm.strategy].label
        states = results.states(arm)
        ended = "; ".join(f"{count} {state}" for state, count in states.items())
        before = "not known" if not pretraining and plan.strategies[arm.strategy].from_file else value(pretraining, 0)
        return [[named(results, arm) + role, label, before, value(finetuning, 0), seeds, ended]]

    return Table(
        "The arms: what they do, their epochs, and how their cells ended.",
        [
            Column("arm", numeric=False),
            Column("what it is", numeric=False),
            Column("pretraining epochs"),
            Column("finetuning epochs"),
            Column("seeds"),
            Column("cells", numeric=False),
        ],
        by_pair(results, rows),
        name="arms",
    )


def frame_counts(results: Results, dataset: str, split: str) -> pd.DataFrame:
    """`n_frames` and `n_atoms` of a split, one row a finished cell."""
    names = ["n_frames", "n_atoms", *EFFECTIVE]
    return results.frame_counts.get((dataset, split), pd.DataFrame(columns=names))


def value_range(values: pd.Series) -> str:
    """Smallest to largest of these counts."""
    return Number(spread(values.min(), values.max()), values.min()) if len(values) else NONE


def worth(frames: pd.DataFrame) -> list[str]:
    """How many independent frames the training frames are worth, by their energies and by their structures."""
    return [_whole_range(frames[name].dropna()) for name in EFFECTIVE]


def _whole_range(values: pd.Series) -> str:
    return value_range(values.round()) if len(values) else NONE


WORTH = [Column("by energies", "worth independent frames"), Column("by structures", "worth independent frames")]


def split_table(results: Results) -> Table:
    """Frames and atoms of each split, from the records."""
    rows = []
    for dataset in dict.fromkeys(arm.dataset for arm in results.run.plan.arms):
        for split in ("train", "val", "test"):
            here = frame_counts(results, dataset, split)
            if len(here):
                label = results.run.plan.datasets[dataset].label
                effective = worth(here) if split == "train" else [NONE] * len(EFFECTIVE)
                atoms = value_range(here["n_atoms"].dropna())
                rows.append([label, split, value_range(here["n_frames"]), atoms, *effective])
    return Table(
        "Frames on which errors were measured.",
        [
            Column("dataset", numeric=False),
            Column("split", numeric=False),
            Column("frames"),
            Column("atoms, summed over frames"),
            *WORTH,
        ],
        [("", rows)],
        (
            "Frames of one trajectory resemble each other; what the training frames are worth follows from the "
            "autocorrelation of their energies, and of the distances between oxygen atoms, within trajectories.",
        ),
        name="frames",
    )


def unfinished_table(results: Results) -> Table:
    """Cells that diverged, failed, are running or pending, with the reason."""
    plan = results.run.plan
    rows = [
        [f"{cell.dataset} / {cell.model} / {cell.strategy} / seed {cell.seed}", cell.key, state, note or NONE]
        for cell, state, note in results.run.states
        if state != "ok"
    ]
    return Table(
        f"Cells without a result: {len(rows)} of {len(plan.cells)}.",
        [Column(title, numeric=False) for title in ("cell", "key", "state", "reason")],
        [("", rows)],
        name="unfinished",
    )


def audit_table(results: Results) -> Table:
    """The leakage audit: whether frames that were tested had been seen in training."""
    names = ["audit_seen_frames", "audit_checked_frames", "audit_duplicates"]
    records = results.run.records
    plan = results.run.plan
    cells = records[records["status"] == "ok"].drop_duplicates("cell_key")
    unknown = bool((cells["audit_unknown"] > 0).any())
    rows = []
    for dataset in dict.fromkeys(arm.dataset for arm in plan.arms):
        here = cells[cells["dataset"] == dataset]
        audited = here.dropna(subset=["audit_checked_frames"])
        if len(here):
            gaps = audited["audit_nearest_frames"].dropna()
            rows.append(
                [
                    plan.datasets[dataset].label,
                    Number(f"{len(audited)} of {len(here)}", len(audited)),
                    *(value_range(audited[name].dropna()) if len(audited) else "not recorded" for name in names),
                    _nearest(audited, gaps),
                    *([value(int((audited["audit_unknown"] > 0).sum()), 0)] if unknown else []),
                ]
            )
    return Table(
        "Leakage audit of the finished cells: did training or pretraining see a validation or test frame?",
        [
            Column("dataset", numeric=False),
            Column("cells audited"),
            Column("frames seen"),
            Column("frames looked for"),
            Column("found among those seen"),
            Column("nearest test to training frame of one trajectory (frames)"),
            *([Column("cells whose pretraining's structures are not known")] if unknown else []),
        ],
        [("", rows)],
        ("Frames are looked for by identity and by geometry. A duplicate fails the cell.",),
        name="audit",
        absent="No cell has finished.",
    )


def _nearest(audited: pd.DataFrame, gaps: pd.Series) -> str:
    if audited.empty:
        return "not recorded"
    return value_range(gaps) if len(gaps) else "no trajectory shared, or none known"


def split_hash_table(results: Results) -> Table:
    """Hash of the split by dataset and seed."""
    known = results.run.records.dropna(subset=["split_hash"])
    hashes = known.groupby(["dataset", "seed"], sort=False)["split_hash"].unique().reset_index()
    rows = [[f"{dataset}, seed {seed}", ", ".join(found)] for dataset, seed, found in hashes.itertuples(index=False)]
    return Table(
        "Hashes of the splits: equal hashes mean equal frames.",
        [Column("dataset and seed", numeric=False), Column("hash", numeric=False)],
        [("", rows)],
        name="splits",
    )


def _leaves(content: Any, name: str = "") -> Iterator[tuple[str, str | float]]:
    if isinstance(content, dict):
        for key in sorted(content):
            yield from _leaves(content[key], f"{name}.{key}" if name else str(key))
    elif content is not None:
        yield name, content if isinstance(content, str | float) else json.dumps(content, ensure_ascii=False)


MOST_VALUES = 20
"""How many different values of one thing are shown."""

MOST_MEASURED = 3
"""How many different measured numbers of one thing are shown; of more, their range."""

OF_CELLS = ("schema", "name", "config", "split_hash", "normalisation", "earlier_sittings", "started_at", "finished_at")
"""What a provenance says of a cell or of itself rather than of the run, or what has another place in the report."""


def provenance_table(results: Results) -> Table:
    """Where and with what the finished cells ran; several values where cells differ, of many numbers their range."""
    found: dict[str, dict[str | float, None]] = {}
    for cell in results.run.provenance.values():
        for name, content in _leaves({key: cell[key] for key in cell if key not in OF_CELLS}):
            found.setdefault(name, {})[content] = None
    for name, pick in (("started_at", min), ("finished_at", max)):
        times = [str(cell[name]) for cell in results.run.provenance.values() if cell.get(name)]
        if times:
            found[name] = {pick(times): None}

    def line(contents: list[str | float]) -> str:
        measured = [content for content in contents if isinstance(content, float)]
        if len(measured) == len(contents) > MOST_MEASURED:
            return f"{number(min(measured))} to {number(max(measured))}"
        more = len(contents) - MOST_VALUES
        shown = [content if isinstance(content, str) else json.dumps(content) for content in contents[:MOST_VALUES]]
        return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")

    return Table(
        "Software, hardware, data and times of the cells with a record; several values where cells differ.",
        [Column("what", numeric=False), Column("value", numeric=False)],
        [("", [[name, line(list(contents))] for name, contents in found.items()])],
        name="software",
    )


def source_table(results: Results) -> Table:
    """The run folders that were merged, and in what they differ."""
    sources = results.run.sources
    common = set.intersection(*(set(source.versions) for source in sources)) if sources else set()
    rows = [
        [
            source.name,
            Number(str(source.cells), source.cells),
            source.command,
            ", ".join(source.commits) or NONE,
            ", ".join(version for version in source.versions if version not in common) or "as the others",
            "; ".join(source.hardware) or NONE,
        ]
        for source in sources
    ]
    return Table(
        f"The {len(sources)} run folders that this report merges.",
        [
            Column("folder", numeric=False),
            Column("cells with a record"),
            Column("command", numeric=False),
            Column("commit", numeric=False),
            Column("versions that differ", numeric=False),
            Column("hardware", numeric=False),
        ],
        [("", rows)],
        name="sources",
    )


def conflict_table(results: Results) -> Table:
    """Cells found in several folders with different results: what is kept is the first folder's."""
    rows = [
        [
            f"{row['dataset']} / {row['model']} / {row['strategy']} / seed {row['seed']}",
            row["cell_key"],
            row["what"],
            _side(row["kept"], row["kept_in"]),
            _side(row["other"], row["other_in"]),
        ]
        for row in rows_of(results.run.conflicts)
    ]
    return Table(
        f"Cells with different results in different folders: {len(rows)}. The result of the first folder in which the "
        "cell ended ok is kept.",
        [Column(title, numeric=False) for title in ("cell", "key", "differs in", "kept", "left out")],
        [("", rows)],
        (
            "Other hardware, another number of threads or other versions may change the last digits; a larger "
            "difference comes from the code.",
        ),
        name="conflicts",
        absent="No cell has different results in different folders.",
    )


def _side(content: Any, folder: str) -> str:
    text = plain(content) if isinstance(content, float) else str(content)
    return f"{text} in {folder}"
