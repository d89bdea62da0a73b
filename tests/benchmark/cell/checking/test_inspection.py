"""Everything that is wrong with the data of a suite is told at once, and nothing else is."""

from __future__ import annotations

import re
import sys

import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule

from benchmark.cell.checking.inspection import inspect_data
from benchmark.cli.main import main
from benchmark.planning.reading import load_suite
from tests.benchmark.own_suite import arms, entry, write_frames


def inspect(path, tmp_path, **select):
    return inspect_data(load_suite(str(path), "tiny"), select, None, tmp_path, failed={})


def texts(found, level):
    return [f"{s.title}: {f.topic}: {f.text}" for s in found.sections for f in s.findings if f.level == level]


def test_what_is_right_is_told_with_its_numbers(own, tmp_path):
    found = inspect(own(), tmp_path)
    assert texts(found, "stop") == texts(found, "later") == []
    told = "\n".join(texts(found, "ok"))
    assert "a: 20 frames of C2H6O from a.xyz, isolated, 9 atoms, with energies and forces: units: plausible" in told
    assert "split: seed 0: 12 training, 4 validation, 4 test frames" in told
    # Of b six train, of both a and b the training and the validation frames are pretrained on.
    assert "none of 8 validation and test frames is among up to 30 frames" in told
    assert "masked: masking: pretext: for 2 datasets: 18 structures train and 6 validate" in told


def test_structures_that_are_pretrained_on_are_called_by_their_name(own, tmp_path):
    told = "\n".join(texts(inspect(own(strategies=arms(pretrain_on=["c"])), tmp_path, dataset=["a"]), "ok"))
    assert "masked: masking: pretext: for c: 45 structures train and 5 validate" in told


def test_trajectories_and_what_their_frames_are_worth(own, tmp_path):
    frames = write_frames(own.files["a"], 40, seed=1)
    for number, frame in enumerate(frames):
        frame.info["run"], frame.info["E"] = f"r{number // 8}", 100.0 + np.sin(number / 3)
    ase.io.write(own.files["a"], frames, format="extxyz")
    options = entry(own.files["a"], split={"val": 0.2, "test": 0.2})
    options["options"]["group_key"] = "run"
    told = "\n".join(texts(inspect(own(datasets={"a": options}), tmp_path, dataset=["a"]), "ok"))
    assert "groups: 5 trajectories or blocks of 8 frames" in told
    assert "24 training (of 3), 8 validation (of 1), 8 test (of 1)" in told
    assert "worth: in independent frames, by their energies: 24 training frames" in told


def test_what_labelled_structures_are_worth_that_only_pretraining_sees(own, tmp_path):
    """They have no test frames, and need not say so."""
    options = entry(own.files["c"], split={"val": 0.2})
    options["options"]["blocks"] = 10
    path = own(structures={"c": options}, strategies=arms(pretrain_on=["c"]))
    told = "\n".join(texts(inspect(path, tmp_path, dataset=["a"]), "ok"))
    assert "c: 50 frames of C2H6O from c.xyz" in told
    assert "split: seed 0: 40 training (of 8), 10 validation (of 2) frames" in told
    assert re.search(r"by their energies: 40 training frames [\d.]+, 10 validation frames [\d.]+ \(", told)


def test_all_that_is_wrong_is_told_at_once(own, tmp_path):
    """A missing file, energies that look wrong, a leak, and a pretext that cannot be applied."""
    frames = write_frames(own.files["a"], 20, seed=1)
    for frame in frames:
        frame.info["E"] *= 1e4
    frames += [frame.copy() for frame in frames]
    ase.io.write(own.files["a"], frames, format="extxyz")
    write_frames(own.files["b"], 10, seed=2, symbols="CCCC")
    split = {"val": 0.2, "test": 0.2}
    datasets = {
        "a": entry(own.files["a"], split=split),
        "b": entry(own.files["b"], split=split),
        "c": entry(tmp_path / "missing.xyz", split=split),
    }
    found = inspect(own(datasets=datasets, structures={}, strategies=arms()), tmp_path)
    stops = "\n".join(texts(found, "stop"))
    assert "c: data: there is no file" in stops
    assert "leaks: seed 0: leakage: frame" in stops
    assert "masked: masking: pretext: for b: atom masking needs a heavy atom" in stops
    assert len(texts(found, "stop")) == 3
    assert "units: the energies of 40 frames" in "\n".join(texts(found, "note"))


def test_a_split_that_is_impossible_and_a_box_too_small_do_not_hide_each_other(own, tmp_path):
    frames = write_frames(own.files["a"], 4, seed=1)
    for frame in frames:
        frame.set_cell([3.0] * 3)
        frame.pbc = True
    ase.io.write(own.files["a"], frames, format="extxyz")
    datasets = {"a": entry(own.files["a"], split={"train": 5, "val": 2})}
    found = inspect(own(datasets=datasets, strategies=arms(pretrain_on="own")), tmp_path)
    assert {f.topic for s in found.sections for f in s.findings if f.level == "stop"} == {"networks", "split"}


def test_data_that_is_not_there_yet_is_no_fault(tmp_path):
    found = inspect_data(load_suite("water", "smoke"), {}, None, tmp_path, failed={})
    assert (found.count("stop"), found.count("later")) == (0, 1)
    assert not [*tmp_path.iterdir()]
    failed = inspect_data(load_suite("water", "smoke"), {}, None, tmp_path, failed={"tip3p": "the disk is full"})
    assert "the disk is full" in "\n".join(texts(failed, "stop"))


@pytest.mark.parametrize(("verb", "more"), [(("data", "check"), ()), (("run",), ("--dry-run",))])
def test_the_command_ends_with_2_if_anything_would_stop_a_run(own, tmp_path, monkeypatch, capsys, verb, more):
    def code(path):
        arguments = [*verb, "--suite", str(path), "--scale", "tiny", "--data-dir", str(tmp_path), *more]
        monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().out

    status, printed = code(own())
    assert status == 0
    assert "nothing would stop the run" in printed
    sulphur = molecule("CH3SH").get_chemical_symbols()
    write_frames(
        own.files["b"], 10, seed=2, symbols=sulphur, append=write_frames(tmp_path / "x", 10, seed=2, symbols=sulphur)
    )
    status, printed = code(own())
    assert status == 2
    assert "1 thing would stop the run" in printed
    assert "leakage" in printed
    assert not (tmp_path / "runs").exists()


def copper(path, began_together=False):
    """Four trajectories of a small crystal of copper, each of six frames, with the labels of springs."""
    rng = np.random.default_rng(0)
    frames = []
    for run in range(4):
        for number in range(6):
            atoms = bulk("Cu", cubic=True).repeat(2)
            shift = rng.normal(scale=0.0 if began_together and number == 0 else 0.03, size=(32, 3))
            atoms.positions += shift
            atoms.info |= {"E": 6 * float((shift**2).sum()), "run": f"r{run}"}
            atoms.arrays["F"] = -12 * shift
            frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")
    return entry(path, split={"val": 0.25, "test": 0.25})


def test_what_a_crystal_asks_of_pretexts_and_networks_is_told(own, tmp_path):
    datasets = {"cu": copper(tmp_path / "cu.xyz")}
    datasets["cu"]["options"]["group_key"] = "run"
    pretexts = {
        "hydrogen": {"kind": "masking"},
        "copper": {"kind": "masking", "options": {"species": ["Cu"]}},
        "noise": {"kind": "denoising", "options": {"sd_A": 0.1}},
        "distances": {"kind": "distance-denoising"},
        "far": {"kind": "distance-denoising", "options": {"radius_A": 3.7}},
    }
    strategies = {"scratch": {"label": "s"}} | {name: {"label": name, "pretext": p} for name, p in pretexts.items()}
    networks = {"egnn": {"kind": "egnn", "options": {"hidden": 4, "layers": 1, "max_neighbors": 11}}}
    suite = {"datasets": datasets, "structures": {}, "strategies": strategies, "baselines": ["scratch"]}
    found = inspect(own(**suite), tmp_path)
    far, hydrogen = sorted(texts(found, "stop"))
    assert "a box at least 7.4 Å wide; none of the training structures (made of Cu) has that" in far
    assert (
        "needs a molecule with an atom of H and another atom; none of the training structures (made of Cu)" in hydrogen
    )
    (note,) = texts(found, "note")
    assert note.startswith("copper: masking: pretext: for cu: bonds connect 32 of 32 atoms, as in a crystal")
    assert "distances: distance-denoising: pretext: for cu: 12 structures train and 6 validate" in "\n".join(
        texts(found, "ok")
    )
    suite["strategies"] = {"scratch": {"label": "s"}}
    (stop,) = texts(inspect(own(**suite, models=networks), tmp_path), "stop")
    assert "atoms of structure 0 have 12.0 neighbours within 3.4 Å, on average; model 'egnn' has room for 11" in stop
    assert "Raise its option 'max_neighbors' to 16" in stop
    datasets["cu"] = copper(tmp_path / "cu.xyz", began_together=True)
    datasets["cu"]["options"]["group_key"] = "run"
    (stop,) = texts(inspect(own(**suite), tmp_path), "stop")
    assert "the first frames of trajectories that began from the same structure" in stop
