"""What every potential of the suite is: TorchMD-Net's call signature plus the vectors that a pretext reads."""

from __future__ import annotations

import abc
from typing import ClassVar

import torch
from torch import Tensor, nn

from tasks.options.models import Head, PotentialConfig

MASK_LABEL = "mask_label"
"""Key in ``extra_args`` (and in a batch) of the (N,) int64 labels: 1 at atoms next to a masked one, else 0."""

ROTATION = "rotation"
"""Key in ``extra_args`` (and in a batch) of (B, 3, 3) rotations: networks that are not equivariant see each sample
turned by its own, and turn their forces back. Boxes stay as they are, which the neighbour search asks for."""


class Potential(nn.Module, abc.ABC):
    """A neural network potential in normalised units, with TorchMD-Net's signature.

    Energies and forces are those of the normalised targets (see ``tasks.normalisation``): dimensionless
    energy, force in 1/Å.

    Class attributes:
        kind: the name in suites.
        Config: the options, validated before anything is built.
        heads: the per-atom vectors that a pretext may read.
        conservative: True where forces are minus the gradient of the energy.
        readout_modules: names of the submodules that turn node embeddings into energies and forces; all else is the
            body. Declared by potentials that arms may take over in part (a strategy's ``transfer``); none is "cannot".
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    Config: ClassVar[type[PotentialConfig]]
    heads: ClassVar[tuple[Head, ...]]
    conservative: ClassVar[bool]
    readout_modules: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
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
        """Energy and forces of a batch of B samples with N atoms in all.

        Args:
            z: atomic numbers, (N,) int64.
            pos: positions in Å, (N, 3).
            batch: sample of each atom, (N,) int64; None for a single sample.
            box: box vectors as rows in Å, (B, 3, 3), possibly another box for each sample; None if not periodic.
            q: total charges, accepted for TorchMD-Net's sake, unused.
            s: total spins, likewise.
            extra_args: may hold ``mask_label``.

        Returns:
            Energies (B, 1) and forces (N, 3).
        """

    def coordinate_output(
        self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, extra_args: dict[str, Tensor]
    ) -> Tensor:
        """The network's own displacement of each atom, (N, 3) in Å; of networks with the head ``coordinate``."""
        raise NotImplementedError(f"{type(self).__name__} has no head 'coordinate'; it has {', '.join(self.heads)}")

    @property
    def feature_width(self) -> int | None:
        """Number of features of an atom, which a pretext's own head may read; None for a network that offers none."""
        return None

    def features(
        self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, extra_args: dict[str, Tensor]
    ) -> Tensor:
        """What the body knows of each atom, (N, ``feature_width``), before any readout: as invariant as the energy."""
        raise NotImplementedError(f"{type(self).__name__} offers no features of atoms")

    def vectors(
        self,
        head: Head,
        z: Tensor,
        pos: Tensor,
        batch: Tensor,
        box: Tensor | None,
        extra_args: dict[str, Tensor],
    ) -> Tensor:
        """The per-atom vectors (N, 3) that a pretext trains: predicted forces or displacements."""
        if head == "force":
            return self(z, pos, batch=batch, box=box, extra_args=extra_args)[1]
        return self.coordinate_output(z, pos, batch, box, extra_args)

    def body(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The part of a state that is not the readout's."""
        prefixes = tuple(f"{name}." for name in self.readout_modules)
        return {name: value for name, value in state.items() if not name.startswith(prefixes)}

    def scale_output(self, factor: float) -> None:
        """Multiply energies and forces by a factor.

        Done in the last linear layer of each readout module, of which they are a linear function; a potential whose
        outputs are not has to say how.
        """
        for name in self.readout_modules:
            last = [module for module in self.get_submodule(name).modules() if isinstance(module, nn.Linear)][-1]
            with torch.no_grad():
                for parameter in last.parameters():
                    parameter.mul_(factor)


class MaskEmbedding(nn.Embedding):
    """A learned vector for mask label 1; that of label 0 is exactly zero.

    Unmasked atoms in pretraining and all atoms in finetuning therefore see the same embedding
    (``padding_idx`` keeps label 0 at zero, gradient included).
    """

    def __init__(self, hidden: int) -> None:
        super().__init__(2, hidden, padding_idx=0)

    def added_to(self, h: Tensor, extra_args: dict[str, Tensor] | None) -> Tensor:
        """Node embeddings (N, hidden), with those of the mask labels added if there are any."""
        if extra_args is None or MASK_LABEL not in extra_args:
            return h
        return h + self(extra_args[MASK_LABEL])


class AtomEmbedding(nn.Module):
    """Species embedding plus the mask embedding."""

    def __init__(self, max_z: int, hidden: int) -> None:
        super().__init__()
        self.species = nn.Embedding(max_z, hidden)
        self.mask = MaskEmbedding(hidden)

    def forward(self, z: Tensor, extra_args: dict[str, Tensor] | None) -> Tensor:
        """Node embeddings (N, hidden) of atomic numbers (N,), with mask labels if there are any."""
        return self.mask.added_to(self.species(z), extra_args)


def count_samples(batch: Tensor, box: Tensor | None) -> int:
    """Number of samples in a batch of atoms."""
    if box is not None and box.dim() == 3 and box.shape[0] > 1:
        return box.shape[0]
    return int(batch.max()) + 1


def conservative_forces(energy: Tensor, pos: Tensor, training: bool) -> Tensor:
    """Forces −∂E/∂x (N, 3) of energies (B, 1); differentiable again when training."""
    (gradient,) = torch.autograd.grad(
        [energy], [pos], grad_outputs=[torch.ones_like(energy)], create_graph=training, retain_graph=training
    )
    assert gradient is not None
    return -gradient
