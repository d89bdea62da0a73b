"""Writes tasks/models/elements.csv, the properties of the elements, from the tables of the mendeleev package.

``python -m tools.elements`` from the project's root. Reading mendeleev's database takes more than a second, which every
process with a ForceNet would spend on numbers that do not change; a test compares the file with the package.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import pandas as pd
from mendeleev.econf import ElectronicConfiguration
from mendeleev.fetch import fetch_table

from tasks.models.elements import TABLE

PICOMETRES_PER_ANGSTROM = 100.0


def from_mendeleev() -> pd.DataFrame:
    """What `tasks.models.elements.element_table` has, by atomic number."""
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


def main() -> None:
    """Write the file; numbers have as many digits as they need to be read again to the last bit."""
    with TABLE.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(f"# by tools/elements.py from mendeleev {version('mendeleev')} (MIT licence)\n")
        from_mendeleev().to_csv(stream, lineterminator="\n")


if __name__ == "__main__":
    main()
