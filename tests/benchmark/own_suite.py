"""A suite of small files of one's own: two labelled sets and a larger unlabelled one."""

from __future__ import annotations

import ase.io
import numpy as np
import yaml
from ase import Atoms

from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite

TRAINING = {
    "batch_size": 4,
    "pretrain": {"epochs": 2, "lr": 1e-3, "lr_min": 1e-5},
    "finetune": {"epochs": 3, "lr": 1e-3, "lr_min": 1e-5, "force_weight": 1, "energy_weight": 0.1},
}


def write_frames(path, frames, seed=0, symbols="CCOHHHHHH", move=0.05, append=()):
    """Ethanol-like frames with the labels of springs to fixed places."""
    rng = np.random.default_rng(seed)
    home = np.arange(len(Atoms(symbols)))[:, None] * np.array([0.8, 0.5, -0.3]) + rng.uniform(0, 0.2, 3)
    structures = list(append)
    for _ in range(frames):
        shift = rng.normal(scale=move, size=home.shape)
        atoms = Atoms(symbols, home + shift)
        atoms.info["E"], atoms.arrays["F"] = 100.0 + 5.0 * float((shift**2).sum()), -10.0 * shift
        structures.append(atoms)
    ase.io.write(path, structures, format="extxyz")
    return structures


def entry(path, **more):
    return {"kind": "extxyz", "options": {"path": str(path), "energy_key": "E", "forces_key": "F"}, **more}


def arms(**masked):
    """The three arms, the pretrained one changed."""
    return {
        "scratch": {"label": "s"},
        "longer": {"label": "l", "extended": True},
        "masked": {
            "label": "m",
            "pretext": {"kind": "masking", "options": {"target": "bonded"}},
            **masked,
        },
    }


def cells_of(suite, select=None):
    return {(c.arm.dataset, c.arm.strategy): c for c in make_plan(load_suite(str(suite), "tiny"), select=select)}


def suite_writer(tmp_path):
    """A function that writes a suite of two labelled sets and an unlabelled one; changes are laid over it."""
    files = {name: tmp_path / f"{name}.xyz" for name in ("a", "b", "c")}
    write_frames(files["a"], 20, seed=1)
    write_frames(files["b"], 10, seed=2, symbols="CHHHH")
    write_frames(files["c"], 50, seed=3)

    def write(**changes):
        content = {
            "name": "own",
            "title": "Own",
            "description": "Own",
            "baselines": ["scratch", "longer"],
            "datasets": {
                "a": entry(files["a"], split={"val": 0.2, "test": 0.2}),
                "b": entry(files["b"], split={"val": 0.2, "test": 0.2}),
            },
            "structures": {"c": entry(files["c"])},
            "models": {"egnn": {"kind": "egnn", "options": {"hidden": 4, "layers": 1}}},
            "strategies": {
                "scratch": {"label": "s"},
                "longer": {"label": "l", "extended": True},
                "masked": {
                    "label": "m",
                    "pretext": {"kind": "masking", "options": {"target": "bonded"}},
                    "pretrain_on": "pooled",
                },
            },
            "training": TRAINING,
            "scales": {"tiny": {"seeds": 1}},
        }
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump({**content, **changes}), encoding="utf-8")
        return path

    write.files = files
    return write
