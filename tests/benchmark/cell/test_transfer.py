"""What finetuning takes over of a pretrained network."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

from benchmark.cell.transfer import take_over


@pytest.fixture
def pretrained(make_potential):
    """Weights of another network of the same shape."""
    other = make_potential()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1)
    return other.state_dict()


def forces(potential, frames):
    batch = Batch.from_data_list(frames)
    return potential.eval()(batch.z, batch.pos, batch.batch, batch.box)[1].detach()


def test_all_is_all(make_potential, pretrained, frames):
    potential = make_potential()
    assert take_over(potential, pretrained, "all", frames, 4, 0) is None
    assert all(torch.equal(value, pretrained[name]) for name, value in potential.state_dict().items())


def test_the_body_alone_leaves_the_readout_as_it_starts_from_scratch(make_potential, pretrained, frames):
    potential, scratch = make_potential(), make_potential().state_dict()
    take_over(potential, pretrained, "body", frames, 4, 0)
    for name, value in potential.state_dict().items():
        assert torch.equal(value, (scratch if name.startswith("readout.") else pretrained)[name]), name


def test_shuffled_is_the_body_with_each_rows_numbers_in_another_order(make_potential, pretrained, frames):
    scratch = make_potential().state_dict()
    potential, again, other = (make_potential() for _ in range(3))
    for network, seed in ((potential, 0), (again, 0), (other, 1)):
        assert take_over(network, pretrained, "shuffled", frames, 4, seed) is None
    weights = {name for name, _ in potential.named_parameters()}
    for name, value in potential.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), f"{name}: the same seed gives the same order"
        if name.startswith("readout."):
            assert torch.equal(value, scratch[name]), name
            continue
        before = pretrained[name]
        if name not in weights:
            assert torch.equal(value, before), f"{name} is no weight"
            continue
        dim = -1 if value.shape[-1] > 1 else 0  # what has one number in a row, as the weights on r², is one column
        assert torch.equal(value.sort(dim=dim).values, before.sort(dim=dim).values), name
        if len(before.unique()) > 4:  # initial biases are all equal
            assert float((value != before).float().mean()) > 0.4, f"{name} stays in its order"
            assert not torch.equal(value, other.state_dict()[name]), f"{name}: another seed gives another order"


def test_scaled_forces_have_the_true_ones_root_mean_square_and_keep_their_directions(
    make_potential, pretrained, frames
):
    plain, potential = make_potential(), make_potential()
    plain.load_state_dict(pretrained)
    factor = take_over(potential, pretrained, "scaled", frames, 4, 0)
    assert potential.training
    scaled = forces(potential, frames)
    assert float(scaled.square().mean().sqrt()) == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(scaled, factor * forces(plain, frames), rtol=1e-4, atol=1e-6)


def test_forces_that_are_zero_cannot_be_scaled(make_potential, frames):
    state = {name: torch.zeros_like(value) for name, value in make_potential().state_dict().items()}
    with pytest.raises(ValueError, match="root mean square of 0"):
        take_over(make_potential(), state, "scaled", frames, 4, 0)
