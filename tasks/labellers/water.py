"""Classical water models in OpenMM as labels of water structures.

SPC/Fw: Wu, Tepper and Voth, J. Chem. Phys. 124, 024503 (2006), doi 10.1063/1.2136877, Table I. Its harmonic terms are
k/2 (r − r0)², as OpenMM's are. TIP3P with the harmonic terms of OpenMM's `tip3p.xml`.
"""

from __future__ import annotations

import io
from importlib.metadata import version
from typing import ClassVar

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit
from torch_geometric.data import Data

from tasks.datasets.base import DatasetError
from tasks.datasets.structures.molecules import HYDROGEN, OXYGEN
from tasks.datasets.structures.units import A_PER_NM
from tasks.datasets.tip3p.simulation import box_of_water, evaluate
from tasks.geometry import minimum_image
from tasks.labellers.base import Calculate, Label, Labeller
from tasks.labellers.options import LabellerConfig, WaterModelConfig

KJ_PER_KCAL = 4.184
SPCFW = {
    "charge_O_e": -0.82,
    "sigma_nm": 0.3165492,
    "epsilon_kJ_per_mol": 0.1554253 * KJ_PER_KCAL,
    "bond_nm": 0.1012,
    "bond_kJ_per_mol_nm2": 1059.162 * KJ_PER_KCAL * A_PER_NM**2,
    "angle_rad": np.deg2rad(113.24),
    "angle_kJ_per_mol_rad2": 75.90 * KJ_PER_KCAL,
}
SPCFW_XML = """<ForceField>
 <AtomTypes>
  <Type name="O" class="O" element="O" mass="15.99943"/>
  <Type name="H" class="H" element="H" mass="1.007947"/>
 </AtomTypes>
 <Residues>
  <Residue name="HOH">
   <Atom name="O" type="O"/><Atom name="H1" type="H"/><Atom name="H2" type="H"/>
   <Bond atomName1="O" atomName2="H1"/><Bond atomName1="O" atomName2="H2"/>
  </Residue>
 </Residues>
 <HarmonicBondForce>
  <Bond class1="O" class2="H" length="{bond_nm}" k="{bond_kJ_per_mol_nm2}"/>
 </HarmonicBondForce>
 <HarmonicAngleForce>
  <Angle class1="H" class2="O" class3="H" angle="{angle_rad}" k="{angle_kJ_per_mol_rad2}"/>
 </HarmonicAngleForce>
 <NonbondedForce coulomb14scale="0" lj14scale="0">
  <Atom type="O" charge="{charge_O_e}" sigma="{sigma_nm}" epsilon="{epsilon_kJ_per_mol}"/>
  <Atom type="H" charge="{charge_H_e}" sigma="1" epsilon="0"/>
 </NonbondedForce>
</ForceField>
"""


class WaterModel(Labeller):
    """A flexible classical water model: energies and forces of periodic boxes of water, in double precision."""

    kind: ClassVar[str] = "water"
    Config: ClassVar[type[LabellerConfig]] = WaterModelConfig

    def __init__(self, config: WaterModelConfig) -> None:
        self.config: WaterModelConfig = config

    @property
    def title(self) -> str:
        """See `Labeller.title`."""
        return {"spcfw": "SPC/Fw water", "tip3p": "flexible TIP3P water"}[self.config.model]

    def versions(self) -> dict[str, str]:
        """See `Labeller.versions`."""
        return {"openmm": version("openmm")}

    def begin(self) -> Calculate:
        """See `Labeller.begin`; structures that follow each other in one box share an OpenMM context."""
        field = app.ForceField("tip3p.xml" if self.config.model == "tip3p" else io.StringIO(_spcfw()))
        last: dict[tuple[int, bytes], openmm.Context] = {}

        def calculate(sample: Data) -> Label:
            order = _molecule_by_molecule(sample)
            vectors = sample.box[0].double().numpy()
            key = (len(order), vectors.tobytes())
            if key not in last:
                last.clear()
                last[key] = self._context(field, len(order) // 3, vectors)
            energy, sorted_forces = evaluate(last[key], _whole_molecules(sample, order))
            forces = np.empty_like(sorted_forces)
            forces[order] = sorted_forces
            return Label(energy, forces)

        return calculate

    def _context(self, field: app.ForceField, molecules: int, vectors_A: NDArray[np.float64]) -> openmm.Context:
        faces = np.cross(vectors_A[[1, 2, 0]], vectors_A[[2, 0, 1]])
        heights = abs(np.linalg.det(vectors_A)) / np.linalg.norm(faces, axis=1)
        # A hair under half the box, which OpenMM refuses where rounding makes it more.
        cutoff = min(self.config.cutoff_A, 0.4999 * float(heights.min()))
        system = field.createSystem(
            box_of_water(molecules, vectors_A),
            nonbondedMethod=app.LJPME,
            nonbondedCutoff=cutoff / A_PER_NM * unit.nanometer,
            ewaldErrorTolerance=self.config.ewald_tolerance,
            constraints=None,
            rigidWater=False,
        )
        platform = openmm.Platform.getPlatformByName("Reference")
        return openmm.Context(system, openmm.VerletIntegrator(1 * unit.femtosecond), platform)


def _spcfw() -> str:
    """The force field file of SPC/Fw."""
    return SPCFW_XML.format(**SPCFW, charge_H_e=-SPCFW["charge_O_e"] / 2)


def _molecule_by_molecule(sample: Data) -> NDArray[np.int64]:
    """Order of the atoms in which each molecule follows the other as O H H, (N,).

    Raises:
        DatasetError: for structures that are not periodic, or anything but water.
    """
    if "box" not in sample:
        raise DatasetError("a water model labels periodic boxes of water; this structure has no box")
    z, molecule = sample.z.numpy(), sample.molecule.numpy()
    order = np.lexsort((-z, molecule)).astype(np.int64)
    of_molecule = z[order].reshape(-1, 3) if len(z) % 3 == 0 else np.empty((0, 3))
    same = molecule[order].reshape(-1, 3) if len(of_molecule) else np.empty((0, 3))
    if not len(same) or (of_molecule != [OXYGEN, HYDROGEN, HYDROGEN]).any() or (same != same[:, :1]).any():
        raise DatasetError("a water model labels boxes of H2O molecules; this structure has other molecules or atoms")
    return order


def _whole_molecules(sample: Data, order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Positions (N, 3) in Å in that order, hydrogens beside their oxygens: bonds know no periodic images."""
    pos = sample.pos.double()[order]
    oxygen = pos[0::3].repeat_interleave(3, dim=0)
    box = sample.box.double().expand(len(pos), 3, 3)
    whole: NDArray[np.float64] = (oxygen + minimum_image(pos - oxygen, box)).numpy()
    return whole
