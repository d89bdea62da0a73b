"""Semi-empirical tight binding as labels of molecules, by tblite, an optional dependency.

GFN2-xTB: Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput. 15, 1652 (2019), doi 10.1021/acs.jctc.8b01176.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import numpy as np
from threadpoolctl import ThreadpoolController
from torch_geometric.data import Data

from tasks.datasets.base import DatasetError
from tasks.datasets.structures.units import A_PER_BOHR, EV_PER_HARTREE
from tasks.labellers.base import Calculate, Label, Labeller
from tasks.labellers.options import LabellerConfig, XTBConfig


class XTB(Labeller):
    """GFN2-xTB or GFN1-xTB: energies and forces of molecules and periodic structures."""

    kind: ClassVar[str] = "xtb"
    Config: ClassVar[type[LabellerConfig]] = XTBConfig

    def __init__(self, config: XTBConfig) -> None:
        self.config: XTBConfig = config

    @property
    def title(self) -> str:
        """See `Labeller.title`."""
        return self.config.method

    def versions(self) -> dict[str, str]:
        """See `Labeller.versions`."""
        try:
            return {"tblite": version("tblite")}
        except PackageNotFoundError as error:
            raise DatasetError(
                f"labels by {self.title} need the package tblite, which is not installed: "
                f"pip install '.[xtb]' in the project's folder, or leave out the arms with labels_from kind 'xtb'"
            ) from error

    def begin(self) -> Calculate:
        """See `Labeller.begin`; each structure starts afresh, so that labels do not depend on which one came before."""
        self.versions()
        from tblite.interface import Calculator

        # One thread: workers are as many as there are cores, and sums are taken in the same order everywhere.
        threads = ThreadpoolController()

        def calculate(sample: Data) -> Label:
            numbers, positions = sample.z.numpy(), sample.pos.double().numpy() / A_PER_BOHR
            lattice = sample.box[0].double().numpy() / A_PER_BOHR if "box" in sample else None
            try:
                with threads.limit(limits=1):
                    found = self._calculator(Calculator, numbers, positions, lattice).singlepoint()
            except RuntimeError as error:
                raise DatasetError(f"{self.title} failed for a structure of {len(numbers)} atoms: {error}") from error
            energy = float(found.get("energy")) * EV_PER_HARTREE
            return Label(energy, -np.asarray(found.get("gradient")) * (EV_PER_HARTREE / A_PER_BOHR))

        return calculate

    def _calculator(self, cls: Any, numbers: Any, positions: Any, lattice: Any) -> Any:
        periodic = None if lattice is None else np.ones(3, dtype=bool)
        calculator = cls(
            self.config.method, numbers, positions, self.config.charge, self.config.unpaired, lattice, periodic
        )
        calculator.set("verbosity", 0)
        calculator.set("accuracy", self.config.accuracy)
        return calculator
