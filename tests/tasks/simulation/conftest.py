"""Small potentials with made-up reference energies, as `export` would leave them."""

from __future__ import annotations

import pytest
import torch

from tasks.simulation.card import Card, Network
from tasks.simulation.potential import TrainedPotential
from tests.tasks.models.conftest import CASES, SMALL, build

REFERENCE_eV = {1: -1.5, 8: -20.25}
WATER = [{1: 2, 8: 1}]


def make_card(case: str = "egnn-basis", **changes) -> Card:
    kind, options = CASES[case]
    content = {
        "network": Network(kind=kind, options={**SMALL, **options}),
        "reference_eV": REFERENCE_eV,
        "scale_eV": 0.8,
        "species": (1, 8),
        "compositions": WATER,
        "periodic": True,
        "provenance": {"cell": {"key": "0123456789ab"}},
    }
    return Card(**{**content, **changes})


def make_potential(case: str = "egnn-basis", seed: int = 1, dtype=torch.float64, **changes) -> TrainedPotential:
    return TrainedPotential(make_card(case, **changes), build(case, seed), dtype=dtype)


@pytest.fixture(scope="session")
def potential() -> TrainedPotential:
    """EGNN in float64, smooth at its cutoff of 3 Å."""
    return make_potential()
