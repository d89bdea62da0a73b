"""Pieces of networks: as the compiler is given them they are what torch computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tasks.models.layers import Linear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 5), (5, 1), (1, 1), (4, 5), (2, 5), (5, 2)])
def test_a_linear_map_is_the_same_in_a_compiled_function(inputs, outputs, bias, monkeypatch):
    """With its derivatives, the second one too."""
    torch.manual_seed(3)
    ours, x = Linear(inputs, outputs, bias=bias).double(), torch.randn(7, inputs, dtype=torch.float64)
    torchs = nn.Linear(inputs, outputs, bias=bias).double()
    torchs.load_state_dict(ours.state_dict())
    found = {}
    for name, layer, compiling in (("eager", ours, False), ("compiled", ours, True), ("torch", torchs, False)):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda value=compiling: value)
        layer.zero_grad()
        given = x.clone().requires_grad_(True)
        y = layer(given)
        (gradient,) = torch.autograd.grad(y.pow(3).sum(), given, create_graph=True)
        gradient.square().sum().backward()
        found[name] = [y, gradient, *(weight.grad.clone() for weight in layer.parameters())]
    for eager, compiled, expected in zip(*found.values(), strict=True):
        assert torch.equal(eager, expected)
        torch.testing.assert_close(compiled, expected, rtol=1e-12, atol=1e-12)
