"""Potentials of a finished run as files: in ASE and OpenMM they predict what the records say."""

from __future__ import annotations

import json
import shutil

import numpy as np
import openmm
import pandas as pd
import pytest
import torch
from ase import Atoms
from openmm import unit

from benchmark.cell.finished import choose, read_cell
from benchmark.cell.library import Library
from benchmark.errors import BenchmarkError
from benchmark.run.export import export
from reports.records.folder import RunFolder
from tasks.datasets.structures.units import A_PER_NM, KJ_PER_MOL_PER_EV
from tasks.simulation.calculator import PotentialCalculator
from tasks.simulation.card import PotentialError
from tasks.simulation.file import read_potential
from tasks.simulation.openmm_force import openmm_system
from tasks.simulation.potential import load, load_committee

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def masked(smoke, data_dir, tmp_path_factory):
    """The run, the masked cell, its potential and its test frames by their number in the dataset."""
    folder, _ = smoke
    run = RunFolder(folder)
    plan = run.read_plan()
    (planned,) = choose(plan, None, {"strategy": ["masked"]})
    cell = read_cell(run, planned, plan)
    (path,) = export(folder, tmp_path_factory.mktemp("potential") / "masked.pt", data_dir, planned.key)
    dataset, split, _ = Library(data_dir).load_sets(cell.dataset, cell.seed)
    return run.cell(cell.key), path, {int(frame): dataset.samples[frame] for frame in split.test}


def test_predictions_are_those_of_the_record(masked):
    folder, path, frames = masked
    potential = load(path)
    predictions = pd.read_parquet(folder.predictions)
    energies = predictions[predictions["quantity"] == "energy"].set_index("frame")["predicted"]
    assert set(energies.index) == set(frames)
    errors = []
    for number, sample in frames.items():
        found = potential.evaluate(sample.z, sample.pos, None, sample.box)
        reference = sum(potential.card.reference_eV[z] for z in sample.z.tolist())
        expected = energies[number] / 1000 * sample.num_nodes + reference
        assert float(found.energy) == pytest.approx(expected, abs=1e-4)
        errors.append(found.forces - sample.neg_dy)
    record = pd.read_parquet(folder.record).query("split == 'test' and checkpoint == 'best'").iloc[0]
    rmse = float(torch.cat(errors).square().mean().sqrt()) * 1000
    assert rmse == pytest.approx(record["force_rmse_mev_per_A"], rel=1e-5)


def test_ase_and_openmm_say_the_same(masked):
    _, path, frames = masked
    potential, sample = load(path), next(iter(frames.values()))
    expected = potential.evaluate(sample.z, sample.pos, None, sample.box)
    box = sample.box[0].double().numpy()
    atoms = Atoms(sample.z.numpy(), sample.pos.double().numpy(), cell=box, pbc=True)
    atoms.calc = PotentialCalculator(potential)
    assert atoms.get_potential_energy() == pytest.approx(float(expected.energy), abs=1e-4)
    np.testing.assert_allclose(atoms.get_forces(), expected.forces.numpy(), atol=1e-4)
    system = openmm_system(potential, atoms.numbers, box)
    context = openmm.Context(system, openmm.VerletIntegrator(0.0005), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(atoms.positions / A_PER_NM)
    state = context.getState(getEnergy=True, getForces=True)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) / KJ_PER_MOL_PER_EV
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    assert energy == pytest.approx(float(expected.energy), abs=1e-4)
    np.testing.assert_allclose(forces / (KJ_PER_MOL_PER_EV * A_PER_NM), expected.forces.numpy(), atol=1e-4)


def test_the_file_says_where_it_comes_from(masked):
    _, path, _ = masked
    card, _ = read_potential(path)
    said = card.provenance
    assert said["cell"]["strategy"] == "masked"
    assert "licence" in said["data"]
    assert said["config"]["seed"] == 0
    assert (card.species, card.periodic, card.cutoff_A) == ((1, 8), True, 3.1)
    assert card.compositions == [{1: 16, 8: 8}]
    json.dumps(card.model_dump(mode="json"))


def test_a_folder_of_all_cells_is_a_committee(smoke, data_dir, tmp_path, masked):
    folder, _ = smoke
    paths = export(folder, tmp_path / "all", data_dir, checkpoint="last")
    arms = ("denoised", "masked", "scratch", "scratch-extended")
    assert {path.name for path in paths} == {f"tip3p-egnn-{arm}-seed0.pt" for arm in arms}
    sample = next(iter(masked[2].values()))
    atoms = Atoms(sample.z.numpy(), sample.pos.numpy(), cell=sample.box[0].numpy(), pbc=True)
    atoms.calc = PotentialCalculator(load_committee(paths))
    atoms.get_potential_energy()
    assert atoms.calc.results["energy_sd"] > 0


def test_bodies_are_taken_away_too(smoke, data_dir, tmp_path):
    folder, _ = smoke
    paths = export(folder, tmp_path / "bodies", data_dir, pretraining=True)
    assert len(paths) == 2  # masked and denoised
    card, weights = read_potential(paths[0])
    assert not card.finetuned
    key = card.provenance["pretraining"]["key"]
    stored = torch.load(folder / "pretrainings" / key / "potential.pt", weights_only=True)
    for name, tensor in stored["state_dict"].items():
        assert torch.equal(weights[name], tensor)
    with pytest.raises(PotentialError, match="pretrained body"):
        load(paths[0])
    assert {path.name for path in paths} == {f"pretraining-tip3p-egnn-{arm}-seed0.pt" for arm in ("masked", "denoised")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"key": "0" * 12}, "unknown cell"),
        ({"select": {"strategy": ["maskd"]}}, "Did you mean 'masked'"),
        ({"select": {"arm": ["masked"]}}, "unknown field of --select 'arm'"),
        ({"select": {"seed": ["0"]}}, "4 potentials were chosen"),
        ({"select": {"strategy": ["scratch"]}, "pretraining": True}, "none of the chosen cells was pretrained"),
        ({"checkpoint": "first"}, "allowed are best and last"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_written(smoke, data_dir, tmp_path, arguments, message):
    to = tmp_path / "new" / "potential.pt"
    with pytest.raises(BenchmarkError, match=message):
        export(smoke[0], to, data_dir, **arguments)
    assert not to.parent.exists()


def test_unfinished_cells_and_files_that_are_there_are_refused(smoke, data_dir, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(smoke[0], folder)
    run = RunFolder(folder)
    cell = run.read_plan().cells[0]
    run.pretraining(next(cell.pretraining_key for cell in run.read_plan().cells if cell.pretraining_key)).set_status(
        "pending"
    )
    with pytest.raises(BenchmarkError, match=r"pretraining .* is pending: there are no weights"):
        export(folder, tmp_path / "bodies", data_dir, pretraining=True)
    assert not (tmp_path / "bodies").exists()
    run.cell(cell.key).set_status("pending")
    with pytest.raises(BenchmarkError, match="is pending"):
        export(folder, tmp_path / "potential.pt", data_dir, cell.key)
    run.cell(cell.key).set_status("diverged", "the loss became nan")
    to = tmp_path / "potential.pt"
    with pytest.raises(BenchmarkError, match="is diverged: the loss became nan"):
        export(folder, to, data_dir, cell.key)
    assert not to.exists()
    to.write_bytes(b"mine")
    with pytest.raises(BenchmarkError, match="exists already and was not replaced"):
        export(folder, to, data_dir, run.read_plan().cells[1].key)
    assert to.read_bytes() == b"mine"


def test_other_data_is_refused(smoke, data_dir, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(smoke[0], folder)
    run = RunFolder(folder)
    place = run.cell(run.read_plan().cells[0].key)
    content = json.loads(place.provenance.read_text())
    place.provenance.write_text(json.dumps({**content, "contents": ["0" * 12]}))
    with pytest.raises(BenchmarkError, match=r"is not what cell .* was trained on"):
        export(folder, tmp_path / "potential.pt", data_dir, run.read_plan().cells[0].key)


def test_the_command_line(smoke, data_dir, tmp_path, refuse):
    folder, to = smoke[0], tmp_path / "one.pt"
    refuse("export", folder, "--to", to, "--cell", "0" * 12, "--select", "seed=0", fragments=["--cell or --select"])
    refuse("export", folder, "--to", to, "--data-dir", data_dir, fragments=["4 potentials were chosen"])
    assert not to.exists()
