"""What finetuning starts from, against forces whose scale, direction and error are known."""

from __future__ import annotations

import math

import pytest
import torch

from benchmark.cell.handover import handover


class Known(torch.nn.Module):
    """Predicts a multiple of the true forces of the frames, in their order, plus a part at right angles to them."""

    def __init__(self, frames, factor, aside=0.0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.forces = torch.cat([frame.neg_dy for frame in frames])
        across = torch.randn(self.forces.shape, generator=torch.Generator().manual_seed(0))
        across -= self.forces * (across * self.forces).sum() / self.forces.square().sum()
        self.forces = factor * self.forces + aside * across * self.forces.norm() / across.norm()
        self.seen = 0

    def forward(self, z, pos, batch, box):
        assert not self.training
        self.seen += len(z)
        return torch.zeros(int(batch.max()) + 1, 1), self.forces[self.seen - len(z) : self.seen]


@pytest.mark.parametrize(("factor", "aside"), [(1.0, 0.0), (-0.5, 0.0), (3.0, 4.0), (0.0, 2.0)])
def test_scale_direction_and_error_of_known_forces(frames, factor, aside):
    potential = Known(frames, factor, aside)
    found = handover(potential, frames, scale_eV=0.8, batch_size=4, device="cpu")
    rms = 800 * float(torch.cat([frame.neg_dy for frame in frames]).square().mean().sqrt())
    length = math.hypot(factor, aside)
    assert found["handover_force_rms"] == pytest.approx(length, rel=1e-5)
    assert found["handover_cosine"] == pytest.approx(factor / length, abs=1e-5)
    assert found["handover_force_rmse_mev_per_A"] == pytest.approx(rms * math.hypot(factor - 1, aside), abs=1e-2)
    assert potential.training


def test_what_has_no_direction_or_is_not_finite_is_left_out(frames):
    found = handover(Known(frames, 0.0), frames, 1.0, 4, "cpu")
    assert set(found) == {"handover_force_rms", "handover_force_rmse_mev_per_A"}
    assert handover(Known(frames, math.inf), frames, 1.0, 4, "cpu") == {}
