"""The example of docs/guide/own-structures.md: its files are made, its suite runs, wrong input is told as it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import ase.io
import MDAnalysis
import numpy as np
import pandas as pd
import pytest
import yaml
from ase.build import molecule
from ase.calculators.fd import calculate_numerical_forces

from benchmark.cell.checking.checks import check_data, warnings_of
from benchmark.cell.library import Library, split_frames
from benchmark.cli.main import main
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite
from tasks.datasets.own.extxyz import ExtXYZ
from tasks.datasets.own.options import ExtXYZConfig
from tasks.leakage.audit import LeakError
from tests.benchmark.runs import ROOT, command, records
from tests.own_package import FILE_BLOCK

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "guide" / "own-structures.md").read_text(encoding="utf-8")
MESSAGE = re.compile(r"^\| (?P<cause>[^|]+) \| (?P<ticks>`+)(?P<message>.+?)(?P=ticks) \|$", re.MULTILINE)
MESSAGES = [*MESSAGE.finditer(PAGE.partition("## When something is wrong")[2])]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the page's files and what its script made."""
    folder = tmp_path_factory.mktemp("own-data")
    for block in FILE_BLOCK.finditer(PAGE):
        (folder / block["name"]).write_text(block["content"], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "make_files.py"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def own(made, tmp_path, monkeypatch):
    """The working directory for a test that changes the files: a copy of them."""
    folder = tmp_path / "own"
    folder.mkdir()
    for file in made.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def finished(made):
    """The page's run at scale smoke, by the real command line."""
    environment = {"PYTHONPATH": os.fspath(ROOT)}
    done = command("run", "--suite", "own.yaml", "--scale", "smoke", "--data-dir", "data", cwd=made, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return made / "runs" / "own-ethanol-smoke", done.stdout


def change(**options):
    """Options of the datasets laid over those of the suite: ``ethanol={...}``, ``md={...}``."""
    suite = yaml.safe_load(Path("own.yaml").read_text(encoding="utf-8"))
    for name, values in options.items():
        entry = suite["datasets" if name in suite["datasets"] else "structures"][name]
        for key, value in values.items():
            entry[key] = {**entry[key], **value} if isinstance(value, dict) else value
    Path("own.yaml").write_text(yaml.safe_dump(suite), encoding="utf-8")


def edit(old, new, count=1):
    text = Path("labelled.extxyz").read_text(encoding="utf-8")
    assert old in text
    Path("labelled.extxyz").write_text(text.replace(old, new, count), encoding="utf-8")


def write(name, positions):
    """Frames (F, N, 3) Å into a trajectory."""
    universe = MDAnalysis.Universe.empty(positions.shape[1], trajectory=True)
    universe.load_new(positions.astype(np.float32), order="fac")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there is no box
        universe.atoms.write(name, frames="all")


def truncate(name, removed):
    Path(name).write_bytes(Path(name).read_bytes()[:-removed])


def simulate_labelled(frames=slice(None)):
    """Let the trajectory be labelled frames, turned, moved, and with hydrogens of a carbon in another order."""
    labelled = [ase.io.read("labelled.extxyz", index=":")[frame] for frame in np.arange(36)[frames]]
    for frame in labelled:
        frame.rotate(40, (1, 2, 3))
        frame.translate((3, 0, 1))
    write("md.dcd", np.stack([frame.positions[[0, 1, 2, 3, 5, 4, 8, 6, 7]] for frame in labelled]))


def name_the_trajectory_a_dataset():
    change(ethanol={"kind": "trajectory"})
    suite = yaml.safe_load(Path("own.yaml").read_text(encoding="utf-8"))
    suite["datasets"]["ethanol"]["options"] = suite["structures"]["md"]["options"]
    Path("own.yaml").write_text(yaml.safe_dump(suite), encoding="utf-8")


BOX = 'Lattice="9 0 0 0 9 0 0 0 9"'
CAUSES = {
    "a path is wrong": lambda: change(ethanol={"options": {"path": "labeled.extxyz"}}),
    "a file is truncated": lambda: truncate("labelled.extxyz", 300),
    "labels have other names": lambda: edit("energy=", "REF_energy="),
    "a label is NaN": lambda: edit("energy=", "energy=nan was="),
    "periodic in one or two directions": lambda: edit('pbc="F F F"', f'pbc="T T F" {BOX}'),
    "periodic and isolated frames in one file": lambda: edit('pbc="F F F"', f'pbc="T T T" {BOX}'),
    "a box is too small for the cutoff": lambda: edit('pbc="F F F"', f'pbc="T T T" {BOX}', count=-1),
    "a trajectory of other atoms": lambda: (
        write("water.dcd", molecule("H2O").positions[None]),
        change(md={"options": {"trajectory": "water.dcd"}}),
    ),
    "a DCD file is truncated": lambda: truncate("md.dcd", 5000),
    "no atom is selected": lambda: change(md={"options": {"selection": "name Q"}}),
    "no frame is selected": lambda: change(md={"options": {"start": 500}}),
    "too few groups": lambda: change(ethanol={"options": {"group_key": None, "blocks": 2}}),
    "a unit is misspelt": lambda: change(ethanol={"options": {"energy_unit": "kcal"}}),
    "a trajectory among the datasets": name_the_trajectory_a_dataset,
    "a validation or test frame is in the trajectory": simulate_labelled,
}
"""How to bring about what the page's table says."""


def test_the_files_are_what_the_page_says(made):
    labelled = ase.io.read(made / "labelled.extxyz", index=":")
    assert len(labelled) == 36
    assert len({frame.info["run"] for frame in labelled}) == 6
    assert MDAnalysis.Universe(str(made / "md.pdb"), str(made / "md.dcd")).trajectory.n_frames == 120


def test_the_model_potentials_forces_are_its_derivative(made):
    script = (made / "make_files.py").read_text(encoding="utf-8")
    names: dict = {}
    exec(script.partition("# What a quantum chemistry")[0], names)
    atoms = molecule("CH3CH2OH")
    atoms.calc = names["Springs"](atoms)
    atoms.rattle(0.05, seed=1)
    numerical = calculate_numerical_forces(atoms, eps=1e-4)
    assert np.abs(numerical).max() > 0.5
    np.testing.assert_allclose(atoms.get_forces(), numerical, rtol=0, atol=1e-4)


def test_the_three_arms_run_and_pretraining_sees_the_trajectory(finished):
    run, _ = finished
    rows = records(run)
    assert set(rows["status"]) == {"ok"}
    by_arm = rows.groupby("strategy").first()
    assert set(by_arm.index) == {"scratch", "scratch-extended", "masked"}
    frames = rows[rows["checkpoint"] == "best"].groupby("split")["n_frames"].first()
    assert frames.to_dict() == {"train": 18, "val": 6, "test": 12}
    # 108 of the trajectory's 120 frames pretrain, in batches of six.
    assert by_arm.loc["masked", "pretrain_steps"] == 18
    assert by_arm.loc["scratch", "pretrain_steps"] == 0
    # 1 epoch × 108 frames / 18 labelled ones = 6 epochs beside the 2, of three batches each.
    assert by_arm.loc["scratch", "finetune_steps"] == by_arm.loc["masked", "finetune_steps"] == 2 * 3
    assert by_arm.loc["scratch-extended", "finetune_steps"] == 8 * 3


def test_any_prediction_can_be_looked_up_in_the_users_file(made, finished):
    """A force by file, frame, atom and axis."""
    frames = ase.io.read(made / "labelled.extxyz", index=":")
    for path in finished[0].glob("cells/*/predictions.parquet"):
        forces = pd.read_parquet(path).query("quantity == 'force'")
        assert {*forces["file"]} == {"labelled.extxyz"}
        wanted = [
            1000 * frames[int(r.file_frame)].get_forces()[int(r.atom), "xyz".index(r.axis)] for r in forces.itertuples()
        ]
        np.testing.assert_allclose(forces["reference"], wanted, rtol=1e-5, atol=1e-3)


def test_the_audit_has_looked_at_the_trajectory(finished):
    rows = records(finished[0]).groupby("strategy").first()
    assert rows.loc["masked", "audit_seen_frames"] == 18 + 108
    assert rows.loc["scratch", "audit_seen_frames"] == 18
    assert (rows["audit_checked_frames"] == 6 + 12).all()
    assert (rows["audit_duplicates"] == 0).all()


def test_no_note_about_right_units_and_nothing_in_the_data_folder(made, finished):
    assert "note:" not in finished[1]
    assert not [*(made / "data").rglob("*")]


def refused(capsys, monkeypatch):
    """The message of the page's command, in this process."""
    arguments = ["run", "--suite", "own.yaml", "--scale", "smoke", "--data-dir", "data", "--out", "run", "--jobs", "1"]
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    message = capsys.readouterr().err
    assert ended.value.code == 2, message
    return message


def test_the_table_of_messages_is_complete():
    assert [row["cause"] for row in MESSAGES] == list(CAUSES)


@pytest.mark.parametrize("row", MESSAGES, ids=lambda row: row["cause"])
def test_what_is_wrong_is_told_as_the_page_says(own, capsys, monkeypatch, row):
    CAUSES[row["cause"]]()
    message = refused(capsys, monkeypatch)
    wanted = ".*".join(re.escape(part) for part in row["message"].split("…"))
    assert re.search(wanted, message, re.DOTALL), message
    assert message.count("error:") == 1
    assert not [*own.rglob("record.parquet")]


def checked():
    """The datasets of the page's suite in the working directory, after all checks that precede training."""
    suite = load_suite("own.yaml", "smoke")
    cells = make_plan(suite, data_dir=Path("data"))
    return check_data(suite, cells, Library(Path("data")))[0]


def test_training_frames_may_be_in_the_trajectory_and_others_not(own):
    suite = load_suite("own.yaml", "smoke")
    groups = ExtXYZ(ExtXYZConfig(**suite.datasets["ethanol"].options)).outline(Path("data"))
    split = split_frames(suite.datasets["ethanol"], groups, seed=0)
    simulate_labelled(split.train)
    assert len(checked()["md"].samples) == len(split.train) == 18
    # One block of ten validates the pretext and trains nothing: at one end the frame is seen for sure.
    simulate_labelled([split.test[3], *split.train, split.test[3]])
    with pytest.raises(LeakError, match=f"frame {split.test[3]} of the test set of ethanol has the geometry of frame"):
        checked()


def test_wrong_units_are_noted(own):
    assert warnings_of(checked()) == []
    change(ethanol={"options": {"energy_unit": "kcal/mol"}})
    forces, energies = warnings_of(checked())
    assert forces.startswith("ethanol: the forces have a root mean square of 0.0372 eV/Å")
    assert energies.startswith("ethanol: the energies of 36 frames of C2H6O have a standard deviation of 0.00428 eV")
