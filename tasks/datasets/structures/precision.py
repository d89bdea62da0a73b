"""To which step the positions in a file are rounded: by that the audit has to look for its frames elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STEPS = (0.1, 0.01, 0.001, 0.0001)
"""What text formats and XTC files round to, in the unit of the file (an XTC's 0.001 nm arrive as 0.01 Å)."""
PRECISION_FRAMES = 20
"""Of each file, whose coordinates tell to what they are rounded."""
FLOAT32 = 2.0**-23
FEWEST_NUMBERS = 60
FEWEST_DIGITS = 8
"""Last digits that have to occur: atoms on the sites of a lattice have few, and tell nothing of rounding."""


def rounding_step(positions: Sequence[NDArray[np.floating]]) -> float:
    """The largest step of which all coordinates are multiples, in their unit; 0 if there is none or too few tell.

    Args:
        positions: of some frames, each (N, 3), as they are in the file.
    """
    values = np.concatenate([np.asarray(frame, dtype=np.float64).ravel() for frame in positions])
    if len(values) < FEWEST_NUMBERS:
        return 0.0
    tolerance = 2 * FLOAT32 * np.abs(values)
    for step in STEPS:
        counts = np.round(values / step)
        if (np.abs(values - counts * step) <= tolerance + 1e-9 * step).all():
            return step if len(np.unique(counts.astype(np.int64) % 10)) >= FEWEST_DIGITS else 0.0
    return 0.0
