"""What pretraining learns; as a rule a pretext: a corruption of structures whose undoing needs no label."""

from __future__ import annotations

import abc
from typing import ClassVar

from torch import Generator, Tensor, nn
from torch_geometric.data import Batch, Data

from tasks.options.models import Head
from tasks.options.pretexts import PretextConfig, PretrainingConfig


class PretrainingTask(abc.ABC):
    """What a network learns before finetuning, and of which structures.

    Class attributes:
        kind: the name in suites.
        Config: the options, validated before anything is built; they say whether labels are needed.
        keeps_graph: True for a pretext that moves no atom and passes a batch's graph (``tasks.models.graph``) on,
            without the atoms that it removes. Others are given none, and neighbours are searched after the corruption.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    Config: ClassVar[type[PretrainingConfig]]
    keeps_graph: ClassVar[bool] = False

    config: PretrainingConfig

    @property
    def vectors(self) -> Head | None:
        """Which of the network's own vectors are trained, as the option ``head`` says; None with another head."""
        return self.config.head if isinstance(self.config, PretextConfig) else None

    @property
    def requirement(self) -> str:
        """What a structure must have for the task to apply to it, in words for messages."""
        return "a structure"

    def applies_to(self, sample: Data) -> bool:
        """Whether the task can be applied to a structure; those where it cannot are left out of pretraining."""
        return True

    def caution(self, sample: Data) -> str | None:
        """What to know where the task can be applied to a structure and may not be meant for such; for `data check`."""
        return None


class Pretext(PretrainingTask):
    """Corrupts a whole batch at once, on its device, and scores the network's answer."""

    @abc.abstractmethod
    def corrupt(self, batch: Batch, generator: Generator) -> Data:
        """A corrupted copy of a batch with its targets.

        Args:
            batch: samples as collated by PyG; their labels, if any, are neither read nor passed on.
            generator: source of all randomness, on the batch's device.

        Returns:
            z, pos, batch, box of the structures that the network sees, what else it may see, and the targets.
        """

    @abc.abstractmethod
    def loss(self, prediction: Tensor, batch: Data) -> Tensor:
        """Scalar loss of predicted vectors (N, 3), or of what the pretext's own head answers, for a corrupted batch."""


class HeadedPretext(Pretext):
    """A pretext whose answer is no vector that the network has: it brings a head of its own.

    The head reads the network's features of the atoms (``Potential.features``) and answers for atoms, pairs of them or
    structures, with as many numbers as it likes. It is trained with the body and left behind: finetuning starts with
    the body and the readout's initial weights, whatever a strategy's ``transfer``.
    """

    @property
    def vectors(self) -> None:
        """None of the network's vectors is trained."""
        return None

    @abc.abstractmethod
    def head(self, width: int) -> nn.Module:
        """A new head; its initial weights come from torch's global generator, which the engine seeds.

        Args:
            width: of the features of an atom.

        Returns:
            What is called with features (N, width) and the corrupted batch; its result is what ``loss`` scores.
        """
