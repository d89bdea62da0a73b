"""Atom masking (Masked Pretraining Strategy for Neural Potentials, arXiv 2402.15921, section 2.2)."""

from __future__ import annotations

from typing import ClassVar

import torch
from ase.data import atomic_numbers
from torch import Generator, Tensor
from torch.nn.functional import cosine_similarity
from torch_geometric.data import Batch, Data
from torch_geometric.utils import scatter

from tasks.geometry import minimum_image
from tasks.models.graph import EDGES, SHIFTS, Graph
from tasks.options.pretexts import MaskingConfig, PretrainingConfig
from tasks.pretexts.base import Pretext

DENSE_PER_A3 = 0.02
"""Atoms/Å³ above which a box holds matter, and no molecule in a vacuum; argon at its melting point has 0.021."""


class Masking(Pretext):
    """Remove atoms, in the paper hydrogens; atoms that stay point to where they were.

    What is removed leaves no position, no species and no edge in the input. Atoms that are asked for a direction carry
    mask label 1 and predict the unit vector of the displacement (minimum image) to one removed atom. "Maskable" are the
    atoms of the masked ``species``. The option ``target`` says what is removed and who points:

    * ``molecule``: in each sample ``max(1, round(ratio × M))`` of its M molecules that have a maskable and another atom
      lose one maskable atom each; the molecule's other atoms point to it.
    * ``bonded``: the same with sites in the place of molecules: a heavy atom with its hydrogens loses one of these, and
      the heavy atom alone points to it.
    * ``farthest``: in molecules that have a maskable and another atom each maskable one is removed with probability
      ``ratio``, at least one in a sample; every atom left in a molecule points to the farthest that the molecule lost.

    With ``directions`` random the same atoms are asked for random directions: nothing can be learned of the structures.
    """

    kind: ClassVar[str] = "masking"
    title: ClassVar[str] = "atom masking"
    Config: ClassVar[type[PretrainingConfig]] = MaskingConfig
    keeps_graph: ClassVar[bool] = True

    def __init__(self, config: MaskingConfig) -> None:
        self.config: MaskingConfig = config
        self._species = torch.tensor([atomic_numbers[symbol] for symbol in config.species])
        self._group = "site" if config.target == "bonded" else "molecule"

    @property
    def requirement(self) -> str:
        """See `PretrainingTask.requirement`."""
        species = " or ".join(self.config.species)
        return {
            "molecule": f"a molecule with an atom of {species} and another atom",
            "bonded": "a heavy atom with a hydrogen of its own",
            "farthest": f"a molecule with an atom of {species} and an atom of another element",
        }[self.config.target]

    def applies_to(self, sample: Data) -> bool:
        """Whether an atom can be masked: not in structures where it is not known what belongs together."""
        return self._group in sample and bool(self._eligible(self._maskable(sample.z), sample[self._group]).any())

    def caution(self, sample: Data) -> str | None:
        """See `PretrainingTask.caution`: in a crystal bonds have no end."""
        if self.config.target == "bonded" or "box" not in sample:
            return None
        largest, atoms = int(torch.bincount(sample.molecule).max()), len(sample.z)
        if 2 * largest <= atoms or atoms < DENSE_PER_A3 * float(torch.linalg.det(sample.box[0])):
            return None
        removed = "one atom is removed" if self.config.target == "molecule" else "atoms are removed"
        return (
            f"bonds connect {largest} of {atoms} atoms, as in a crystal, which counts as one molecule: {removed}, and "
            f"all others point there, however far it is. Where there are no molecules, denoising and "
            f"distance-denoising ask about each atom"
        )

    def corrupt(self, batch: Batch, generator: Generator) -> Data:
        """Structures without the masked atoms, with ``mask_label`` (N,) and unit ``target`` (N, 3).

        Where the label is 0 the target is zero and not part of the loss.
        """
        group, sample_of_group = _number_groups(batch, self._group)
        maskable = self._maskable(batch.z)
        eligible = self._eligible(maskable, group)
        box = batch.box if "box" in batch else None
        if self.config.target == "farthest":
            removed = self._drop_atoms(maskable & eligible[group], batch.batch, batch.num_graphs, generator)
            partner = _farthest_removed(batch, group, removed, box)
        else:
            chosen = self._choose_groups(eligible, sample_of_group, batch.num_graphs, generator)
            removed = _choose_atoms(maskable & chosen[group], group, generator)
            gone = removed.nonzero().squeeze(1)
            removed_of = torch.full_like(sample_of_group, -1)
            removed_of[group[gone]] = gone
            partner = removed_of[group]
        points = ~maskable if self.config.target == "bonded" else ~removed
        labelled = (partner >= 0) & points

        target = torch.zeros_like(batch.pos)
        displacement = _displacements(batch, labelled.nonzero().squeeze(1), partner[labelled], box)
        if self.config.directions == "random":
            # The last draw: what is removed is what masking proper removes, and normal vectors have no direction.
            displacement = torch.randn(
                displacement.shape, generator=generator, device=target.device, dtype=target.dtype
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
        if EDGES in batch:
            corrupted[EDGES], corrupted[SHIFTS] = Graph(batch[EDGES], batch[SHIFTS]).without(removed)
        return corrupted

    def loss(self, prediction: Tensor, batch: Data) -> Tensor:
        """1 − cosine similarity of predicted and true directions, or their squared distance, over labelled atoms.

        Each is 1 for what is not correlated with the directions, if its vectors are short.
        """
        labelled = batch.mask_label > 0
        predicted, target = prediction[labelled], batch.target[labelled]
        if self.config.loss == "vector":
            return (predicted - target).square().sum(1).mean()
        if self.config.loss == "pooled":
            predicted, target = predicted.reshape(1, -1), target.reshape(1, -1)
        return (1 - cosine_similarity(predicted, target, dim=1)).mean()

    def _maskable(self, z: Tensor) -> Tensor:
        return torch.isin(z, self._species.to(z.device))

    def _eligible(self, maskable: Tensor, group: Tensor) -> Tensor:
        """Which molecules or sites have an atom that may be masked and one that stays, (M,) bool."""
        candidates = scatter(maskable.long(), group, reduce="sum")
        atoms = scatter(torch.ones_like(group), group, reduce="sum")
        # Where one atom goes, another of its species may stay behind.
        others = atoms > 1 if self.config.target == "molecule" else atoms > candidates
        return (candidates > 0) & others

    def _choose_groups(self, eligible: Tensor, sample_of_group: Tensor, samples: int, generator: Generator) -> Tensor:
        """Which molecules or sites of the batch lose an atom, (M,) bool, an exact number in each sample."""
        available = scatter(eligible.long(), sample_of_group, dim_size=samples, reduce="sum")
        wanted = torch.minimum((self.config.ratio * available.double()).round().long().clamp(min=1), available)
        # Sort by (sample, random number), eligible groups first; the first `wanted` of each sample are chosen.
        score = torch.rand(len(eligible), generator=generator, device=eligible.device) + (~eligible).float()
        order = torch.argsort(sample_of_group * 2.0 + score.double())
        first = torch.searchsorted(sample_of_group, torch.arange(samples, device=order.device))
        chosen = torch.zeros_like(eligible)
        rank = torch.arange(len(order), device=order.device) - first[sample_of_group[order]]
        chosen[order] = rank < wanted[sample_of_group[order]]
        return chosen

    def _drop_atoms(self, candidate: Tensor, sample: Tensor, samples: int, generator: Generator) -> Tensor:
        """Each candidate (N,) with probability ``ratio``, in every sample that has any at least one; (N,) bool."""
        draw = torch.rand(len(candidate), generator=generator, device=candidate.device)
        lowest = scatter(draw.masked_fill(~candidate, torch.inf), sample, dim_size=samples, reduce="min")
        return candidate & ((draw < self.config.ratio) | (draw == lowest[sample]))


def _number_groups(batch: Batch, field: str) -> tuple[Tensor, Tensor]:
    """Molecule (or site) of each atom numbered through the batch (N,), and the sample of each (M,), ascending."""
    stride = int(batch[field].max()) + 1
    unique, group = torch.unique(batch.batch * stride + batch[field], return_inverse=True)
    return group, unique // stride


def _choose_atoms(candidate: Tensor, group: Tensor, generator: Generator) -> Tensor:
    """One random atom among the candidates (N,) bool of each molecule or site that has any, (N,) bool."""
    candidates = candidate.nonzero().squeeze(1)
    shuffled = candidates[torch.randperm(len(candidates), generator=generator, device=group.device)]
    # Of the candidates of a group the last in random order wins: exactly one, uniformly.
    removed = torch.zeros_like(candidate)
    removed[shuffled[_last_of_each(group[shuffled])]] = True
    return removed


def _last_of_each(group: Tensor) -> Tensor:
    """Which entries are the last of their group (P,), (P,) bool."""
    position = torch.arange(len(group), device=group.device)
    return scatter(position, group, reduce="max")[group] == position


def _farthest_removed(batch: Batch, molecule: Tensor, removed: Tensor, box: Tensor | None) -> Tensor:
    """For each atom the farthest removed atom of its molecule (minimum image), (N,); -1 where there is none."""
    kept = (~removed).nonzero().squeeze(1)
    gone = removed.nonzero().squeeze(1)
    gone = gone[torch.argsort(molecule[gone], stable=True)]
    lost = scatter(torch.ones_like(gone), molecule[gone], dim_size=int(molecule.max()) + 1, reduce="sum")
    first = lost.cumsum(0) - lost
    # All pairs of a kept and a removed atom of one molecule, those of a kept atom in a row.
    partners = lost[molecule[kept]]
    atom = kept.repeat_interleave(partners)
    rank = torch.arange(len(atom), device=atom.device) - (partners.cumsum(0) - partners).repeat_interleave(partners)
    other = gone[first[molecule[atom]] + rank]
    distance = _displacements(batch, atom, other, box).norm(dim=1)
    longest = scatter(distance, atom, dim_size=batch.num_nodes, reduce="max")
    farthest = distance == longest[atom]
    atom, other = atom[farthest], other[farthest]
    one = _last_of_each(atom)  # of equally far ones
    partner = torch.full_like(molecule, -1)
    partner[atom[one]] = other[one]
    return partner


def _displacements(batch: Batch, start: Tensor, end: Tensor, box: Tensor | None) -> Tensor:
    """Vectors (P, 3) in Å from atoms `start` to atoms `end`, by minimum image."""
    return minimum_image(batch.pos[end] - batch.pos[start], None if box is None else box[batch.batch[start]])
