"""Four arms of three seeds."""

import pytest

FULL = {
    "scratch": {0: (120.0, 510.0), 1: (131.0, 540.0), 2: (137.0, 600.0)},
    "scratch-extended": {0: (118.0, 420.0), 1: (121.0, 470.0), 2: (125.0, 460.0)},
    "masked": {0: (64.0, 101.0), 1: (66.5, 480.0), 2: (69.25, 117.0)},
    "denoised": {0: (90.0, 201.0), 1: (96.5, 280.0), 2: (99.25, 217.0)},
}


@pytest.fixture
def four_arms():
    """(force, energy) errors by arm and seed."""
    return FULL
