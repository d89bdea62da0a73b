"""EGNN from its paper (Satorras, Hoogeboom, Welling 2021, arXiv 2102.09844), as a potential.

Equation 3: m_ij = φ_e(h_i, h_j, r²); equation 4: x_i ← x_i + C Σ_j (x_i − x_j) φ_x(m_ij), the difference here over
r + 1; equations 5 and 6: h_i ← h_i + φ_h(h_i, Σ_j m_ij). E = Σ_i MLP(h_i), F = −∂E/∂x.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from performance.plain.basis import ExpNormal, cosine_envelope
from performance.plain.graph import Graph, add_up, neighbour_list


class PlainEGNNLayer(nn.Module):
    """φ_e, φ_x and φ_h of a layer."""

    def __init__(self, hidden: int, radial: int) -> None:
        super().__init__()
        self.phi_e = nn.Sequential(
            nn.Linear(2 * hidden + radial, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.phi_x = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1, bias=False))
        self.phi_h = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden))


class PlainEGNN(nn.Module):
    """Energies and forces of EGNN; arguments as the suite's options of the same names."""

    def __init__(
        self,
        cutoff: float,
        hidden: int,
        layers: int,
        species: int = 100,
        num_rbf: int | None = None,
        envelope: bool = False,
        readout_norm: bool = False,
    ) -> None:
        super().__init__()
        self.cutoff, self.envelope = cutoff, envelope
        self.species = nn.Embedding(species, hidden)
        self.mask = nn.Parameter(torch.randn(hidden))
        self.basis = ExpNormal(cutoff, num_rbf) if num_rbf else None
        self.layers = nn.ModuleList(PlainEGNNLayer(hidden, num_rbf or 1) for _ in range(layers))
        norm: list[nn.Module] = [nn.LayerNorm(hidden)] if readout_norm else []
        self.readout = nn.Sequential(*norm, nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1))

    def propagate(self, z: Tensor, x: Tensor, graph: Graph, mask_label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Embeddings (N, hidden) and coordinates (N, 3) after all layers."""
        i, j, shift = graph
        atoms = len(z)
        h = self.species(z)
        if mask_label is not None:
            h = h + mask_label[:, None].to(h.dtype) * self.mask
        first = (x[i] - x[j] + shift).norm(dim=1, keepdim=True)
        weight = cosine_envelope(first, self.cutoff) if self.envelope else torch.ones_like(first)
        neighbours = add_up(weight, i, atoms)
        for layer in self.layers:
            assert isinstance(layer, PlainEGNNLayer)
            difference = x[i] - x[j] + shift
            squared = (difference**2).sum(dim=1, keepdim=True)
            r = squared.sqrt()
            radial = squared if self.basis is None else self.basis(r)
            m = layer.phi_e(torch.cat([h[i], h[j], radial], dim=1)) * weight
            move = add_up(difference / (r + 1.0) * layer.phi_x(m), i, atoms)
            x = x + move / (1.0 + neighbours if self.envelope else neighbours.clamp(min=1.0))
            h = h + layer.phi_h(torch.cat([h, add_up(m, i, atoms)], dim=1))
        return h, x

    def forward(
        self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, mask_label: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Energies (B, 1) and forces (N, 3) of positions (N, 3) in Å."""
        graph = neighbour_list(pos, batch, box, self.cutoff)
        x = pos.detach().requires_grad_(True)
        h, _ = self.propagate(z, x, graph, mask_label)
        energy = add_up(self.readout(h), batch, int(batch.max()) + 1)
        (gradient,) = torch.autograd.grad(energy.sum(), x, create_graph=self.training)
        return energy, -gradient

    def displacements(
        self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, mask_label: Tensor | None = None
    ) -> Tensor:
        """Output minus input coordinates (N, 3) in Å."""
        return self.propagate(z, pos, neighbour_list(pos, batch, box, self.cutoff), mask_label)[1] - pos
