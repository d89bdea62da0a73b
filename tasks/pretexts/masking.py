"""Atom masking (Masked Pretraining Strategy for Neural Potentials, arXiv 2402.15921, section 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from ase.data import atomic_numbers
from pydantic import Field, field_validator
from torch import Generator, Tensor
from torch.nn.functional import cosine_similarity
from torch_geometric.data import Batch, Data
from torch_geometric.utils import scatter

from tasks.geometry import minimum_image
from tasks.pretexts.base import Pretext, PretextConfig, PretextError

if TYPE_CHECKING:
    from tasks.datasets.base import Dataset


class MaskingConfig(PretextConfig):
    """Options of masking."""

    ratio: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of each sample's molecules that lose an atom; at least one does.",
    )
    species: tuple[str, ...] = Field(
        ("H",),
        min_length=1,
        description="Chemical symbols of the atoms of which one is taken, each with the same chance.",
    )
    loss: Literal["mean", "pooled"] = Field(
        "mean",
        description="mean: 1 - cosine per atom, averaged. pooled: 1 - cosine of all predictions of a batch as one "
        "vector against all targets as one, the letter of the paper's equation 4.",
    )

    @field_validator("species")
    @classmethod
    def _elements(cls, species: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [symbol for symbol in species if not atomic_numbers.get(symbol)]
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no chemical symbols of elements; write H, O, ...")
        return tuple(sorted(set(species), key=lambda symbol: atomic_numbers[symbol]))


class Masking(Pretext):
    """Remove one atom, in the paper a hydrogen, from some molecules; the molecule's other atoms point to where it was.

    In each sample ``max(1, round(ratio × molecules))`` molecules are chosen, counted over those that have an atom
    of the masked ``species`` and at least one other. One such atom of each, chosen at random, is taken out of the
    input: no position, no species, no edge of it remains. The molecule's other atoms carry mask label 1 and predict
    the unit vector of the displacement to it (minimum image).
    """

    kind: ClassVar[str] = "masking"
    title: ClassVar[str] = "atom masking"
    Config: ClassVar[type[PretextConfig]] = MaskingConfig

    def __init__(self, config: MaskingConfig) -> None:
        self.config: MaskingConfig = config
        self._species = torch.tensor([atomic_numbers[symbol] for symbol in config.species])

    def check(self, dataset: Dataset) -> None:
        """Raise PretextError unless every sample has a molecule with an atom to mask and another one."""
        for number, sample in enumerate(dataset.samples):
            if not bool(_eligible(self._maskable(sample.z), sample.molecule).any()):
                raise PretextError(
                    f"masking needs a molecule with an atom of {', '.join(self.config.species)} and another atom in "
                    f"every structure; structure {number} has none (atomic numbers "
                    f"{sorted(set(sample.z.tolist()))}). Use another pretext or leave it out."
                )

    def _maskable(self, z: Tensor) -> Tensor:
        return torch.isin(z, self._species.to(z.device))

    def corrupt(self, batch: Batch, generator: Generator) -> Data:
        """Structures without the masked atoms, with ``mask_label`` (N,) and unit ``target`` (N, 3).

        Where the label is 0 the target is zero and not part of the loss.
        """
        molecule, sample_of_molecule = _number_molecules(batch)
        maskable = self._maskable(batch.z)
        eligible = _eligible(maskable, molecule)
        chosen = self._choose_molecules(eligible, sample_of_molecule, batch.num_graphs, generator)
        removed = _choose_atoms(maskable & chosen[molecule], molecule, generator)

        gone = removed.nonzero().squeeze(1)
        removed_of = torch.full_like(sample_of_molecule, -1)
        removed_of[molecule[gone]] = gone
        partner = removed_of[molecule]
        labelled = (partner >= 0) & ~removed
        target = torch.zeros_like(batch.pos)
        box = batch.box if "box" in batch else None
        displacement = minimum_image(
            batch.pos[partner[labelled]] - batch.pos[labelled],
            None if box is None else box[batch.batch[labelled]],
        )
        target[labelled] = displacement / displacement.norm(dim=1, keepdim=True)

        kept = ~removed
        corrupted = Data(
            z=batch.z[kept],
            pos=batch.pos[kept],
            batch=batch.batch[kept],
            mask_label=labelled[kept].long(),
            target=target[kept],
        )
        if box is not None:
            corrupted.box = box
        return corrupted

    def loss(self, prediction: Tensor, batch: Data) -> Tensor:
        """1 − cosine similarity of predicted and true directions over the labelled atoms."""
        labelled = batch.mask_label > 0
        predicted, target = prediction[labelled], batch.target[labelled]
        if self.config.loss == "pooled":
            predicted, target = predicted.reshape(1, -1), target.reshape(1, -1)
        return (1 - cosine_similarity(predicted, target, dim=1)).mean()

    def _choose_molecules(
        self, eligible: Tensor, sample_of_molecule: Tensor, samples: int, generator: Generator
    ) -> Tensor:
        """Which molecules of the batch lose an atom, (M,) bool, an exact number in each sample."""
        available = scatter(eligible.long(), sample_of_molecule, dim_size=samples, reduce="sum")
        wanted = torch.minimum((self.config.ratio * available).round().long().clamp(min=1), available)
        # Sort by (sample, random number), eligible molecules first; the first `wanted` of each sample are chosen.
        score = torch.rand(len(eligible), generator=generator, device=eligible.device) + (~eligible).float()
        order = torch.argsort(sample_of_molecule * 2.0 + score.double())
        first = torch.searchsorted(sample_of_molecule, torch.arange(samples, device=order.device))
        chosen = torch.zeros_like(eligible)
        rank = torch.arange(len(order), device=order.device) - first[sample_of_molecule[order]]
        chosen[order] = rank < wanted[sample_of_molecule[order]]
        return chosen


def _number_molecules(batch: Batch) -> tuple[Tensor, Tensor]:
    """Molecule of each atom numbered through the batch (N,), and the sample of each molecule (M,), ascending."""
    stride = int(batch.molecule.max()) + 1
    unique, molecule = torch.unique(batch.batch * stride + batch.molecule, return_inverse=True)
    return molecule, unique // stride


def _eligible(maskable: Tensor, molecule: Tensor) -> Tensor:
    """Which molecules have an atom that may be masked and at least one other atom, (M,) bool."""
    candidates = scatter(maskable.long(), molecule, reduce="sum")
    atoms = scatter(torch.ones_like(molecule), molecule, reduce="sum")
    return (candidates > 0) & (atoms > 1)


def _choose_atoms(candidate: Tensor, molecule: Tensor, generator: Generator) -> Tensor:
    """One random atom among the candidates (N,) bool of each molecule that has any, (N,) bool."""
    candidates = candidate.nonzero().squeeze(1)
    shuffled = candidates[torch.randperm(len(candidates), generator=generator, device=molecule.device)]
    # Of the candidates of a molecule the last in random order wins: exactly one, uniformly.
    position = torch.arange(len(shuffled), device=molecule.device)
    last = scatter(position, molecule[shuffled], dim_size=int(molecule.max()) + 1, reduce="max")
    removed = torch.zeros_like(candidate)
    removed[shuffled[last[molecule[shuffled]] == position]] = True
    return removed
