"""A step inside Lightning's Trainer against the same step bare, in alternation: the one after each of the other."""

from __future__ import annotations

import copy
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from performance import ours
from performance.rows import Finding, Row, Settings
from performance.timing import Pairs, seconds

MOLECULES, FRAMES, STEPS = 16, 2, 100
WARM_UP = 5


class BareStepsBetween(Callback):
    """Makes a bare step after each of the Trainer's, and keeps the time of both."""

    def __init__(self, bare: ours.Step) -> None:
        self._bare = bare
        self._mark: float | None = None
        self.fitted: list[float] = []
        self.bare: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Between epochs frames are validated: that is no step."""
        self._mark = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """From the end of one bare step to here is the Trainer's, loader included; each waits for its own work."""
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        if self._mark is not None:
            self.fitted.append(time.perf_counter() - self._mark)
            self.bare.append(seconds(self._bare))
        self._mark = time.perf_counter()

    def pairs(self) -> Pairs:
        """All but the first, which are warm-up."""
        return Pairs(tuple(self.fitted[WARM_UP:]), tuple(self.bare[WARM_UP:]))


def measure(settings: Settings) -> list[Finding]:
    """The network and the batches of scale quick, whose steps are the shortest."""
    potential = ours.network("egnn", settings.device, hidden=48, layers=3)
    steps = 30 if settings.quick else STEPS
    samples = ours.water(MOLECULES, FRAMES * steps + 1)
    bare = copy.deepcopy(potential)
    batch = ours.collate(bare, samples[:FRAMES], settings.device)
    watch = BareStepsBetween(ours.finetuning_step(bare, lambda: batch))
    ours.fit(potential, samples, FRAMES, epochs=1 if settings.quick else 3, device=settings.device, watch=watch)
    pairs = watch.pairs()
    low, high = pairs.quartiles
    return [
        Finding(
            "trainer",
            "step in Trainer.fit, egnn 3 × 48, 2 × 48 atoms",
            "forward + backward + optimizer alone, batch in place",
            1 / pairs.ratio,
            "×",
            1.15 if settings.device == "cuda" else 1.05,
            "at most",
            (1 / high, 1 / low),
            {"fit_s": pairs.ours_s, "bare_s": pairs.other_s, "pairs": len(pairs.ours)},
        )
    ]


ROWS = (Row("trainer", "Trainer.fit per step", measure),)
