"""Pieces that several potentials are built of."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torchmdnet.models.utils import ExpNormalSmearing, OptimizedDistance

from tasks.options.models import PotentialConfig


def neighbour_search(config: PotentialConfig) -> OptimizedDistance:
    """TorchMD-Net's periodic neighbour search.

    Called with positions (N, 3), ``batch`` and ``box`` it returns edges (2, E) as (receiver, sender), distances (E,)
    and vectors receiver − sender (E, 3) by minimum image, each pair in both directions, in Å.
    """
    return OptimizedDistance(cutoff_upper=config.cutoff_A, max_num_pairs=-config.max_neighbors, return_vecs=True)


class NoCutoff(nn.Module):
    """In the place of a cutoff function: 1 at every distance."""

    def forward(self, distances: Tensor) -> Tensor:
        """Ones of the shape of the distances."""
        return torch.ones_like(distances)


def radial_basis(config: PotentialConfig, functions: int, cutoff: bool = True) -> ExpNormalSmearing:
    """TorchMD-Net's exponential-normal basis up to the cutoff: distances (E,) in Å to (E, functions).

    Args:
        config: has the cutoff.
        functions: their number.
        cutoff: whether the functions are multiplied by TorchMD-Net's cosine cutoff, which is part of that basis.
    """
    basis = ExpNormalSmearing(0.0, config.cutoff_A, functions, trainable=False)
    if not cutoff:
        basis.cutoff_fn = NoCutoff()
    return basis


class Linear(nn.Linear):
    """Linear map of rows, as torch's; what of it is no matrix product is left to the compiler in a compiled function.

    The bias, and maps from or to a single feature, are then written element by element and become part of the passes
    before and after them. As torch computes them they are passes of their own, and so are their derivatives.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(M, outputs) of (M, inputs)."""
        if not torch.compiler.is_compiling():
            return super().forward(x)
        if self.in_features == 1:
            y = x * self.weight.mT
        elif self.out_features == 1:
            y = (x * self.weight).sum(dim=1, keepdim=True)
        else:
            y = linear(x, self.weight)
        return y if self.bias is None else y + self.bias


class EdgeLinear(nn.Module):
    """Linear map of [h_receiver, h_sender, edge features] on every edge.

    The map is applied to nodes and edges apart and summed on edges: the same as on the concatenation, at a
    fraction of the cost.
    """

    def __init__(self, node_features: int, edge_features: int, out: int) -> None:
        super().__init__()
        self.receiver = Linear(node_features, out)
        self.sender = Linear(node_features, out, bias=False)
        self.edge = Linear(edge_features, out, bias=False)

    def forward(self, h: Tensor, edge_features: Tensor, receiver: Tensor, sender: Tensor) -> Tensor:
        """(E, out) of nodes (N, node_features), edges (E, edge_features) and their ends (E,)."""
        ends = self.receiver(h).index_select(0, receiver) + self.sender(h).index_select(0, sender)
        return ends + self.edge(edge_features)


def mlp(sizes: list[int], activation: Callable[[], nn.Module], norm: bool = False) -> nn.Sequential:
    """Linear layers of the given sizes with activations between them, and a LayerNorm at the end if asked for."""
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        layers += [activation()] if number else []
        layers.append(Linear(inputs, outputs))
    if norm:
        layers.append(nn.LayerNorm(sizes[-1]))
    return nn.Sequential(*layers)
