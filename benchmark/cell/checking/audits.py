"""The leakage audit of a cell: made once before training, looked up by the cell, made again where the data changed."""

from __future__ import annotations

import hashlib
from typing import Any

from benchmark.cell.checking.given import open_given, trace_sets
from benchmark.cell.library import Library
from benchmark.planning.cells import Cell
from reports.records.audit import Audits, CleanAudit
from reports.records.folder import RunFolder
from tasks.leakage.audit import Audit, Auditor, FrameSet, TraceSet


def audit_of(cell: Cell, library: Library, run: RunFolder) -> dict[str, Any]:
    """What a record says of the audit.

    Raises:
        LeakError: if it finds anything.
    """
    found = run.read_audits().clean.get(audit_key(cell))
    own = library.contents(cell.own)
    if found is None or found.contents != [*own, *_pretraining_contents(cell, run)]:
        found = clean_audit(cell, library, Auditor())
    counts = found.model_dump(include={"seen_frames", "checked_frames", "nearest_frames", "unknown"})
    return {"audit_duplicates": 0, **{f"audit_{name}": value for name, value in counts.items()}}


def audit_key(cell: Cell) -> str:
    """What an audit depends on: cells with another model, pretext or schedule need not be audited again."""
    parts = [] if cell.pretraining is None else [part.model_dump_json() for part in cell.pretraining.parts]
    given = "" if cell.given is None else f" {cell.given.content_hash}"
    content = f"{cell.seed} {cell.dataset.model_dump_json()} {parts}{given}"
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def clean_audit(cell: Cell, library: Library, auditor: Auditor) -> CleanAudit:
    """Make sure that no validation or test frame of a cell was seen in its training or pretraining.

    Raises:
        LeakError: naming the frames.
    """
    audit, unknown = _compare(cell, library, auditor)
    return CleanAudit(
        contents=library.contents(cell.reads),
        seen_frames=audit.seen_frames,
        checked_frames=audit.checked_frames,
        nearest_frames=audit.nearest_frames,
        tolerance_A=audit.tolerance_A,
        unknown=unknown,
    )


def write_audits(run: RunFolder, found: dict[str, CleanAudit]) -> None:
    """Keep audits in the run folder; those of earlier calls stay unless they were made again."""
    run.write_audits(Audits(clean={**run.read_audits().clean, **found}))


def _pretraining_contents(cell: Cell, run: RunFolder) -> list[str]:
    """Hashes of the frames that the pretraining saw, as it noted them."""
    if cell.pretraining is None:
        return []
    provenance = run.pretraining(cell.pretraining.key).read_provenance() or {}
    return list(provenance.get("contents", []))


def _compare(cell: Cell, library: Library, auditor: Auditor) -> tuple[Audit, int]:
    """What was compared, and how many sources of pretraining could not be, as it is not known what they held."""
    name = cell.arm.dataset
    dataset, split, _ = library.load_sets(cell.dataset, cell.seed)
    seen = [FrameSet(f"the training set of {name}", dataset, split.train)]
    watched = []
    for number, part in enumerate(cell.pretraining.parts if cell.pretraining else (), start=1):
        source, parts, _ = library.load_sets(part, cell.seed)
        seen.append(FrameSet(f"pretraining set {number} ({part.kind})", source, parts.train))
        watched.append(FrameSet(f"the validation part of pretraining set {number} ({part.kind})", source, parts.val))
    test = [FrameSet(f"the test set of {name}", dataset, split.test)]
    for extra, entry in cell.dataset.extra_tests.items():
        further = library.load(entry)
        test.append(FrameSet(f"the further test set {extra}", further, further.all_frames))
    validation = FrameSet(f"the validation set of {name}", dataset, split.val)
    traced: dict[str, list[TraceSet]] = {"train": [], "val": []}
    unknown = 0
    if cell.given is not None:
        body = open_given(cell.given)
        traced, unknown = trace_sets(cell.given, body), int(body.traces is None)
    # What is validated on trains nothing, but it chooses: test frames are not even to be there.
    auditor.audit([*watched, validation], [], test, traced["val"])
    return auditor.audit(seen, [validation], test, traced["train"]), unknown
