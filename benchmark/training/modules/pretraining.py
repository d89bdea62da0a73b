"""A pretext in LNNP's loop."""

from __future__ import annotations

from typing import Any

from torch import Generator, Tensor
from torch_geometric.data import Batch, Data

from benchmark.planning.config import Phase
from benchmark.streams import Stream, stream_seed
from benchmark.training.batches import Search
from benchmark.training.modules.heads import answer, fresh_head, seen_by_network
from benchmark.training.modules.metrics import ExactMean
from benchmark.training.modules.potential import PotentialModule
from benchmark.training.steps.functions import called
from benchmark.training.steps.parts import in_parts
from tasks.models.base import Potential
from tasks.pretexts.base import Pretext


class PretrainModule(PotentialModule):
    """A pretext in LNNP's loop.

    The corruption of a training batch is a function of seed and step, that of a validation batch of seed and place:
    resuming changes nothing, and validation losses of different epochs can be compared. A head of the pretext's own is
    trained with the potential, kept in checkpoints, and left behind.

    Args:
        potential: the network to pretrain.
        phase: optimizer and schedule.
        pretext: corrupts batches and scores predictions.
        seed: the cell's seed.
        rotate: see ``PotentialModule``.
    """

    def __init__(
        self, potential: Potential, phase: Phase, pretext: Pretext, seed: int, rotate: int | None = None
    ) -> None:
        # The loss is the pretext's; LNNP is told of one only because it asks.
        super().__init__(potential, phase, {"train_loss": "mse_loss", "y_weight": 0.0, "neg_dy_weight": 0.0}, rotate)
        self._pretext = pretext
        self._seed = seed
        self.head = fresh_head(pretext, potential, seed)
        self._reset_sums()

    def _reset_sums(self) -> None:
        self._loss_means = {"train": ExactMean(), "val": ExactMean()}

    def batch_loss(self, batch: Batch, batch_idx: int, stage: str) -> Tensor:
        """Corrupt the batch, let the potential predict, score it."""
        stream: Stream = "corruption" if stage == "train" else "corruption-validation"
        counter = self.global_step if stage == "train" else batch_idx
        corrupted = self.turned(self._corrupt(batch, stream, counter), batch.num_graphs, stage)
        loss = self._pretext.loss(self._answer(corrupted, batch), corrupted)
        self._loss_means[stage].update(loss, batch.num_graphs)
        return loss

    @property
    def search(self) -> Search | None:
        """See ``PotentialModule.search``; graphs are kept only for a pretext that passes them on."""
        return super().search if self._pretext.keeps_graph else None

    @property
    def compiled_name(self) -> str:
        """See ``PotentialModule.compiled_name``."""
        return called(self._pretext)

    def _first_inputs(self) -> tuple[Any, ...]:
        """See ``PotentialModule._first_inputs``."""
        batch = self._first_batch()
        corrupted = self.turned(self._corrupt(batch, "corruption", 0), batch.num_graphs, "train")
        return seen_by_network(corrupted, batch)

    def _corrupt(self, batch: Batch, stream: Stream, counter: int) -> Data:
        generator = Generator(batch.pos.device).manual_seed(stream_seed(self._seed, stream, counter))
        return self.data_transform(self._pretext.corrupt(batch, generator))

    def _answer(self, corrupted: Data, batch: Batch) -> Tensor:
        """What the pretext scores. Of a compiled step a head of its own is no part."""
        seen = seen_by_network(corrupted, batch)
        if self._faster is None or not self.training:
            return answer(self._pretext, self.model, self.head, seen, corrupted)
        found = in_parts(self._faster, *seen)
        if self.head is not None:
            found = self.head(found, corrupted)
        return found[1] if self.compiled_name == "predict" else found

    def on_validation_epoch_end(self) -> None:
        """The pretext loss on validation frames as ``val_loss``: batch means weighted by their frames."""
        self.log_validation_loss(self._loss_means["val"].compute())

    def on_train_epoch_end(self) -> None:
        """Nothing: LNNP would log losses that this module does not have."""

    def curve_values(self) -> dict[tuple[str, str], float]:
        """Pretext losses on training and validation frames; resets the sums."""
        values = {(stage, "loss"): mean.compute() for stage, mean in self._loss_means.items()}
        self._reset_sums()
        return values
