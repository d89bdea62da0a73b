"""The run folder: where everything lies. It is the truth about what was done.

::

    RUN/plan.json                    what is to be done
    RUN/audit.json                   what the leakage audit found clean
    RUN/references.parquet           errors of references that networks have to beat
    RUN/cells/KEY/status.json        how far it is
                  provenance.json    configuration, versions, commit, hardware, split hash
                  splits.npz         indices of training, validation and test frames
                  best.ckpt last.ckpt
                  curves.parquet record.parquet elements.parquet predictions.parquet
                  log.txt
    RUN/pretrainings/KEY/            likewise, with potential.pt and result.json in place of a record
    RUN/report/
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from reports.records.atomic import RecordError, read_json, sync, write_json
from reports.records.audit import Audits
from reports.records.older import upgrade_plan
from reports.records.plan import Plan
from reports.records.provenance import Provenance
from reports.records.status import PretrainingResult, State, Status


class JobFolder:
    """Folder of one cell or one pretraining."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = path / "record.parquet"
        """The cell's rows."""
        self.elements = path / "elements.parquet"
        """The cell's force errors by element."""
        self.predictions = path / "predictions.parquet"
        """A sample of the cell's test predictions."""
        self.curves = path / "curves.parquet"
        """Losses and errors by epoch."""
        self.splits = path / "splits.npz"
        """Indices of training, validation and test frames."""
        self.potential = path / "potential.pt"
        """Weights of a pretrained potential."""
        self.result = path / "result.json"
        """Steps and seconds of a pretraining."""
        self.provenance = path / "provenance.json"
        """What the numbers depend on."""
        self.log = path / "log.txt"
        """What the worker printed."""
        self.status_file = path / "status.json"
        """How far it is."""

    @property
    def remedy(self) -> str:
        """What to do about a damaged file in here."""
        return "run again; only this job is repeated, and the damaged file is set aside"

    def checkpoint(self, name: str) -> Path:
        """Weights at the `best` epoch or after the `last`."""
        return self.path / f"{name}.ckpt"

    def status(self) -> Status:
        """Last known state, `pending` before anything was done.

        Raises:
            RecordError: for a damaged file.
        """
        content = read_json(self.status_file, self.remedy) or {}
        try:
            return Status.model_validate(content)
        except ValidationError as error:
            raise RecordError(f"{self.status_file} is not a status ({_first(error)}): {self.remedy}") from error

    def set_status(self, state: State, reason: str | None = None, **progress: Any) -> None:
        """Replace the state; progress are the further fields of `Status`.

        A job's end is only stated when all that it made is on the disk.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if state != "running":
            for path in self.path.iterdir():
                if path.is_file():
                    sync(path)
        status = Status(state=state, reason=reason, updated=time.time(), **progress)
        write_json(self.status_file, status.model_dump(by_alias=True, exclude_none=True), durable=state != "running")

    @property
    def last_sign(self) -> int:
        """When the status was last written, in the file system's ns; 0 before."""
        try:
            return self.status_file.stat().st_mtime_ns
        except OSError:
            return 0

    def read_provenance(self) -> dict[str, Any] | None:
        """What the numbers depend on; None before anything was done.

        Raises:
            RecordError: for a damaged file, or one of a later schema.
        """
        content = read_json(self.provenance, self.remedy)
        try:
            Provenance.model_validate(content or {})
        except ValidationError as error:
            raise RecordError(f"{self.provenance} is no provenance ({_first(error)}): {self.remedy}") from error
        return content

    def read_result(self, key: str) -> PretrainingResult:
        """What the pretraining of this key cost.

        Raises:
            RecordError: for a file that is missing, damaged or of another pretraining.
        """
        content = read_json(self.result, self.remedy)
        if content is None:
            raise RecordError(f"{self.result} is missing: {self.remedy}")
        try:
            result = PretrainingResult.model_validate(content)
        except ValidationError as error:
            raise RecordError(
                f"{self.result} is no result of a pretraining ({_first(error)}): {self.remedy}"
            ) from error
        if result.key not in (None, key):
            raise RecordError(f"{self.result} is of the pretraining {result.key}, not of {key}: {self.remedy}")
        return result


class RunFolder:
    """A folder that one plan fills."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan = path / "plan.json"
        self.audit = path / "audit.json"
        self.references = path / "references.parquet"
        """Errors of references that networks have to beat; a run of before they were measured has none."""

    def cell(self, key: str) -> JobFolder:
        """Folder of a cell."""
        return JobFolder(self.path / "cells" / key)

    def pretraining(self, key: str) -> JobFolder:
        """Folder of a pretraining."""
        return JobFolder(self.path / "pretrainings" / key)

    def begun(self, *kinds: Literal["cells", "pretrainings"]) -> list[JobFolder]:
        """Folders of the cells, the pretrainings or both that were begun in it, whatever the plan says."""
        found = [path for kind in kinds for path in sorted((self.path / kind).glob("*"))]
        return [JobFolder(path) for path in found if re.fullmatch(r"[0-9a-f]{12}", path.name) and path.is_dir()]

    @property
    def holds_work(self) -> bool:
        """Whether any cell or pretraining was begun in it."""
        return bool(self.begun("cells", "pretrainings"))

    def read_plan(self) -> Plan:
        """The plan.

        Raises:
            RecordError: if it is missing or wrong.
        """
        remedy = "restore this one file, or repeat the run's command, which writes it anew; finished cells are kept"
        content = read_json(self.plan, remedy, newest=3)
        if content is None:
            held = "cells but no plan.json" if self.holds_work else "no run (no plan.json)"
            raise RecordError(
                f"{self.path} holds {held}: {remedy if self.holds_work else 'give a folder that `run` has written'}"
            )
        try:
            return Plan.model_validate(upgrade_plan(content, self._readable_provenance))
        except ValidationError as error:
            raise RecordError(f"{self.plan} is not a plan ({_first(error)}): {remedy}") from error

    def _readable_provenance(self, key: str) -> dict[str, Any] | None:
        """A cell's provenance; a damaged one is no fault of the plan."""
        try:
            return self.cell(key).read_provenance()
        except RecordError:
            return None

    def write_plan(self, plan: Plan) -> None:
        """Replace the plan."""
        write_json(self.plan, plan.model_dump(mode="json", by_alias=True), durable=True)

    def read_audits(self) -> Audits:
        """The audits that were made before training; none in a folder without them.

        Raises:
            RecordError: for a damaged file.
        """
        remedy = "run again; the file is set aside, and the audit is made anew"
        content = read_json(self.audit, remedy)
        try:
            return Audits() if content is None else Audits.model_validate(content)
        except ValidationError as error:
            raise RecordError(f"{self.audit} holds no audits ({_first(error)}): {remedy}") from error

    def write_audits(self, audits: Audits) -> None:
        """Replace the audits."""
        write_json(self.audit, audits.model_dump(mode="json", by_alias=True))


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'top level'}: {first['msg']}"
