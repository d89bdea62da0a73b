"""ForceNet from its paper (Hu et al. 2021, arXiv 2103.01436, section 4), as a potential.

Atoms: sines of nine properties of their element, one linear map. Edges: spherical harmonics of the direction times
four linear combinations of sines of r, r − R_i, r − R_j and r − R_i − R_j over the cutoff (the basis `sphallmul`; R are
covalent radii). Equations 2 to 4: m_ij = W h_j ∘ F(h_i, h_j, e_ij) cos(π r / 2 r_c) and
h_i ← h_i + φ(Σ_j m_ij + s ∘ W h_i).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from performance.plain.basis import sines, spherical_harmonics
from performance.plain.gns import pooled_energy
from performance.plain.graph import add_up, neighbour_list

SHORTEST = 1e-3
"""Lengths over the cutoff below this, negative ones of bonded atoms too, enter as this."""


class PlainForceNetLayer(nn.Module):
    """W, F, s and φ of an interaction block."""

    def __init__(self, hidden: int, edge_features: int) -> None:
        super().__init__()
        self.filter = nn.Sequential(
            nn.Linear(2 * hidden + edge_features, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
        )
        self.linear = nn.Linear(hidden, hidden)
        self.self_weight = nn.Parameter(torch.randn(1, hidden))
        self.phi = nn.Sequential(
            nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.SiLU(), nn.Linear(hidden, hidden)
        )


class PlainForceNet(nn.Module):
    """Energies and forces of ForceNet; arguments as the suite's options of the same names.

    Args:
        properties: of the elements, by atomic number, (Z, 9).
        radii: covalent radii in Å, (Z,).
        only_oxygen: every atom is taken for an oxygen.
    """

    properties: Tensor
    radii: Tensor

    def __init__(
        self,
        cutoff: float,
        hidden: int,
        layers: int,
        properties: Tensor,
        radii: Tensor,
        frequencies: int = 50,
        degrees: int = 3,
        only_oxygen: bool = False,
    ) -> None:
        super().__init__()
        self.cutoff, self.frequencies, self.degrees, self.only_oxygen = cutoff, frequencies, degrees, only_oxygen
        self.register_buffer("properties", properties)
        self.register_buffer("radii", radii)
        self.atoms = nn.Linear(properties.shape[1] * frequencies, hidden)
        self.mask = nn.Parameter(torch.randn(hidden))
        self.lengths = nn.Linear(4 * frequencies, 4)
        self.layers = nn.ModuleList(PlainForceNetLayer(hidden, 4 * degrees**2) for _ in range(layers))
        self.output = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU())
        self.decode = nn.Sequential(nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.SiLU(), nn.Linear(hidden, 3))
        self.energy = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1))

    def forward(
        self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, mask_label: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Energies (B, 1) and forces (N, 3) of positions (N, 3) in Å."""
        if self.only_oxygen:
            z = torch.full_like(z, 8)
        i, j, shift = neighbour_list(pos, batch, box, self.cutoff)
        vectors = pos[i] - pos[j] + shift
        r = vectors.norm(dim=1, keepdim=True)
        r_i, r_j = self.radii[z[i]][:, None], self.radii[z[j]][:, None]
        lengths = torch.cat([r, r - r_i, r - r_j, r - r_i - r_j], dim=1) / self.cutoff
        lengths = self.lengths(sines(lengths.clamp(min=SHORTEST), self.frequencies))
        angular = spherical_harmonics(vectors, self.degrees)
        e = (angular[:, :, None] * lengths[:, None, :]).reshape(len(i), -1)
        envelope = torch.cos(math.pi * r / (2.0 * self.cutoff))
        h = self.atoms(sines(self.properties[z], self.frequencies))
        if mask_label is not None:
            h = h + mask_label[:, None].to(h.dtype) * self.mask
        for layer in self.layers:
            assert isinstance(layer, PlainForceNetLayer)
            transformed = layer.linear(h)
            m = transformed[j] * layer.filter(torch.cat([h[i], h[j], e], dim=1)) * envelope
            h = h + layer.phi(add_up(m, i, len(z)) + layer.self_weight * transformed)
        h = self.output(h)
        return pooled_energy(h, batch, self.energy), self.decode(h)
