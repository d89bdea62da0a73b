"""GNS from its paper (Sanchez-Gonzalez et al. 2020, arXiv 2002.09405, sections 3.2 and 4.2), as a potential.

Encoder of nodes and edges, M steps e_ij ← e_ij + φ_e(h_i, h_j, e_ij) and h_i ← h_i + φ_v(h_i, Σ_j φ_e), decoder. MLPs
have two hidden layers with ReLU, and a LayerNorm at their end but for the decoder's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from performance.plain.basis import ExpNormal
from performance.plain.graph import add_up, neighbour_list


def two_hidden(inputs: int, hidden: int, outputs: int, norm: bool) -> nn.Sequential:
    """An MLP with two hidden layers."""
    layers: list[nn.Module] = [nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, outputs), *([nn.LayerNorm(outputs)] if norm else []))


def pooled_energy(h: Tensor, batch: Tensor, mlp: nn.Module) -> Tensor:
    """N · MLP(mean of the N embeddings of a structure), (B, 1)."""
    structures = int(batch.max()) + 1
    atoms = add_up(torch.ones_like(h[:, :1]), batch, structures)
    return atoms * mlp(add_up(h, batch, structures) / atoms)


class PlainGNS(nn.Module):
    """Energies and forces of GNS; arguments as the suite's options of the same names."""

    def __init__(
        self,
        cutoff: float,
        hidden: int,
        layers: int,
        species: int = 100,
        num_rbf: int | None = None,
        absolute_positions: bool = False,
    ) -> None:
        super().__init__()
        self.cutoff, self.absolute_positions = cutoff, absolute_positions
        self.species = nn.Embedding(species, hidden)
        self.mask = nn.Parameter(torch.randn(hidden))
        self.basis = ExpNormal(cutoff, num_rbf) if num_rbf else None
        self.encode_node = two_hidden(hidden + 3 * absolute_positions, hidden, hidden, norm=True)
        self.encode_edge = two_hidden(3 + (num_rbf or 1), hidden, hidden, norm=True)
        self.phi_e = nn.ModuleList(two_hidden(3 * hidden, hidden, hidden, norm=True) for _ in range(layers))
        self.phi_v = nn.ModuleList(two_hidden(2 * hidden, hidden, hidden, norm=True) for _ in range(layers))
        self.decode = two_hidden(hidden, hidden, 3, norm=False)
        self.energy = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(
        self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, mask_label: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Energies (B, 1) and forces (N, 3) of positions (N, 3) in Å."""
        i, j, shift = neighbour_list(pos, batch, box, self.cutoff)
        vectors = pos[i] - pos[j] + shift
        r = vectors.norm(dim=1, keepdim=True)
        h = self.species(z)
        if mask_label is not None:
            h = h + mask_label[:, None].to(h.dtype) * self.mask
        if self.absolute_positions:
            h = torch.cat([h, wrapped(pos, batch, box) / self.cutoff], dim=1)
        h = self.encode_node(h)
        radial = r / self.cutoff if self.basis is None else self.basis(r)
        e = self.encode_edge(torch.cat([vectors / self.cutoff, radial], dim=1))
        for phi_e, phi_v in zip(self.phi_e, self.phi_v, strict=True):
            m = phi_e(torch.cat([h[i], h[j], e], dim=1))
            h = h + phi_v(torch.cat([h, add_up(m, i, len(z))], dim=1))
            e = e + m
        return pooled_energy(h, batch, self.energy), self.decode(h)


def wrapped(pos: Tensor, batch: Tensor, box: Tensor | None) -> Tensor:
    """Positions (N, 3) moved into their boxes (B, 3, 3), atom by atom."""
    if box is None:
        return pos
    own = box[batch]
    fractional = torch.linalg.solve(own.transpose(1, 2), pos[:, :, None])
    return pos - (own.transpose(1, 2) @ fractional.floor())[:, :, 0]
