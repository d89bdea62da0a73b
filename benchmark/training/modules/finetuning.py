"""Energies and forces fitted together by LNNP's own step, with exact errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch_geometric.data import Batch

from benchmark.planning.config import Finetune
from benchmark.training.modules.metrics import ExactMean
from benchmark.training.modules.potential import PotentialModule
from benchmark.training.samples import Details
from reports.records.record import FURTHER, METRICS
from tasks.errors import ErrorSums
from tasks.models.base import Potential


class FinetuneModule(PotentialModule):
    """Energies and forces fitted together, by LNNP's own step.

    Args:
        potential: the network, fresh or pretrained.
        phase: optimizer, schedule, loss and its weights.
        scale_eV: the normalisation's scale, for errors in physical units.
        rotate: see ``PotentialModule``.
    """

    def __init__(self, potential: Potential, phase: Finetune, scale_eV: float, rotate: int | None = None) -> None:
        losses = {
            "train_loss": phase.loss,
            "y_weight": phase.energy_weight,
            "neg_dy_weight": phase.force_weight,
        }
        super().__init__(potential, phase, losses, rotate)
        self._scale_eV = scale_eV
        self._reset_sums()
        self.details: Details | None = None

    def _reset_sums(self) -> None:
        self.errors = {stage: ErrorSums(self._scale_eV, stage == "test") for stage in ("train", "val", "test")}
        self._loss_means = {stage: {"y": ExactMean(), "neg_dy": ExactMean()} for stage in ("train", "val", "test")}

    def batch_loss(self, batch: Batch, batch_idx: int, stage: str) -> Tensor:
        """LNNP's step with the training loss alone."""
        return self.step(
            self.turned(batch, batch.num_graphs, stage), [(self.hparams.train_loss, self.train_loss_fn)], stage
        )

    def _first_inputs(self) -> tuple[Any, ...]:
        """See ``PotentialModule._first_inputs``."""
        batch = self._first_batch()
        batch = self.turned(batch, batch.num_graphs, "train")
        named = ("y", "neg_dy", "z", "pos", "batch", "box", "q", "s")
        extra_args = {name: value for name, value in batch.to_dict().items() if name not in named}  # as LNNP does
        return batch.z, batch.pos, batch.batch, batch.box if "box" in batch else None, extra_args

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Adds a batch to the exact errors of the stage ``test``."""
        return self.batch_loss(batch, batch_idx, "test")

    def _compute_losses(
        self, y: Tensor, neg_y: Tensor, batch: Batch, loss_fn: Any, loss_name: str, stage: str
    ) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = super()._compute_losses(y, neg_y, batch, loss_fn, loss_name, stage)
        self.errors[stage].update(y, neg_y, batch)
        if stage == "test" and self.details is not None:
            self.details.update(y, neg_y, batch)
        self._loss_means[stage]["y"].update(losses["y"], y.numel())
        self._loss_means[stage]["neg_dy"].update(losses["neg_dy"], neg_y.numel())
        return losses

    def exact_loss(self, stage: str) -> float:
        """The training loss over all frames of the stage seen since the last reset."""
        means = self._loss_means[stage]
        return float(
            self.hparams.y_weight * means["y"].compute() + self.hparams.neg_dy_weight * means["neg_dy"].compute()
        )

    def on_validation_epoch_end(self) -> None:
        """LNNP's logging, and the exact validation loss as ``val_loss``."""
        super().on_validation_epoch_end()
        self.log_validation_loss(self.exact_loss("val"))

    def on_test_epoch_end(self) -> None:
        """Nothing to log: ``end_test`` reads the sums; LNNP's lists are emptied."""
        self._reset_losses_dict()

    def begin_test(self) -> None:
        """Collect details from now on, of frames that are tested."""
        self.details = Details(self._scale_eV)

    def end_test(self) -> tuple[dict[str, float], Details]:
        """Errors of the tested frames by the records' names, and details; resets all sums."""
        errors, details = _named(self.errors["test"].compute(), (*METRICS, *FURTHER)), self.details
        assert details is not None
        self._reset_sums()
        self.details = None
        return errors, details

    def curve_values(self) -> dict[tuple[str, str], float]:
        """Losses and errors on training frames (as they were met) and validation frames; resets the sums."""
        values = {}
        for stage in ("train", "val"):
            values[stage, "loss"] = self.exact_loss(stage)
            errors = _named(self.errors[stage].compute(), METRICS)
            values.update({(stage, name): value for name, value in errors.items()})
        self._reset_sums()
        return values


def _named(errors: dict[str, float], names: Sequence[str]) -> dict[str, float]:
    """Those of the errors that have a column."""
    return {name: errors[name] for name in names if name in errors}
