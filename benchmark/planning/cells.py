"""What a cell is, and the pretraining that it starts from: a key is the hash of all that determines a result."""

from __future__ import annotations

import hashlib
import json

from pydantic import Field

from benchmark.planning.config import DatasetEntry, Entry, Finetune, Part, Phase, Strict
from benchmark.planning.strategies import Auxiliary, Transfer
from reports.records.plan import Arm, PlannedCell
from tasks.simulation.card import Spent

FORMAT = 1
"""Version of the meaning of a key: raised when the same configuration would give other results."""


class Work(Strict):
    """What determines a pretraining and a cell alike; its key is the hash of the whole content, without names."""

    model: Entry
    batch_size: int
    rotate: bool = Field(False, exclude_if=lambda on: not on)
    eval_batch_size: int
    seed: int
    phase: Phase

    @property
    def key(self) -> str:
        """First 12 hex digits of the SHA-256 of the content."""
        canonical = json.dumps({"format": FORMAT, **self.model_dump(mode="json")}, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def trains_on(self) -> tuple[DatasetEntry | Part, ...]:
        """The datasets whose training frames the fit goes over."""
        raise NotImplementedError

    @property
    def reads(self) -> tuple[Entry, ...]:
        """All datasets that the result depends on."""
        raise NotImplementedError

    @property
    def rotation_seed(self) -> int | None:
        """Seed of the random rotations of training frames; None without."""
        return self.seed if self.rotate else None

    @property
    def forwards(self) -> int:
        """How often each frame is seen in an epoch: twice with an auxiliary task."""
        return 1


class Pretraining(Work):
    """All that determines a pretrained potential; cells that need the same one share it.

    Attributes:
        parts: the datasets whose structures it sees.
        sharers: datasets that bear its cost, each the same part: those of a pool, else 1.
        name: names for people; not part of the key.
    """

    parts: tuple[Part, ...]
    sharers: int
    pretext: Entry
    name: str = Field(exclude=True)

    @property
    def trains_on(self) -> tuple[Part, ...]:
        """See ``Work.trains_on``."""
        return self.parts

    @property
    def reads(self) -> tuple[Entry, ...]:
        """See ``Work.reads``."""
        return self.parts


class PretrainedFile(Strict):
    """A body that was pretrained before: what a cell starts from is told by the content of the file.

    Attributes:
        content_hash: of the file.
        path: where it is, without a user's home; like the cost not part of a key, as the content determines it.
        spent: what it has cost, as the file says; None if it does not.
    """

    content_hash: str
    path: str = Field("", exclude=True)
    spent: Spent | None = Field(None, exclude=True)


class Cell(Work):
    """All that determines one record: dataset × model × strategy × seed, resolved.

    Attributes:
        pretraining: what it starts from, where the run makes it.
        given: what it starts from, where that came in a file.
        arm: what the suite calls its dataset, model and strategy; like suite and scale not part of the key.
    """

    dataset: DatasetEntry
    pretraining: Pretraining | None
    given: PretrainedFile | None = Field(None, exclude_if=lambda given: given is None)
    phase: Finetune
    transfer: Transfer = Field("all", exclude_if=lambda transfer: transfer == "all")
    auxiliary: Auxiliary | None = Field(None, exclude_if=lambda entry: entry is None)
    arm: Arm = Field(exclude=True)
    suite: str = Field(exclude=True)
    scale: str = Field(exclude=True)

    @property
    def trains_on(self) -> tuple[DatasetEntry, ...]:
        """See ``Work.trains_on``."""
        return (self.dataset,)

    @property
    def own(self) -> tuple[Entry, ...]:
        """The datasets that it is finetuned, validated and tested on."""
        return (self.dataset, *self.dataset.extra_tests.values())

    @property
    def reads(self) -> tuple[Entry, ...]:
        """See ``Work.reads``."""
        return self.own + (self.pretraining.reads if self.pretraining else ())

    @property
    def forwards(self) -> int:
        """See ``Work.forwards``."""
        return 2 if self.auxiliary else 1

    @property
    def name(self) -> str:
        """Names for people: dataset, model, strategy and seed."""
        return f"{'/'.join(self.arm)}/seed {self.seed}"

    def planned(self) -> PlannedCell:
        """The row of this cell in plan.json."""
        before = self.pretraining.phase.epochs if self.pretraining else 0
        if self.given is not None and self.given.spent is not None:
            before = self.given.spent.epochs
        return PlannedCell(
            key=self.key,
            **self.arm._asdict(),
            seed=self.seed,
            pretraining_key=self.pretraining.key if self.pretraining else None,
            pretrain_epochs=before,
            finetune_epochs=self.phase.epochs,
        )
