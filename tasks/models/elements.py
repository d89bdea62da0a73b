"""Properties of the elements as ForceNet's atoms have them, from a table that `tools/elements.py` makes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

TABLE = Path(__file__).with_name("elements.csv")

PROPERTIES = (
    "group",
    "period",
    "electronegativity",
    "covalent_radius",
    "valence_electrons",
    "ionization_energy",
    "electron_affinity",
    "block",
    "log_atomic_volume",
)
"""The nine properties that ForceNet's paper lists (arXiv 2103.01436, section 4.1), after CGCNN's."""


@cache
def element_table() -> pd.DataFrame:
    """The properties of the elements by atomic number; what is not known (a noble gas's electronegativity) is NaN.

    Group 1 to 18, period, Pauling's electronegativity, Pyykkö's covalent radius in Å, first ionization energy and
    electron affinity in eV, block as 0 (s) to 3 (f), log10 of the atomic volume in cm³/mol at room conditions.
    """
    return pd.read_csv(TABLE, comment="#", index_col="atomic_number")


def element_properties(max_z: int) -> Tensor:
    """The nine properties of atomic numbers below ``max_z``, each scaled to [0, 1] over these elements, (max_z, 9).

    What is not known is the property's mean. Row 0, no element, is zero.
    """
    table = element_table().loc[1 : max_z - 1, list(PROPERTIES)]
    table = table.fillna(table.mean())
    span = (table.max() - table.min()).replace(0, 1)
    scaled = np.zeros((max_z, len(PROPERTIES)), dtype=np.float32)
    scaled[table.index] = (table - table.min()) / span
    return torch.from_numpy(scaled)


def covalent_radii_A(max_z: int) -> Tensor:
    """Covalent radii of atomic numbers below ``max_z`` in Å, (max_z,); 0 for number 0."""
    table = element_table()["covalent_radius"].loc[1 : max_z - 1]
    radii = np.zeros(max_z, dtype=np.float32)
    radii[table.index] = table
    return torch.from_numpy(radii)
