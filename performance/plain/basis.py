"""Functions of distances and directions, in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def cosine_envelope(r: Tensor, cutoff: float) -> Tensor:
    """(cos(π r / r_c) + 1) / 2 within the cutoff, 0 beyond, where EGNN's moved atoms may be."""
    return 0.5 * (torch.cos(math.pi * r / cutoff) + 1.0) * (r < cutoff)


class ExpNormal(nn.Module):
    """Exponential-normal basis (Unke and Meuwly 2019, arXiv 1902.08408, equation 7), as in TorchMD-Net.

    f_k(r) = envelope(r) · exp(−β (exp(−α r) − μ_k)²) with α = 5 / r_c, K centres μ_k evenly from exp(−r_c) to 1, and
    β = (2 (1 − exp(−r_c)) / K)⁻².
    """

    mu: Tensor
    beta: Tensor

    def __init__(self, cutoff: float, functions: int) -> None:
        super().__init__()
        self.cutoff = cutoff
        first = math.exp(-cutoff)
        # Constants with the rounding of weights: they are kept, and taken over, with these.
        self.register_buffer("mu", torch.linspace(first, 1.0, functions))
        self.register_buffer("beta", torch.full((functions,), (2.0 / functions * (1.0 - first)) ** -2))

    def forward(self, r: Tensor) -> Tensor:
        """Distances (E, 1) in Å to (E, K)."""
        alpha = 5.0 / self.cutoff
        return cosine_envelope(r, self.cutoff) * torch.exp(-self.beta * (torch.exp(-alpha * r) - self.mu) ** 2)


def sines(x: Tensor, frequencies: int) -> Tensor:
    """sin(1.1^k x) for k = 0, 1, ...: (M, F) to (M, F · frequencies), the frequencies of a feature in a row."""
    # Rounded as single numbers are in training, also where all else is double.
    frequency = (1.1 ** torch.arange(frequencies, dtype=torch.float32, device=x.device)).to(x.dtype)
    return torch.sin(x[:, :, None] * frequency).reshape(len(x), -1)


def spherical_harmonics(vectors: Tensor, degrees: int) -> Tensor:
    """Real spherical harmonics of degrees 0, 1, 2, normalised on the sphere: vectors (E, 3) to (E, degrees²).

    With y as the polar axis and the order of m from −l to l: 1; x, y, z; xz, xy, (3y² − 1)/2, yz, (z² − x²)/2, each
    with its factor.
    """
    if not 1 <= degrees <= 3:
        raise ValueError(f"degrees is {degrees}; closed forms are here for 1 to 3")
    x, y, z = (vectors / vectors.norm(dim=1, keepdim=True)).unbind(dim=1)
    one, three = torch.ones_like(x), math.sqrt(3.0)
    functions = [
        [one],
        [three * x, three * y, three * z],
        [
            math.sqrt(15.0) * x * z,
            math.sqrt(15.0) * x * y,
            math.sqrt(5.0) * (3.0 * y**2 - 1.0) / 2.0,
            math.sqrt(15.0) * y * z,
            math.sqrt(15.0) * (z**2 - x**2) / 2.0,
        ],
    ]
    return torch.stack([f for degree in functions[:degrees] for f in degree], dim=1) / math.sqrt(4.0 * math.pi)
