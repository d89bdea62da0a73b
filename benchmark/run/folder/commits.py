"""One table, one code: a run folder is not filled by different versions of the code unless that is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.cell.job import Settings
from benchmark.cell.provenance import describe_code
from benchmark.errors import BenchmarkError
from benchmark.planning.cells import Cell
from benchmark.run.jobs import make_jobs
from reports.records.atomic import RecordError
from reports.records.folder import JobFolder
from reports.records.status import FINISHED


def check_code(cells: Sequence[Cell], settings: Settings) -> None:
    """Make sure that what is left to do is done by the code that did the rest.

    Code is the same if the hash of the files that make numbers is; for work of versions that did not note it, if
    commit and version are. Changes to docs, tests or reports, committed or not, are none.

    Raises:
        BenchmarkError: naming both.
    """
    if all(job.finished for job in make_jobs(cells, settings)):
        return
    now, begun = describe_code(), settings.run.begun("cells", "pretrainings")
    others = Counter(_name(then) for job in begun if (then := _done_by(job)) and not same_code(then, now))
    if others:
        found = ", ".join(f"{count} by {name}" for name, count in others.items())
        raise BenchmarkError(
            f"run folder {settings.folder} holds jobs that other code has done ({found}; this is {_name(now)}): "
            "going on would mix both in one table. Use that code again, compute all anew with --out, or go on all the "
            "same with --mix-commits: every cell's provenance says which commit it is of"
        )


def _done_by(job: JobFolder) -> Mapping[str, Any] | None:
    """Provenance of a job that ended or can be resumed; None where it cannot be read, which a report says."""
    try:
        begun = job.status().state in FINISHED or job.checkpoint("last").exists()
        return job.read_provenance() if begun else None
    except RecordError:
        return None


def same_code(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether what two provenances tell of was done by the same code, in the sense of ``check_code``."""
    if then.get("code") is not None:
        return bool(then["code"] == now["code"])
    package = "nnp-pretrain-bench"
    versions = [(content.get("versions") or {}).get(package) for content in (then, now)]
    return then.get("git_commit") == now["git_commit"] and versions[0] == versions[1]


def _name(content: Mapping[str, Any]) -> str:
    """Commit and hash of the code, as far as they are known."""
    version = (content.get("versions") or {}).get("nnp-pretrain-bench", "unknown")
    code = f", code {content['code']}" if content.get("code") else ""
    return f"commit {content['git_commit']}{code}" if content.get("git_commit") else f"version {version}{code}"
