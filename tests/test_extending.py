"""The example of docs/guide/own-model.md: found, listed, run, and refused with the messages that the document shows."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from torch_geometric.data import Batch

from benchmark.errors import BenchmarkError
from benchmark.planning.reading import load_suite
from tasks.geometry import minimum_image
from tasks.registry import MODELS, PRETEXTS, UnknownKindError
from tests.benchmark.runs import ROOT, command
from tests.own_package import DOCUMENT, install
from tests.tasks.conftest import make_water

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The folder of the example package."""
    return install(tmp_path_factory.mktemp("pair-potential"))


@pytest.fixture
def installed(package, monkeypatch):
    """The example package, visible to this process for the length of a test."""
    monkeypatch.syspath_prepend(package)
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "pair_potential"]:
        del sys.modules[name]


@pytest.fixture
def pretext(installed):
    cls = PRETEXTS.get("distance")
    return cls(cls.Config(relative_sd=0.1))


def in_package(package, *arguments):
    """The real command line in the package's folder, as its user calls it."""
    return command(*arguments, cwd=package, PYTHONPATH=os.pathsep.join([str(package), str(ROOT)]))


def test_kinds_are_known_when_the_package_is_there_and_not_before(package, monkeypatch):
    # Other tests may have put a copy of the package on the path.
    monkeypatch.setattr(sys, "path", [place for place in sys.path if not (Path(place) / "pair_potential").is_dir()])
    with pytest.raises(UnknownKindError, match=r"'pair'.*nnp_pretrain_bench\.models"):
        MODELS.get("pair")
    monkeypatch.syspath_prepend(package)
    for registry, kind in ((MODELS, "pair"), (PRETEXTS, "distance"), (PRETEXTS, "counting")):
        assert kind in registry.kinds()
        assert registry.get(kind).kind == kind
        assert registry.get(kind).__module__.startswith("pair_potential.")


def test_list_names_the_kinds(package):
    done = in_package(package, "list")
    assert done.returncode == 0, done.stderr
    kinds = dict(line.split(" kinds: ") for line in done.stdout.splitlines() if " kinds: " in line)
    assert "pair" in kinds["model"].split(", ")
    assert {"distance", "counting"} <= set(kinds["pretext"].split(", "))


def test_the_documents_suite_runs_with_the_documents_potential_and_pretext(package, tmp_path):
    out = tmp_path / "run"
    done = in_package(package, "run", "--suite", "own.yaml", "--scale", "smoke", "--select",
                   "strategy=scratch,strategy=stretched,strategy=counted", "--out", out,
                   "--data-dir", tmp_path / "data")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    cells = {cell["strategy"]: cell for cell in json.loads((out / "plan.json").read_text())["cells"]}
    assert {cell["model"] for cell in cells.values()} == {"pair"}
    rows = pd.concat([pd.read_parquet(out / "cells" / c["key"] / "record.parquet") for c in cells.values()])
    assert set(rows["status"]) == {"ok"}
    steps = rows.groupby("strategy")["pretrain_steps"].first()
    assert steps["scratch"] == 0
    report = (out / "report" / "report.md").read_text(encoding="utf-8")
    for arm, kind, label in (
        ("stretched", "distance", "pretrained by restoring distances"),
        ("counted", "counting", "pretrained by counting lost neighbours"),
    ):
        assert steps[arm] > 0
        pretraining = out / "pretrainings" / cells[arm]["pretraining_key"]
        assert json.loads((pretraining / "provenance.json").read_text())["config"]["pretext"]["kind"] == kind
        assert label in report


def test_targets_lead_back_and_centres_stay(pretext):
    batch = Batch.from_data_list([make_water(8, 1, 7.0), make_water(5, 2, 8.0)])
    before = batch.pos.clone()
    corrupted = pretext.corrupt(batch, torch.Generator().manual_seed(0))
    assert torch.equal(batch.pos, before)
    assert set(corrupted.keys()) == {"z", "pos", "batch", "box", "target"}
    torch.testing.assert_close(corrupted.pos + 0.1 * corrupted.target, before, rtol=0, atol=1e-5)
    box = batch.box[batch.batch]
    for atoms in torch.arange(batch.num_nodes).reshape(-1, 3):
        assert corrupted.target[atoms].sum(0).abs().max() < 1e-4
        bond, bond_before = (
            minimum_image(pos[atoms[1:]] - pos[atoms[:1]], box[atoms[1:]]) for pos in (corrupted.pos, before)
        )
        factors = bond / bond_before
        torch.testing.assert_close(factors, factors[:1, :1].expand_as(factors), rtol=0, atol=1e-3)


def test_the_generator_is_the_only_source_of_randomness(pretext):
    batch = Batch.from_data_list([make_water(4)])
    first, second, other = (pretext.corrupt(batch, torch.Generator().manual_seed(seed)).pos for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_structures_without_molecules_are_left_out(pretext):
    water, atoms = make_water(2), make_water(2)
    atoms.molecule = torch.arange(6)
    assert pretext.applies_to(water)
    assert not pretext.applies_to(atoms)


@pytest.mark.parametrize(
    ("model", "pretext", "message"),
    [
        ({"kind": "pear"}, {}, r"unknown model kind 'pear'; known are .*entry point in 'nnp_pretrain_bench.models'\)"),
        ({"options": {"num_rbfs": 8}}, {}, r"options of model 'pair': num_rbfs: unknown key; .* mean 'num_rbf'\?"),
        ({}, {"relative_sd": 0.5}, r"options of pretext 'distance': relative_sd: .* equal to 0.2 \(given: 0.5\)"),
        ({}, {"head": "coordinate"}, "the head 'coordinate', which model 'pair' does not have; it has force"),
    ],
)
def test_what_is_wrong_is_told_as_the_document_says(installed, tmp_path, model, pretext, message):
    suite = yaml.safe_load((installed / "own.yaml").read_text(encoding="utf-8"))
    suite["models"]["pair"] |= model
    suite["strategies"]["stretched"]["pretext"]["options"] |= pretext
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    with pytest.raises(BenchmarkError, match=message):
        load_suite(str(path), "smoke")


def test_a_head_that_finds_no_features_is_told_as_the_document_says(installed, monkeypatch):
    monkeypatch.setattr(MODELS.get("pair"), "feature_width", None)
    monkeypatch.chdir(installed)
    (row,) = (
        line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if "potential without `features`" in line
    )
    parts = row.split(" | ")[1].strip("`| ").split("…")
    with pytest.raises(BenchmarkError, match=".*".join(map(re.escape, parts))):
        load_suite("own.yaml", "smoke")
