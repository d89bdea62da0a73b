"""TorchMD-Net's own architectures as potentials of the suite, built by its ``create_model``.

They know no mask label. A labelled atom is therefore given the number of a second copy of its species
(z + ``max_z``), whose embedding begins as that of the species itself: label 0 changes nothing.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torchmdnet.models.model import create_model

from tasks.models.base import MASK_LABEL, Potential
from tasks.options.models import AttentionConfig, ChargeConfig, Head, PotentialConfig, TorchMDNetConfig


class TorchMDNet(Potential):
    """A potential around one of TorchMD-Net's architectures; ``kind`` is the name that ``create_model`` knows."""

    Config: ClassVar[type[PotentialConfig]] = TorchMDNetConfig
    heads: ClassVar[tuple[Head, ...]] = ("force",)
    conservative: ClassVar[bool] = True
    readout_modules: ClassVar[tuple[str, ...]] = ("network.output_model",)

    def __init__(self, config: TorchMDNetConfig) -> None:
        super().__init__()
        self.config = config
        self.network = create_model(
            {
                "model": self.kind,
                "precision": 32,
                "embedding_dimension": config.hidden,
                "num_layers": config.layers,
                "num_rbf": config.num_rbf,
                "rbf_type": "expnorm",
                "trainable_rbf": False,
                "activation": "silu",
                "attn_activation": "silu",
                "num_heads": getattr(config, "num_heads", None),
                "q_dim": getattr(config, "charge_channels", 0),
                "distance_influence": "both",
                "neighbor_embedding": True,
                "aggr": "add",
                "equivariance_invariance_group": "O(3)",
                "cutoff_lower": 0.0,
                "cutoff_upper": config.cutoff_A,
                "max_num_neighbors": config.max_neighbors,
                "max_z": 2 * config.max_z,
                "output_model": "Scalar",
                "reduce_op": "add",
                "derivative": True,
                "atom_filter": -1,
                "prior_model": None,
            }
        )
        for module in self.network.modules():
            if isinstance(module, nn.Embedding):
                plain, labelled = module.weight.data.split(config.max_z)
                labelled.copy_(plain)

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
        """Energies (B, 1) and forces (N, 3); see ``Potential.forward``."""
        z = self._labelled(z, extra_args)
        with torch.enable_grad():
            pos = pos if pos.requires_grad else pos.detach().requires_grad_(True)
            energy, forces = self.network(z, pos, batch=batch, box=box)
        return energy, forces

    @property
    def feature_width(self) -> int:
        """See ``Potential.feature_width``."""
        return self.config.hidden

    def features(
        self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, extra_args: dict[str, Tensor]
    ) -> Tensor:
        """The scalar features of the representation model; see ``Potential.features``."""
        scalars: Tensor = self.network.representation_model(self._labelled(z, extra_args), pos, batch, box=box)[0]
        return scalars

    def _labelled(self, z: Tensor, extra_args: dict[str, Tensor] | None) -> Tensor:
        """Atomic numbers (N,), those of labelled atoms of the second copy."""
        if extra_args is None or MASK_LABEL not in extra_args:
            return z
        return z + self.config.max_z * extra_args[MASK_LABEL]


class TensorNet(TorchMDNet):
    """TensorNet (Simeon and De Fabritiis 2023, arXiv 2306.06482)."""

    kind: ClassVar[str] = "tensornet"
    title: ClassVar[str] = "TensorNet"


class TensorNet2(TorchMDNet):
    """TensorNet with partial charges that each layer predicts and makes neutral (arXiv 2601.00581).

    The charges are features of the messages; TorchMD-Net's Coulomb energy between them is not added.
    """

    kind: ClassVar[str] = "tensornet2"
    title: ClassVar[str] = "TensorNet2"
    Config: ClassVar[type[PotentialConfig]] = ChargeConfig


class EquivariantTransformer(TorchMDNet):
    """TorchMD-Net's equivariant transformer (Thölke and De Fabritiis 2022, arXiv 2202.02541), deprecated there."""

    kind: ClassVar[str] = "equivariant-transformer"
    title: ClassVar[str] = "equivariant transformer"
    Config: ClassVar[type[PotentialConfig]] = AttentionConfig


class GraphNetwork(TorchMDNet):
    """TorchMD-Net's graph network, invariant like SchNet (Majewski et al. 2023, arXiv 2212.07492), deprecated there."""

    kind: ClassVar[str] = "graph-network"
    title: ClassVar[str] = "graph network"
