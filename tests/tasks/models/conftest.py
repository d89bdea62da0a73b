"""Every registered potential, small and in float64, and one that a user's package adds."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

from tasks.models.base import Potential
from tasks.registry import MODELS
from tests.own_package import install

SMALL = {"cutoff_A": 3.0, "hidden": 12, "layers": 2}

CASES = {
    "egnn": ("egnn", {}),
    "egnn-envelope": ("egnn", {"envelope": True}),
    "egnn-norm": ("egnn", {"readout_norm": True}),
    "egnn-basis": ("egnn", {"radial": "expnorm", "envelope": True}),
    "egnn-bare-basis": ("egnn", {"radial": "expnorm-bare"}),
    "egnn-zero": ("egnn", {"readout_zero": True, "radial_scale": 3.0}),
    "gns": ("gns", {}),
    "gns-basis": ("gns", {"radial": "expnorm"}),
    "gns-absolute": ("gns", {"absolute_positions": True}),
    "forcenet": ("forcenet", {"frequencies": 8}),
    "forcenet-all-oxygen": ("forcenet", {"frequencies": 8, "species": "all-oxygen"}),
    "tensornet": ("tensornet", {}),
    "tensornet2": ("tensornet2", {"charge_channels": 4}),
    "equivariant-transformer": ("equivariant-transformer", {"num_heads": 3}),
    "graph-network": ("graph-network", {}),
    "users-own": ("pair", {}),
}
"""Name to (kind, options beside `SMALL`); `pair` is the example of docs/guide/own-model.md."""

NOT_TRANSLATION_INVARIANT = {"gns-absolute"}
NOT_EQUIVARIANT = {"gns", "gns-basis", "gns-absolute", "forcenet", "forcenet-all-oxygen"}


@pytest.fixture(scope="module", autouse=True)
def users_package(tmp_path_factory):
    """The package of docs/guide/own-model.md, found through its entry points as if it were installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(install(tmp_path_factory.mktemp("own")))
        yield


def build(case: str, seed: int = 1) -> Potential:
    """A small potential in float64, in evaluation; zero weights are made random so that tests see them."""
    kind, options = CASES[case]
    cls = MODELS.get(kind)
    torch.manual_seed(seed)
    potential = cls(cls.Config(**{**SMALL, **options})).double()
    for parameter in potential.parameters():
        if parameter.dim() > 1 and parameter.shape[0] != 2 and float(parameter.detach().abs().max()) < 0.01:
            torch.nn.init.uniform_(parameter, -0.5, 0.5)
    return potential.eval()


@pytest.fixture(params=CASES)
def case(request) -> str:
    """Each potential in turn."""
    return request.param


@pytest.fixture
def potential(case) -> Potential:
    """The potential of the case."""
    return build(case)


@pytest.fixture
def batch(water) -> Batch:
    """Two samples of different size in boxes of different size."""
    return Batch.from_data_list([water(8, 1, 7.0, torch.float64), water(5, 2, 8.0, torch.float64)])


def predict(potential, batch, pos=None, **kwargs):
    """Energies and forces of a batch, at other positions if given."""
    pos = batch.pos if pos is None else pos
    energy, force = potential(batch.z, pos.clone(), batch.batch, batch.box, **kwargs)
    return energy.detach(), force.detach()
