"""TorchMD-Net's LNNP, extended: any potential, a cosine schedule, faster steps."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning import LightningModule
from torch import Generator, Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch_geometric.data import Batch, Data
from torchmdnet.loss import loss_class_mapping
from torchmdnet.module import LNNP, FloatCastDatasetWrapper, LossFunction

from benchmark.planning.config import Phase
from benchmark.streams import stream_seed
from benchmark.training.batches import Search
from benchmark.training.modules.divergence import Diverged, Watch
from benchmark.training.steps.checked import CheckedStep, Computed
from benchmark.training.steps.parts import in_parts
from benchmark.training.steps.prepare import prepare_step
from tasks.geometry import random_rotations
from tasks.models.base import ROTATION, Potential
from tasks.models.graph import Graph, GraphPotential


def half_cosine(step: int, steps: int, lr: float, lr_min: float) -> float:
    """Factor on ``lr`` at an optimizer step: half a cosine from 1 (step 0) to ``lr_min / lr`` (last step)."""
    progress = min(step / max(steps - 1, 1), 1.0)
    low = lr_min / lr
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * progress))


class SinglePrecision(FloatCastDatasetWrapper):
    """LNNP's transform to float32, without the copies where there is nothing to do."""

    def __call__(self, data: Data) -> Data:
        """The same data if all of it is in float32."""
        fields = data.to_dict().values()
        if any(torch.is_tensor(v) and v.is_floating_point() and v.dtype != torch.float32 for v in fields):
            return super().__call__(data)
        return data


class PotentialModule(LNNP):
    """LNNP around a potential of the suite.

    LNNP's constructor can only build TorchMD-Net's own architectures, so it is passed over; all attributes that it
    sets are set here (a test compares the two).

    Attributes:
        compiles: name of what a step computes (``function_of``) if it is to be compiled or captured, else None.
        computed: how the steps of the fit are computed.

    Args:
        potential: the network to train.
        phase: optimizer and schedule.
        losses: LNNP's hyperparameters that say how the loss is put together.
        rotate: seed of the random rotations of training frames, a new one for each frame and step; None without.
    """

    def __init__(self, potential: Potential, phase: Phase, losses: dict[str, Any], rotate: int | None = None) -> None:
        LightningModule.__init__(self)
        self.save_hyperparameters(
            {
                "charge": False,
                "spin": False,
                "derivative": True,
                "precision": 32,
                "lr": phase.lr,
                "lr_min": phase.lr_min,
                "lr_warmup_steps": 0,
                "weight_decay": phase.weight_decay,
                "ema_alpha_y": 1.0,
                "ema_alpha_neg_dy": 1.0,
                "train_loss_arg": {},
                **losses,
            }
        )
        self.model = potential
        self._rotate = rotate
        self.ema = None
        self._reset_ema_dict()
        self.losses = None
        self._reset_losses_dict()
        self.data_transform = SinglePrecision(dtype=torch.float32)
        self.train_loss_fn = LossFunction(loss_class_mapping[self.hparams.train_loss])
        self.compiles: str | None = None
        self.computed = Computed("eager")
        self._faster: CheckedStep | None = None
        self._watch = Watch()

    @property
    def search(self) -> Search | None:
        """What finds the neighbours that can be kept for each frame; None if the network searches by itself."""
        potential = self.model
        if not isinstance(potential, GraphPotential):
            return None

        def search(pos: Tensor, batch: Tensor, box: Tensor | None) -> Graph:
            device = next(potential.parameters()).device
            found = potential.graph(pos.to(device), batch.to(device), None if box is None else box.to(device), None)
            return Graph(found.edges.to(pos.device), found.shifts.to(pos.device))

        return search

    def on_train_start(self) -> None:
        """Compile or capture the step if asked for: before the first epoch, whose seconds are those of training."""
        super().on_train_start()
        if self.compiles is not None:
            self._faster, self.computed = prepare_step(
                self.model, self.compiled_name, self.compiles, self._first_inputs
            )

    def on_train_end(self) -> None:
        """Let go of what was compiled or captured: it holds memory, and the weights move."""
        super().on_train_end()
        self._faster = None

    @property
    def compiled_name(self) -> str:
        """Which function of a `GraphPotential` a training step calls."""
        return "predict"

    def _first_inputs(self) -> tuple[Any, ...]:
        """z, pos, batch, box and ``extra_args`` of a first training batch, on the device."""
        raise NotImplementedError

    def _first_batch(self) -> Batch:
        return self.data_transform(self.trainer.datamodule.first_batch().to(self.device))

    def forward(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor | None = None,
        box: Tensor | None = None,
        q: Tensor | None = None,
        s: Tensor | None = None,
        extra_args: dict[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The potential's energies and forces, compiled if the step is; each process computes its part of the batch."""
        batch = torch.zeros_like(z) if batch is None else batch
        return in_parts(self._predict, z, pos, batch, box, extra_args or {})

    def _predict(
        self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, extra_args: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        if self._faster is None or not self.training:
            return self.model(z, pos, batch=batch, box=box, extra_args=extra_args)
        return self._faster(z, pos, batch, box, extra_args)

    def configure_optimizers(self) -> Any:
        """AdamW with a half-cosine schedule per optimizer step."""
        # Fused: one call for all parameters instead of a dozen for each; small networks feel the difference.
        optimizer = AdamW(self.parameters(), lr=self.hparams.lr, weight_decay=self.hparams.weight_decay, fused=True)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = LambdaLR(optimizer, lambda step: half_cosine(step, steps, self.hparams.lr, self.hparams.lr_min))
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a training batch.

        Raises:
            Diverged: if it is NaN or infinite.
        """
        loss = self.batch_loss(batch, batch_idx, "train")
        self._watch.note(loss, self.global_step, self.current_epoch)
        return loss

    def turned(self, batch: Data, frames: int, stage: str) -> Data:
        """A training batch of so many frames, if asked for with a rotation for each, a function of seed and step."""
        if stage != "train" or self._rotate is None:
            return batch
        seed = stream_seed(self._rotate, "rotation", self.global_step)
        rotations = random_rotations(frames, Generator(batch.pos.device).manual_seed(seed))
        return batch.update({ROTATION: rotations})

    def on_validation_start(self) -> None:
        """Validation ends an epoch: nothing is saved after a training loss that is not finite."""
        self._watch.check(self.current_epoch)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of all gradients, in few calls: Lightning's own takes two for each parameter on a CPU."""
        if gradient_clip_val is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val, foreach=True)

    def validation_step(self, batch: Batch, batch_idx: int, *args: Any) -> Tensor:
        """Loss of a validation batch; the training loss is the criterion for the best checkpoint."""
        return self.batch_loss(batch, batch_idx, "val")

    def log_validation_loss(self, loss: float) -> None:
        """Make the criterion for the best checkpoint known as ``val_loss``.

        Raises:
            Diverged: if it is NaN or infinite, as after a last update that broke the weights.
        """
        if not math.isfinite(loss):
            raise Diverged("validation", loss, self.global_step, self.current_epoch)
        self.log("val_loss", loss)

    def batch_loss(self, batch: Batch, batch_idx: int, stage: str) -> Tensor:
        """Training loss of a batch; also adds to the exact means of its stage."""
        raise NotImplementedError

    def curve_values(self) -> dict[tuple[str, str], float]:
        """Value of each (split, metric) over the epoch that just ended; resets the sums."""
        raise NotImplementedError
