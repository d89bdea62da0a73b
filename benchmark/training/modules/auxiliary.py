"""A pretext that finetuning goes on with: Noisy Nodes and its like."""

from __future__ import annotations

from torch import Generator, Tensor
from torch_geometric.data import Batch

from benchmark.planning.config import Finetune
from benchmark.streams import stream_seed
from benchmark.training.modules.finetuning import FinetuneModule
from benchmark.training.modules.heads import answer, fresh_head, seen_by_network
from tasks.models.base import Potential
from tasks.pretexts.base import Pretext


class AuxiliaryModule(FinetuneModule):
    """Finetuning whose training loss has a weighted pretext loss beside those of energies and forces.

    The pretext sees a corrupted copy of each training batch in a second forward; energies and forces are fitted on the
    frames as they are, whose labels they are. (Zaidi et al., arXiv 2206.00133, fit both on the noisy copy.) Validation,
    and what curves call loss, are without it, as in all other arms.

    Args:
        potential: the network, fresh or pretrained.
        phase: optimizer, schedule, loss and its weights.
        scale_eV: the normalisation's scale, for errors in physical units.
        pretext: corrupts batches and scores predictions.
        weight: of its loss.
        seed: the cell's seed.
        rotate: as in ``PotentialModule``.
    """

    def __init__(
        self,
        potential: Potential,
        phase: Finetune,
        scale_eV: float,
        pretext: Pretext,
        weight: float,
        seed: int,
        rotate: int | None = None,
    ) -> None:
        super().__init__(potential, phase, scale_eV, rotate)
        self._pretext = pretext
        self._weight = weight
        self._seed = seed
        self.head = fresh_head(pretext, potential, seed)

    def batch_loss(self, batch: Batch, batch_idx: int, stage: str) -> Tensor:
        """The finetuning loss; in training also the pretext's."""
        loss = super().batch_loss(batch, batch_idx, stage)
        if stage != "train":
            return loss
        generator = Generator(batch.pos.device).manual_seed(stream_seed(self._seed, "auxiliary", self.global_step))
        corrupted = self.data_transform(self._pretext.corrupt(batch, generator))
        corrupted = self.turned(corrupted, batch.num_graphs, stage)
        seen = seen_by_network(corrupted, batch)
        prediction = answer(self._pretext, self.model, self.head, seen, corrupted)
        return loss + self._weight * self._pretext.loss(prediction, corrupted)
