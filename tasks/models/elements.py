"""Properties of the elements, from the tables of the mendeleev package, as ForceNet's atoms have them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import torch
from mendeleev.econf import ElectronicConfiguration
from mendeleev.fetch import fetch_table
from torch import Tensor

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

PICOMETRES_PER_ANGSTROM = 100.0


@cache
def element_table() -> pd.DataFrame:
    """The properties of the elements by atomic number; what is not known (a noble gas's electronegativity) is NaN.

    Group 1 to 18, period, Pauling's electronegativity, Pyykkö's covalent radius in Å, first ionization energy and
    electron affinity in eV, block as 0 (s) to 3 (f), log10 of the atomic volume in cm³/mol at room conditions.
    """
    elements = fetch_table("elements").set_index("atomic_number")
    ionization = fetch_table("ionizationenergies")
    neutral = ionization[ionization["ion_charge"] == 0].drop_duplicates("atomic_number").set_index("atomic_number")
    valence = [
        ElectronicConfiguration(configuration).nvalence(block, period)
        for configuration, block, period in elements[["electronic_configuration", "block", "period"]].to_numpy()
    ]
    return pd.DataFrame(
        {
            "group": elements["group_id"],
            "period": elements["period"],
            "electronegativity": elements["en_pauling"],
            "covalent_radius": elements["covalent_radius_pyykko"] / PICOMETRES_PER_ANGSTROM,
            "valence_electrons": pd.Series(valence, index=elements.index),
            "ionization_energy": neutral["ionization_energy"],
            "electron_affinity": elements["electron_affinity"],
            "block": elements["block"].map({"s": 0, "p": 1, "d": 2, "f": 3}),
            "log_atomic_volume": np.log10(elements["atomic_weight"] / elements["density"]),
        }
    ).astype(float)


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
