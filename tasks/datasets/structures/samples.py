"""Samples: the one place where a structure becomes the fields and types that `Dataset` promises."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

Integers = Tensor | NDArray[np.integer]


def make_sample(
    z: Integers,
    pos: NDArray[np.floating],
    molecule: Integers,
    site: Integers,
    box: Tensor | NDArray[np.floating] | None = None,
    energy_eV: float | np.floating | None = None,
    forces_eV_per_A: NDArray[np.floating] | None = None,
) -> Data:
    """A sample with the fields of `Dataset.samples`; arrays are copied, tensors of the right type are shared.

    Tensors are for what many frames have in common. Arrays are copied so that a sample that is pickled does not drag
    along the whole dataset that its numbers are a view of.

    Args:
        z: atomic numbers, (N,).
        pos: positions, (N, 3), Å.
        molecule: molecule of each atom, (N,).
        site: site of each atom, (N,).
        box: box vectors as rows in the form of `boxes.reduced_box`, (3, 3), Å; None if not periodic.
        energy_eV: of a labelled structure.
        forces_eV_per_A: (N, 3), likewise.
    """
    fields = {
        "z": _tensor(z, torch.int64),
        "pos": _tensor(pos, torch.float32),
        "molecule": _tensor(molecule, torch.int64),
        "site": _tensor(site, torch.int64),
    }
    if box is not None:
        fields["box"] = _tensor(box, torch.float32).unsqueeze(0)
    if energy_eV is not None:
        fields["y"] = torch.tensor([[float(energy_eV)]], dtype=torch.float64)
    if forces_eV_per_A is not None:
        fields["neg_dy"] = _tensor(forces_eV_per_A, torch.float32)
    return Data(**fields)


def _tensor(values: Tensor | NDArray[np.generic], dtype: torch.dtype) -> Tensor:
    return values.to(dtype) if isinstance(values, Tensor) else torch.tensor(values, dtype=dtype)
