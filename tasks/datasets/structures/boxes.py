"""Boxes in the form that TorchMD-Net's neighbour search requires, and wide enough for a cutoff."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from tasks.datasets.base import DatasetError
from tasks.datasets.structures.units import LARGEST

TOLERANCE = 1e-6
"""Relative; box vectors in text files have at least six digits."""


def reduced_box(box: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same lattice with lower triangular, reduced box vectors, and the rotation to them.

    The form of OpenMM and TorchMD-Net: a along x, b in the xy plane, |b_x| <= a_x/2, |c_x| <= a_x/2,
    |c_y| <= b_y/2.

    Args:
        box: box vectors as rows, any length unit, (3, 3).

    Returns:
        Box vectors as rows, (3, 3), and a proper rotation R, (3, 3): positions and forces become ``x @ R.T``.

    Raises:
        DatasetError: the volume is zero, or the vectors are left-handed (negative volume) or not finite.
    """
    box = np.asarray(box, dtype=np.float64)
    usable = bool((np.abs(box) <= LARGEST).all())  # else, NaN included, lengths and volume may not be numbers
    lengths = np.linalg.norm(box, axis=1) if usable else np.full(3, np.nan)
    volume = float(np.linalg.det(box)) if usable else np.nan
    if not volume > TOLERANCE * float(lengths.prod()):
        kind = f"not finite or beyond {LARGEST:g}" if not usable else "left-handed" if volume < 0 else "flat"
        raise DatasetError(
            f"box vectors {box.round(4).tolist()} are {kind} (volume {volume:g}); three right-handed vectors that "
            f"span a volume are needed"
        )
    # QR of the transposed rows: box = lower @ rotation.
    q, r = np.linalg.qr(box.T)
    signs = np.sign(np.diag(r))
    lower, rotation = (r * signs[:, None]).T, (q * signs).T
    a, b, c = lower
    c = c - b * np.round(c[1] / b[1])
    c = c - a * np.round(c[0] / a[0])
    b = b - a * np.round(b[0] / a[0])
    lower = np.array([a, b, c])
    lower[np.abs(lower) < TOLERANCE * lengths.max()] = 0.0
    return lower, rotation


def box_widths(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances between opposite faces, (..., 3), of box vectors as rows, (..., 3, 3), in their unit."""
    widths: NDArray[np.float64] = 1.0 / np.linalg.norm(np.linalg.inv(box), axis=-2)
    return widths


def check_boxes(samples: Iterable[Data], cutoff: float, name: str) -> None:
    """Make sure that the boxes are wide enough for the cutoff of a potential.

    Args:
        samples: frames, periodic or not.
        cutoff: cutoff of the potential, Å.
        name: name of the dataset, for the message.

    Raises:
        DatasetError: a box is less than two cutoffs wide; the message names the first one.
    """
    for number, sample in enumerate(samples):
        if "box" not in sample:
            continue
        width = float(box_widths(sample.box[0].double().numpy()).min())
        # TorchMD-Net's condition, with a tolerance for float32.
        if cutoff > width / 2 * (1 + TOLERANCE):
            raise DatasetError(
                f"dataset {name!r}: structure {number} has a box {width:.3f} Å wide; a potential with a cutoff of "
                f"{cutoff:g} Å needs at least {2 * cutoff:g} Å. Shorten the option 'cutoff_A' of the model to at most "
                f"{int(500 * width) / 1000:g} Å, or take bigger boxes"
            )
