"""What happens beside the optimisation: curves, progress, and stopping when nobody waits any more."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from benchmark.leaving import check_time
from benchmark.training.modules.potential import PotentialModule
from benchmark.training.weights import KEY, read_weights
from reports.records.atomic import replacing

Report = Callable[[dict[str, Any]], None]
"""Receives the state of a fit: epoch, epochs, loss, force_rmse_mev_per_A, seconds_left."""


class CurveRecorder(Callback):
    """One row an epoch, split and metric; kept in the checkpoint, so curves and weights never disagree."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self.seconds = 0.0
        self._epoch_started = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of this epoch."""
        self._epoch_started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock and note every value of the epoch."""
        self.seconds += time.perf_counter() - self._epoch_started
        assert isinstance(pl_module, PotentialModule)
        values = pl_module.curve_values()
        values["train", "learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        epoch, step = trainer.current_epoch + 1, trainer.global_step
        for (split, metric), value in values.items():
            self.rows.append([epoch, step, self.seconds, split, metric, value])

    @property
    def steps(self) -> int:
        """Optimizer steps up to the last epoch that ended."""
        return int(self.rows[-1][1]) if self.rows else 0

    def last(self, split: str, metric: str) -> float | None:
        """The latest value of a curve, or None before the first epoch ended."""
        for row in reversed(self.rows):
            if row[3] == split and row[4] == metric:
                return float(row[5])
        return None

    def frame(self, cell_key: str, phase: str) -> pd.DataFrame:
        """The curves as a table with the columns of the curve schema."""
        frame = pd.DataFrame(self.rows, columns=["epoch", "step", "seconds", "split", "metric", "value"])
        frame.insert(0, "phase", phase)
        frame.insert(0, "cell_key", cell_key)
        return frame

    def state_dict(self) -> dict[str, Any]:
        """What goes into the checkpoint."""
        return {"rows": self.rows, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.rows, self.seconds = list(state_dict["rows"]), state_dict["seconds"]


class BestAndLast(Checkpoint):
    """``best.ckpt`` (lowest ``val_loss``) and ``last.ckpt`` after every epoch, each written whole or not at all.

    Lightning's ModelCheckpoint forgets what was best when a run folder is moved or mounted elsewhere, and writes
    through the system's temporary folder, which tears files when that is another device.

    Args:
        folder: where the checkpoints go.
        key: of the job, which they carry: those of another are refused.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._key = key
        self.best = folder / "best.ckpt"
        self.last = folder / "last.ckpt"
        self.best_epoch = 0
        self._best_loss = float("inf")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save; the best first, so that the last one knows of it."""
        # All processes have to save the same; on different nodes the last bit of a loss may differ.
        loss = trainer.strategy.broadcast(float(trainer.callback_metrics["val_loss"]))
        if loss < self._best_loss:
            self._best_loss, self.best_epoch = loss, trainer.current_epoch + 1
            self._save(trainer, self.best)
        self._save(trainer, self.last)

    def resumable(self) -> Path | None:
        """The checkpoint to go on from, None if there is none.

        Raises:
            RecordError: if it, or the best one that belongs to it, is missing, damaged or of another job.
        """
        if not self.last.exists():
            return None
        for path in (self.last, self.best):
            read_weights(path, self._key, "set both checkpoints of this folder aside to start this job over")
        return self.last

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Say whose it is."""
        checkpoint[KEY] = self._key

    def _save(self, trainer: Trainer, path: Path) -> None:
        if trainer.is_global_zero:
            with replacing(path, durable=True) as temporary:
                trainer.save_checkpoint(temporary, weights_only=False)
        else:
            trainer.save_checkpoint(path, weights_only=False)  # writes nothing, but the others wait for it
        trainer.strategy.barrier()  # nobody goes on before it is at its place

    def state_dict(self) -> dict[str, Any]:
        """What goes into the checkpoint: no path, so that a run folder may be moved."""
        return {"best_epoch": self.best_epoch, "best_loss": self._best_loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best_epoch, self._best_loss = state_dict["best_epoch"], state_dict["best_loss"]


class ProgressReporter(Callback):
    """Tells how far a fit is, at most once a second."""

    def __init__(self, report: Report, curves: CurveRecorder) -> None:
        self._report = report
        self._curves = curves
        self._last = 0.0
        self._started = 0.0
        self._first_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember where this process began, for the time left."""
        self._started = time.perf_counter()
        self._first_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report if a second has passed."""
        now = time.perf_counter()
        if now - self._last < 1.0:
            return
        self._last = now
        steps = int(trainer.estimated_stepping_batches)
        done = trainer.global_step - self._first_step
        left = (steps - trainer.global_step) * (now - self._started) / max(done, 1)
        self._report(
            {
                "epoch": trainer.current_epoch + 1,
                "epochs": trainer.max_epochs,
                "fraction": trainer.global_step / steps,
                "loss": float(outputs["loss"]),
                "force_rmse_mev_per_A": self._curves.last("val", "force_rmse_mev_per_A"),
                "seconds_left": left,
            }
        )


class SameWork(Callback):
    """Ends a process that would do something else than the first one, as where another node has other data.

    Args:
        content: what has to be the same.
    """

    def __init__(self, content: str) -> None:
        self._content = content

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare."""
        if trainer.strategy.broadcast(self._content) != self._content:
            raise ValueError("this process reads other frames than the first one: all need the same data in --data-dir")


class StopWithParent(Callback):
    """Ends a worker whose parent was killed, since a later run must be alone in the folder, or whose time is up."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Exit if there is no time for this epoch; the checkpoint after the one before stands."""
        check_time(trainer.current_epoch, trainer.max_epochs or 0)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Exit at once if the parent process is gone; the last checkpoint stands."""
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            raise SystemExit("the process that started this worker is gone")
