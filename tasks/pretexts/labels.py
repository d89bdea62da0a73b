"""Supervised pretraining: energies and forces, of the cell's own frames or of a cheaper level of theory."""

from __future__ import annotations

from typing import ClassVar

from torch_geometric.data import Data

from tasks.options.pretexts import LabelsConfig, PretrainingConfig
from tasks.pretexts.base import PretrainingTask


class Labels(PretrainingTask):
    """The labels that structures have are learned, as finetuning does, in units of their own training frames' forces.

    With ``energy_weight`` 0 on the cell's own labelled frames this is a warm-up on forces alone: what pretraining costs
    is spent without any pretext. With another level's labels it is the usual transfer from a cheap level of theory.
    """

    kind: ClassVar[str] = "labels"
    title: ClassVar[str] = "training on labels"
    Config: ClassVar[type[PretrainingConfig]] = LabelsConfig

    def __init__(self, config: LabelsConfig) -> None:
        self.config: LabelsConfig = config

    @property
    def requirement(self) -> str:
        """See `PretrainingTask.requirement`."""
        return "an energy and forces"

    def applies_to(self, sample: Data) -> bool:
        """Whether a structure has labels."""
        return "y" in sample and "neg_dy" in sample
