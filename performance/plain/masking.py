"""Hydrogen masking as a plain research code has it: sample by sample, molecule by molecule, in the data loader.

In each structure ``max(1, round(ratio × M))`` of its M molecules, chosen at random, lose one random hydrogen; the
atoms left in them have label 1 and point, with a unit vector by minimum image, to where it was (arXiv 2402.15921,
section 2.2).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

HYDROGEN = 1


class Masked(NamedTuple):
    """A structure with what it lost.

    Attributes:
        data: z, pos, box, mask_label (N,) and target (N, 3) of the atoms that are left.
        removed: indices of the others.
    """

    data: Data
    removed: list[int]


def mask(sample: Data, ratio: float, draw: random.Random) -> Masked:
    """A masked copy of one structure of molecules."""
    z, molecule = sample.z.tolist(), sample.molecule.tolist()
    positions = sample.pos.numpy()
    box = sample.box[0].numpy() if "box" in sample else None
    members: dict[int, list[int]] = {}
    for atom, number in enumerate(molecule):
        members.setdefault(number, []).append(atom)
    able = [atoms for atoms in members.values() if len(atoms) > 1 and any(z[a] == HYDROGEN for a in atoms)]
    removed = []
    label, target = [0] * len(z), np.zeros((len(z), 3), dtype=positions.dtype)
    for atoms in draw.sample(able, max(1, round(ratio * len(able)))):
        gone = draw.choice([a for a in atoms if z[a] == HYDROGEN])
        removed.append(gone)
        for atom in atoms:
            if atom != gone:
                vector = positions[gone] - positions[atom]
                if box is not None:
                    vector = vector - np.round(vector @ np.linalg.inv(box)) @ box
                label[atom], target[atom] = 1, vector / np.linalg.norm(vector)
    lost = set(removed)
    kept = [atom for atom in range(len(z)) if atom not in lost]
    data = Data(
        z=sample.z[kept],
        pos=sample.pos[kept],
        mask_label=torch.tensor(label)[kept],
        target=torch.from_numpy(target)[kept],
    )
    if box is not None:
        data.box = sample.box
    return Masked(data, removed)


class MaskedStructures(torch.utils.data.Dataset):
    """Structures that are masked anew whenever one is asked for."""

    def __init__(self, samples: Sequence[Data], ratio: float) -> None:
        self._samples, self._ratio, self._draw = samples, ratio, random.Random(0)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Any:
        return mask(self._samples[index], self._ratio, self._draw).data


def masked_batch(samples: Sequence[Data], ratio: float) -> Batch:
    """One batch of all samples, as the data loader gives it."""
    return next(iter(DataLoader(MaskedStructures(samples, ratio), batch_size=len(samples))))


def direction_loss(prediction: Tensor, batch: Batch) -> Tensor:
    """1 − cosine similarity of predicted and true directions, mean over labelled atoms."""
    labelled = batch.mask_label > 0
    return (1 - torch.cosine_similarity(prediction[labelled], batch.target[labelled], dim=1)).mean()
